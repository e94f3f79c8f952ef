"""The conversations: open questions in the order in which answers help most, and one conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message as TextualMessage
from textual.widgets import Input, Static

from backend.clean import clean_line
from backend.model import Message, MessageKind, MessageType, RuleScope, SenderType, Task
from backend.ranking import Question
from octopoid_tui.formats import age, clock
from octopoid_tui.host import Picture, begin
from octopoid_tui.panes.base import Pane, Selection
from octopoid_tui.widgets.chat_list import ChatList
from octopoid_tui.widgets.chat_message import ChatMessage, MessageTone
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row
from octopoid_tui.widgets.line_input import LineInput

COLUMNS = (
    Column("kind", "Asks", 12),
    Column("body", "Open questions, the most useful answer first", 24, flex=1),
    Column("unlocks", "Unlocks", 7, priority=2, right=True),
    Column("age", "Age", 6, priority=1, right=True),
)
QUESTIONS_SHOWN = 5
RULE = "/rule"
EMPTY_LINES = 3  # what the table needs to say that it is empty
TONES: dict[SenderType, MessageTone] = {
    SenderType.HUMAN: "you",
    SenderType.WORKER: "agent",
    SenderType.SYSTEM: "system",
}


class ChatPane(Pane):
    KEY = "chat"
    NUMBER = 4
    TITLE = "Chat"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave_input", "Back to the list", show=False)]

    questions = getters.query_one("#questions", Grid)
    conversation = getters.query_one(ChatList)
    options = getters.query_one("#options", Static)
    heading = getters.query_one("#conversation-title", Static)
    input = getters.query_one("#answer", Input)

    @dataclass
    class ConversationWanted(TextualMessage):
        """The messages of a task are to be read."""

        pane: ChatPane
        task_id: str

    @dataclass
    class Written(TextualMessage):
        """A text to send: the answer to a question, or a note when there is none."""

        pane: ChatPane
        task_id: str
        question: Message | None
        text: str
        rule: RuleScope | None = None
        """For whose questions of this kind the answer is to be given by itself from now on."""

    def __init__(self) -> None:
        super().__init__()
        self._questions: tuple[Question, ...] = ()
        self._sent: set[str] = set()
        """Questions answered here, until the store says so too: the next answer is for the next question."""
        self._task_id: str | None = None
        self._shown_task: str | None = None
        self._messages_seq = -1
        self._pinned = False
        self._options: tuple[str, ...] | None = None
        self._title = ""

    def compose(self) -> ComposeResult:
        yield Grid(COLUMNS, id="questions")
        yield Static("", id="conversation-title", markup=False)
        yield ChatList(id="conversation")
        yield Static("", id="options", markup=False)
        yield LineInput(self._submit, id="answer")

    # What is shown

    def show(self, picture: Picture) -> None:
        snapshot = picture.snapshot
        self._sent &= {q.message.id for q in snapshot.questions}
        self._questions = tuple(q for q in snapshot.questions if q.message.id not in self._sent)
        self.questions.stale = picture.feed.status == "stale"
        self.questions.set_placeholder(
            *(("empty", "No open questions.") if picture.loaded else ("loading", "Reading the questions"))
        )
        self.questions.set_rows([row(q, picture) for q in self._questions])
        self.questions.styles.height = 1 + min(QUESTIONS_SHOWN, len(self._questions) or EMPTY_LINES)
        self.set_count(f"{len(self._questions)} open" if self._questions else 0)
        if not self._pinned:
            self._follow_cursor()
        if snapshot.messages_seq != self._messages_seq:
            self._messages_seq = snapshot.messages_seq
            self._want()
        self._show_prompt()

    @property
    def selection(self) -> Selection:
        question = self.question
        task = self._subject
        return Selection(task, question, f"{task.id}: {task.title}" if task else "")

    @property
    def question(self) -> Question | None:
        """The open question that an answer typed now is for."""
        under_cursor = self.questions.cursor_id
        mine = [q for q in self._questions if self._task_id in q.conversations]
        return next((q for q in mine if q.message.id == under_cursor), mine[0] if mine else None)

    def open(self, task_id: str, question: Question | None = None) -> None:
        """Show the conversation of a task, whether or not it asks anything."""
        self._pinned = question is None
        if question is not None:
            self.questions.move_to(question.message.id)
        self._switch(task_id)

    def show_messages(self, task_id: str, messages: Sequence[Message]) -> None:
        """Take in what was read; a late answer for another conversation is not shown."""
        if task_id == self._task_id:
            begin(self, partial(self._fill, task_id, messages), "Show the conversation", "fill")

    def focus_list(self) -> None:
        self.screen.set_focus(self.questions if self._questions else self.conversation)

    def focus_input(self) -> None:
        self.screen.set_focus(self.input)

    def give_back(self, task_id: str, question: Message | None, text: str) -> None:
        """What was written has not been stored: it is there to be sent again, before what came after it."""
        if question is not None:
            self._sent.discard(question.id)
            self.show(self.app.picture)
            if not self.input.value and self.questions.move_to(question.id):
                self._switch(task_id)
        key = f"chat:{task_id}"
        since = self.input.value if task_id == self._task_id else self.app.drafts.get(key, "")
        self.app.drafts[key] = f"{text} {since}".rstrip()
        if task_id == self._task_id:
            self.input.value = self.app.drafts[key]

    async def _fill(self, task_id: str, messages: Sequence[Message]) -> None:
        now = self.app.picture.now
        shown = [entry for message in messages for entry in entries(message, now, self.app.zone)]
        if self._shown_task == task_id:
            self.conversation.extend(shown)
        else:
            self._shown_task = task_id
            await self.conversation.show(shown)
        question = self.question
        self.conversation.highlight(question.message.id if question else None)

    @property
    def _subject(self) -> Task | None:
        return self.app.picture.snapshot.tasks.get(self._task_id or "")

    def _follow_cursor(self) -> None:
        chosen = next((q for q in self._questions if q.message.id == self.questions.cursor_id), None)
        if chosen is not None:
            self._switch(chosen.message.conversation_id)

    def _switch(self, task_id: str) -> None:
        if task_id == self._task_id:
            return
        if self._task_id is not None and self.input.value:
            self.app.drafts[f"chat:{self._task_id}"] = self.input.value
        self._task_id = task_id
        self.input.value = self.app.drafts.get(f"chat:{task_id}", "")
        self._want()
        self._show_prompt()
        self.changed()

    def _want(self) -> None:
        if self._task_id is not None:
            self.post_message(self.ConversationWanted(self, self._task_id))

    def _show_prompt(self) -> None:
        question, task = self.question, self._subject
        title = f"{task.id}  {task.title}" if task else self._task_id or ""
        if title != self._title:
            self._title = title
            self.heading.update(Content.styled(clean_line(title, 200), "bold"), layout=False)
        options = question.message.options if question else ()
        if options != self._options:
            self._options = options
            self.options.update(numbered(options))
            self.options.display = bool(options)
        self.input.disabled = self._task_id is None
        self.input.placeholder = self._placeholder(question)

    def _placeholder(self, question: Question | None) -> str:
        if self._task_id is None:
            return "No conversation. Press o on a task to open one."
        if question is None:
            return "i: write a note for the agent"
        who = clean_line(question.message.sender.id, 40)
        how = "a number or your own words" if question.message.options else "your answer"
        return f"i: {how} for {who}, enter sends; /rule agent {how}: always"

    # Keys

    @on(Grid.Highlighted, "#questions")
    def _cursor_moved(self, event: Grid.Highlighted) -> None:
        event.stop()
        if self.questions.has_focus:
            self._pinned = False
        if not self._pinned:
            self._follow_cursor()
        self._show_prompt()
        self.changed()

    @on(Grid.Selected, "#questions")
    def _question_opened(self, event: Grid.Selected) -> None:
        event.stop()
        self._pinned = False
        self._follow_cursor()
        self.focus_input()

    @on(ChatList.Chosen)
    def _question_chosen(self, event: ChatList.Chosen) -> None:
        event.stop()
        self.questions.move_to(event.message_id)
        self.focus_input()

    def _submit(self, value: str) -> None:
        text = value.strip()
        task_id = self._task_id
        if not text or task_id is None:
            return
        question = self.question.message if self.question else None
        rule = None
        if question is not None:
            rule, text = as_rule(text)
            if rule is None and text.split(" ")[0] == RULE:
                self.app.flash(f"for a rule write: {RULE} {'|'.join(RuleScope)} and the answer")
                return
            text = chosen_option(text, question.options)
        self.app.drafts.pop(f"chat:{task_id}", None)
        self.input.value = ""
        if question is not None:
            self._sent.add(question.id)
            self.show(self.app.picture)
            self.focus_list()
        self.post_message(self.Written(self, task_id, question, text, rule))

    def action_leave_input(self) -> None:
        self.focus_list()


def row(question: Question, picture: Picture) -> Row:
    message = question.message
    kind = "! permission" if message.kind is MessageKind.PERMISSION else "? question"
    tasks = f"{question.unlocks} task{'' if question.unlocks == 1 else 's'}" if question.unlocks else ""
    return Row(
        message.id,
        (kind, asks(question), tasks, age((picture.now - message.created_at).total_seconds())),
        cell_tones=("warning", "", "info", "dim"),
    )


def entries(message: Message, now: datetime, zone: tzinfo | None) -> list[ChatMessage]:
    """A message as the conversation shows it; an answer follows its question as an entry of its own."""
    when = clock(message.created_at, now, zone)
    note = ""
    if message.withdrawn_at is not None:
        note = "withdrawn"
    elif message.answered_at is not None:
        note = "answered, delivered" if message.delivered_at else "answered"
    shown = [
        ChatMessage(
            message.id, message.sender.id, when, message.body, TONES[message.sender.type],
            markdown=message.sender.type is SenderType.WORKER, question=message.open, note=note,
        )
    ]  # fmt: skip
    if message.type is MessageType.REQUEST and message.answer is not None:
        answered = clock(message.answered_at or message.created_at, now, zone)
        shown.append(ChatMessage(f"{message.id}/answer", "answer", answered, message.answer, "you"))
    return shown


def numbered(options: Sequence[str]) -> Content:
    """The options with their numbers."""
    lines = [
        Content.assemble((f" {number} ", "$text-accent bold"), clean_line(option, 200))
        for number, option in enumerate(options, 1)
    ]
    return Content("\n").join(lines)


def chosen_option(text: str, options: Sequence[str]) -> str:
    """The option whose number was typed, or else the text itself."""
    if text.isdecimal() and 1 <= int(text) <= len(options):
        return options[int(text) - 1]
    return text


def asks(question: Question) -> str:
    """What is asked, and by how many where it is more than one."""
    body = clean_line(question.message.body, 300)
    return f"(asked {len(question.same) + 1} times) {body}" if question.same else body


def as_rule(text: str) -> tuple[RuleScope | None, str]:
    """An answer, and for whom it is a rule when it begins with `/rule task|agent|role|project`."""
    word, _, rest = text.partition(" ")
    scope, _, answer = rest.strip().partition(" ")
    if word == RULE and scope in frozenset(RuleScope) and answer.strip():
        return RuleScope(scope), answer.strip()
    return None, text
