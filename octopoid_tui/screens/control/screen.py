"""The control screen: queues, agents, leases and chat."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from backend.model import Message, RuleScope
from backend.ranking import Question
from octopoid_tui.actions import Action, Context, Where
from octopoid_tui.feed import FeedStatus
from octopoid_tui.host import Picture, begin
from octopoid_tui.keys import bindings
from octopoid_tui.panes.agents import AgentsPane
from octopoid_tui.panes.base import Pane
from octopoid_tui.panes.chat import ChatPane
from octopoid_tui.panes.leases import LeasesPane
from octopoid_tui.panes.queues import QueuesPane
from octopoid_tui.screens.base import SMALLEST, FleetScreen
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import KeyFooter
from octopoid_tui.widgets.notice_line import NoticeLine, pause_notice, sync_notice
from octopoid_tui.widgets.status_line import StatusLine
from octopoid_tui.widgets.tab_strip import Tab, TabStrip
from octopoid_tui.widgets.too_small import TooSmall

if TYPE_CHECKING:
    from scheduler.answers import RuleWish

NARROW = 110  # below this width, or
SHORT = 28  # this height, one pane is shown at a time


class ControlScreen(FleetScreen):
    """Four panes side by side, or one at a time where room is short or one is zoomed."""

    WHERE = Where.CONTROL
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.CONTROL)

    queues = getters.query_one(QueuesPane)
    agents = getters.query_one(AgentsPane)
    leases = getters.query_one(LeasesPane)
    chat = getters.query_one(ChatPane)
    pane_bar = getters.query_one("#pane-bar", TabStrip)
    notice_line = getters.query_one(NoticeLine)
    too_small = getters.query_one(TooSmall)

    def __init__(self) -> None:
        super().__init__()
        self._current = QueuesPane.KEY
        self._zoomed = False
        self._narrow = False

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield NoticeLine()
        yield TabStrip(id="pane-bar")
        with Horizontal(id="body"):
            yield QueuesPane()
            with Vertical(id="side"):
                yield AgentsPane()
                yield LeasesPane()
                yield ChatPane()
        yield FlashLine()
        yield KeyFooter()
        yield TooSmall(*SMALLEST)

    def ready(self) -> None:
        self._show_current()
        self.queues.focus_list()

    @property
    def panes(self) -> tuple[Pane, ...]:
        return (self.queues, self.agents, self.leases, self.chat)

    @property
    def pane(self) -> Pane:
        """The pane that keys are for."""
        return next(pane for pane in self.panes if self._current == pane.KEY)

    def show_picture(self, picture: Picture) -> None:
        snapshot = picture.snapshot
        self.notice_line.show((*picture.notices, *sync_notice(snapshot.sync), *pause_notice(snapshot.pause)))
        for pane in self.panes:
            pane.show(picture)
        self._show_pane_bar()

    def context(self) -> Context:
        selection = self.pane.selection
        picture = self.app.picture
        return Context(
            Where.CONTROL,
            picture.snapshot,
            self._current,
            selection.task,
            self.queues.marked if self._current == QueuesPane.KEY else (),
            selection.question,
            self.app.scheduler is not None,
            picture.feed.status is FeedStatus.LIVE,
            self.app.undo.what if self.app.undo is not None else "",
        )

    def resized(self, width: int, height: int) -> None:
        self.too_small.tell(width, height)
        self._narrow = width < NARROW or height < SHORT
        self._show_current()

    # Panes

    def go_to_pane(self, key: str) -> None:
        """Give a pane the focus; where one is shown at a time, show it."""
        self._current = key
        self._show_current()
        self.pane.focus_list()

    def go_to_task(self, task_id: str) -> None:
        """Show a task in the queues."""
        self.go_to_pane(QueuesPane.KEY)
        if not self.queues.go_to(task_id):
            self.app.flash(f"{task_id} is not in the store any more", "warning")

    def _show_current(self) -> None:
        single = self._narrow or self._zoomed
        self.set_class(single, "-single")
        for pane in self.panes:
            pane.set_class(self._current == pane.KEY, "-current")
        self.query_one("#side").set_class(self._current != QueuesPane.KEY, "-current")
        self._after_selection()

    def _show_pane_bar(self) -> None:
        zoom = "zoomed " if self._zoomed and not self._narrow else ""
        alerts = {self.chat.KEY: bool(self.app.picture.snapshot.questions)}
        tabs = [
            Tab(p.KEY, f"{zoom if p is self.pane else ''}{p.title}", None, alerts.get(p.KEY, False))
            for p in self.panes
        ]
        self.pane_bar.set_tabs(tabs, self._current)

    @on(TabStrip.Chosen, "#pane-bar")
    def _pane_clicked(self, event: TabStrip.Chosen) -> None:
        self.go_to_pane(event.key)

    @on(Pane.SelectionChanged)
    def _selection_changed(self, event: Pane.SelectionChanged) -> None:
        event.stop()
        self._after_selection()

    def on_descendant_focus(self) -> None:
        # Not `has_focus_within`: that follows by messages, later than the next key may come.
        focused = self.focused
        owner = next((p for p in self.panes if focused is not None and p in focused.ancestors), None)
        if owner is not None and self._current != owner.KEY:
            self._current = owner.KEY
            self._show_current()
        self._after_selection()

    def _after_selection(self) -> None:
        self._show_pane_bar()
        self.flash_line.set_hint(self.pane.selection.hint)
        self.show_hints()

    @on(Pane.Opened)
    def _row_opened(self, event: Pane.Opened) -> None:
        event.stop()
        self.action_perform("task.open")

    def do_pane_queues(self) -> None:
        self.go_to_pane(QueuesPane.KEY)

    def do_pane_agents(self) -> None:
        self.go_to_pane(AgentsPane.KEY)

    def do_pane_leases(self) -> None:
        self.go_to_pane(LeasesPane.KEY)

    def do_pane_chat(self) -> None:
        self.go_to_pane(ChatPane.KEY)

    def do_next_pane(self) -> None:
        self._step_pane(1)

    def do_previous_pane(self) -> None:
        self._step_pane(-1)

    def _step_pane(self, step: int) -> None:
        self.go_to_pane(self.panes[(self.panes.index(self.pane) + step) % len(self.panes)].KEY)

    def do_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._show_current()

    def do_back(self) -> None:
        """Undo one step: the zoom, the marks, the filter, the other pane."""
        if self._zoomed:
            self.do_zoom()
        elif self.queues.marked:
            self.do_unmark()
        elif self.queues.bar.text:
            self.queues.bar.action_clear()
        elif self._current != QueuesPane.KEY:
            self.go_to_pane(QueuesPane.KEY)

    # Lists

    def do_next_tab(self) -> None:
        self.queues.step_tab(1)

    def do_previous_tab(self) -> None:
        self.queues.step_tab(-1)

    def do_filter(self) -> None:
        self.go_to_pane(QueuesPane.KEY)
        self.queues.bar.open()

    def do_mark(self) -> None:
        self.queues.grid.action_mark()

    def do_unmark(self) -> None:
        self.queues.grid.clear_marks()

    # Conversations

    def do_open_conversation(self) -> None:
        context = self.context()
        question = context.question
        task_id = question.message.conversation_id if question else context.task and context.task.id
        if task_id:
            self.open_conversation(task_id, question)

    def open_conversation(self, task_id: str, question: Question | None) -> None:
        """Show a task's conversation, ready to write."""
        self.chat.open(task_id, question)
        self.go_to_pane(ChatPane.KEY)
        self.chat.focus_input()

    def do_focus_input(self) -> None:
        if self._current != ChatPane.KEY:
            self.do_open_conversation()
        else:
            self.chat.focus_input()

    @on(ChatPane.ConversationWanted)
    def _read_conversation(self, event: ChatPane.ConversationWanted) -> None:
        event.stop()
        begin(self, partial(self._load_conversation, event.task_id), "Read the conversation", "conversation")

    async def _load_conversation(self, task_id: str) -> None:
        self.chat.show_messages(task_id, await self.app.desk.backend.list_messages(task_id))

    @on(ChatPane.Written)
    def _send(self, event: ChatPane.Written) -> None:
        event.stop()
        send = partial(self._store, event.task_id, event.question, event.text, event.rule)
        self.app.start(send, "Send")

    async def _store(self, task_id: str, question: Message | None, text: str, rule: RuleScope | None) -> None:
        try:
            if question is None:
                await self.app.desk.note(task_id, text)
                said = "note stored for the agent"
            else:
                await self.app.desk.answer(question.id, text, rule=rule_wish(rule))
                always = f", always for this {rule}" if rule else ""
                said = f"answered {question.sender.id}{always}: {text}"
        except BaseException:
            self.chat.give_back(task_id, question, text if rule is None else f"/rule {rule} {text}")
            raise
        self.app.flash(said)

    def performed(self, action: Action, context: Context) -> None:
        """What the marks were for has been done."""
        if context.marked:
            self.do_unmark()


def rule_wish(scope: RuleScope | None) -> RuleWish | None:
    """A rule for exactly the question that is answered."""
    if scope is None:
        return None
    # What makes rules is loaded when one is made.
    from scheduler.answers import RuleWish

    return RuleWish(scope)
