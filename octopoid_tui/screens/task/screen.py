"""One task: what it is, what was done about it, and what its agent is doing."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from backend.clean import clean, clean_line
from backend.model import Run, Task
from octopoid_tui.actions import Context, Where
from octopoid_tui.feed import FeedStatus
from octopoid_tui.host import Picture, begin
from octopoid_tui.keys import bindings
from octopoid_tui.panes.chat import entries
from octopoid_tui.screens.base import SMALLEST, FleetScreen
from octopoid_tui.screens.control.screen import ControlScreen
from octopoid_tui.screens.dialogs.why import explained
from octopoid_tui.screens.task.facts import (
    EVENT_COLUMNS,
    RUN_COLUMNS,
    event_rows,
    evidence_text,
    facts,
    run_line,
    run_rows,
)
from octopoid_tui.widgets.chat_list import ChatList
from octopoid_tui.widgets.diff_model import parse_diff
from octopoid_tui.widgets.diff_view import DiffView
from octopoid_tui.widgets.filter_bar import FilterBar
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import KeyFooter
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.status_line import StatusLine
from octopoid_tui.widgets.tab_strip import Tab, TabStrip
from octopoid_tui.widgets.too_small import TooSmall
from octopoid_tui.widgets.transcript_view import TranscriptView

TABS = ("description", "diff", "transcript", "timeline", "runs", "evidence", "why", "messages")
FOLLOW_EVERY = 0.2  # seconds between two looks at a live transcript
EVENTS_SHOWN = 2000


class TaskScreen(FleetScreen):
    """Tabs over one task. What a tab shows is read when it is first looked at, and again when it changes."""

    WHERE = Where.TASK
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.TASK)

    heading = getters.query_one("#task-title", Static)
    tabs = getters.query_one("#task-tabs", TabStrip)
    switcher = getters.query_one(ContentSwitcher)
    diff = getters.query_one(DiffView)
    transcript = getters.query_one(TranscriptView)
    search_bar = getters.query_one(FilterBar)
    conversation = getters.query_one(ChatList)
    too_small = getters.query_one(TooSmall)

    def __init__(self, task_id: str) -> None:
        super().__init__()
        self._task_id = task_id
        self._tab = TABS[0]
        self._seen: dict[str, object] = {}
        self._run: Run | None = None
        self._chosen: str | None = None
        """The run whose transcript was asked for; None for the newest."""

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield Static("", id="task-title", markup=False)
        yield TabStrip(id="task-tabs")
        with ContentSwitcher(initial=TABS[0]):
            with VerticalScroll(id="description"):
                yield Static("", id="facts", markup=False)
                yield Static("", id="body", markup=False)
            yield DiffView(id="diff")
            with Vertical(id="transcript"):
                yield Static("", id="run-line", markup=False)
                yield TranscriptView(id="record")
                yield FilterBar(self._search_left, "text in the transcript")
            yield Grid(EVENT_COLUMNS, id="timeline")
            yield Grid(RUN_COLUMNS, id="runs")
            with VerticalScroll(id="evidence"):
                yield Static("", id="evidence-text", markup=False)
            with VerticalScroll(id="why"):
                yield Static("", id="why-text", markup=False)
            yield ChatList(id="messages")
        yield FlashLine()
        yield KeyFooter()
        yield TooSmall(*SMALLEST)

    def ready(self) -> None:
        self.set_interval(FOLLOW_EVERY, self._follow)
        self.choose_tab(self._tab)

    @property
    def subject(self) -> Task | None:
        return self.app.picture.snapshot.tasks.get(self._task_id)

    def context(self) -> Context:
        picture = self.app.picture
        questions = picture.snapshot.questions_of(self._task_id)
        return Context(
            Where.TASK,
            picture.snapshot,
            self._tab,
            self.subject,
            (),
            questions[0] if questions else None,
            self.app.scheduler is not None,
            picture.feed.status is FeedStatus.LIVE,
        )

    def resized(self, width: int, height: int) -> None:
        self.too_small.tell(width, height)

    def show_picture(self, picture: Picture) -> None:
        task = self.subject
        if task is None:
            self.heading.update(
                Content.styled(f"{self._task_id} is not in the store any more", "$text-error")
            )
            return
        self.heading.update(
            Content.assemble((task.id, "$text-muted"), "  ", (clean_line(task.title, 300), "bold"))
        )
        self.tabs.set_tabs([Tab(name, name) for name in TABS], self._tab)
        self.query_one("#facts", Static).update(facts(task, picture))
        self.flash_line.set_hint(HINTS[self._tab])
        self._read_if_changed()

    # Tabs

    def choose_tab(self, name: str) -> None:
        self._tab = name
        self.switcher.current = name
        self.show_picture(self.app.picture)
        self.show_hints()
        shown: Widget = self.transcript if name == "transcript" else self.query_one(f"#{name}")
        self.set_focus(shown)

    def do_next_tab(self) -> None:
        self.choose_tab(self.tabs.neighbour(1))

    def do_previous_tab(self) -> None:
        self.choose_tab(self.tabs.neighbour(-1))

    @on(TabStrip.Chosen)
    def _tab_clicked(self, event: TabStrip.Chosen) -> None:
        self.choose_tab(event.key)

    def do_open_conversation(self) -> None:
        """Answer on the control screen, where the input is."""
        context = self.context()
        self.app.pop_screen()
        control = self.app.screen_stack[0]
        if isinstance(control, ControlScreen):
            control.open_conversation(self._task_id, context.question)

    # Reading

    def _read_if_changed(self) -> None:
        """Read the tab on show, if what it is made of has changed since it was read."""
        task, picture = self.subject, self.app.picture
        if task is None:
            return
        live = picture.snapshot.runs.get(task.run_id or "")
        sources: dict[str, object] = {
            "description": task.body,
            "diff": task.head_sha,
            "transcript": (
                task.run_id,
                task.version,
                live and (live.status, live.session_id),
                picture.snapshot.messages_seq,
                self._chosen,
            ),
            "timeline": picture.snapshot.seq,
            "runs": (task.version, live),
            "evidence": (task.version, task.head_sha),
            "why": (task.version, picture.snapshot.pause, len(picture.snapshot.runs)),
            "messages": picture.snapshot.messages_seq,
        }
        if self._tab in self._seen and self._seen[self._tab] == sources[self._tab]:
            return
        self._seen[self._tab] = sources[self._tab]
        begin(self, partial(self._read, self._tab, task), f"Read {self._tab}", f"read-{self._tab}")

    async def _read(self, tab: str, task: Task) -> None:
        try:
            await getattr(self, f"_read_{tab}")(task)
        except Exception:
            # Whatever went wrong is shown by the worker's end; looking again must try again.
            self._seen.pop(tab, None)
            raise

    async def _read_description(self, task: Task) -> None:
        body = clean(task.body).expandtabs(4).rstrip()
        text = Content(body) if body else Content.styled("No description.", "$text-muted")
        self.query_one("#body", Static).update(text)

    async def _read_diff(self, task: Task) -> None:
        self.diff.set_model(await asyncio.to_thread(parse_diff, await self.app.desk.diff(task.id)))

    async def _read_transcript(self, task: Task) -> None:
        from scheduler.steer import answers_of, caps_of  # with every adapter: only when a run is looked at

        runs = await self.app.desk.backend.list_runs(task_id=task.id)
        messages = await self.app.desk.backend.list_messages(task.id)
        run = next((run for run in runs if run.id == self._chosen), runs[-1] if runs else None)
        if run is None:
            self.transcript.placeholder = "No agent has worked on this yet."
            return
        self.query_one("#run-line", Static).update(run_line(run, caps_of(run.adapter).names()))
        if self._run is None or run.id != self._run.id or self.transcript.stopped:
            self.transcript.zone = self.app.zone
            self.transcript.show(self.app.desk.pages(run.id))
        self._run = run
        self.transcript.set_answers(answers_of(messages, run.id))

    async def _read_timeline(self, task: Task) -> None:
        events = await self.app.desk.backend.events(limit=EVENTS_SHOWN, entity_id=task.id)
        self.query_one("#timeline", Grid).set_rows(event_rows(events, self.app.picture.now, self.app.zone))

    async def _read_runs(self, task: Task) -> None:
        runs = await self.app.desk.backend.list_runs(task_id=task.id)
        grid = self.query_one("#runs", Grid)
        grid.set_placeholder("empty", "No agent has worked on this yet.\nPress w to see why.")
        grid.set_rows(run_rows(runs, self.app.picture.now))

    async def _read_evidence(self, task: Task) -> None:
        evidence = await self.app.desk.backend.list_evidence(task.id)
        self.query_one("#evidence-text", Static).update(evidence_text(evidence, self.app.picture.now))

    async def _read_why(self, task: Task) -> None:
        explanation = await self.app.desk.why(task.id)
        self.query_one("#why-text", Static).update(explained(explanation, self.app.picture.now))

    async def _read_messages(self, task: Task) -> None:
        messages = await self.app.desk.backend.list_messages(task.id)
        now = self.app.picture.now
        await self.conversation.show([entry for m in messages for entry in entries(m, now, self.app.zone)])

    # The transcript

    @on(Grid.Selected, "#runs")
    def _run_opened(self, event: Grid.Selected) -> None:
        event.stop()
        self._chosen = event.row_id
        self.choose_tab("transcript")

    def _follow(self) -> None:
        if self._tab == "transcript" and self.is_active:
            self.transcript.poll()

    def do_search(self) -> None:
        self.choose_tab("transcript")
        self.search_bar.open()
        self.show_hints()

    def _search_left(self) -> None:
        self.set_focus(self.transcript)
        self.show_hints()
        self.transcript.search(self.search_bar.text)

    @on(TranscriptView.Searched)
    def _searched(self, event: TranscriptView.Searched) -> None:
        event.stop()
        if not event.found:
            self.app.flash(f"nothing in this transcript holds {event.text!r}", "warning")


HINTS = {
    "description": "tab and shift+tab for the other tabs, esc to go back",
    "diff": "d opens the review; { } files, [ ] hunks",
    "transcript": "enter unfolds a call, / searches, G follows the agent, m writes to it",
    "timeline": "every change of this task, the newest first",
    "runs": "enter shows the transcript of an attempt",
    "evidence": "what the checks said, and on which commit",
    "why": "what keeps it from running, gate by gate",
    "messages": "o opens the conversation to answer",
}
