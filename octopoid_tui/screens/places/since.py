"""What happened since a person last did something here."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from backend.model import UsageBy
from octopoid_tui.actions import Context, Where
from octopoid_tui.host import Picture
from octopoid_tui.keys import bindings
from octopoid_tui.screens.base import SMALLEST
from octopoid_tui.screens.control.screen import ControlScreen
from octopoid_tui.screens.places.missed import (
    COLUMNS,
    NAMES,
    Entry,
    Kind,
    Missed,
    Span,
    begins,
    entry_text,
    gather,
    heading,
)
from octopoid_tui.screens.places.story import Story
from octopoid_tui.screens.places.tabbed import TabbedPlace
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import KeyFooter
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.status_line import StatusLine
from octopoid_tui.widgets.tab_strip import Tab, TabStrip
from octopoid_tui.widgets.too_small import TooSmall


class SinceScreen(TabbedPlace):
    """A list of what happened, what needs a person first, and beside it how it came to that."""

    WHERE = Where.SINCE
    WHAT = "what happened"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.SINCE)

    heading = getters.query_one("#since-title", Static)
    grid = getters.query_one("#since", Grid)
    detail = getters.query_one("#since-text", Static)

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self._missed: Missed | None = None
        self._kind = Kind.ALL
        self._span = Span.LEFT
        self._asked_at = now
        self._story: Story | None = None

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield Static("", id="since-title", classes="place-title", markup=False)
        yield TabStrip(classes="place-tabs")
        with Container(classes="place-body"):
            yield Grid(COLUMNS, id="since", classes="place-lists")
            with VerticalScroll(classes="place-side"):
                yield Static("", id="since-text", markup=False)
        yield FlashLine()
        yield KeyFooter()
        yield TooSmall(*SMALLEST)

    def grids(self) -> tuple[Grid, ...]:
        return (self.grid,)

    def source(self, picture: Picture) -> object:
        """Times are shown with their day when it is not today's."""
        snapshot = picture.snapshot
        day = picture.now.astimezone(self.app.zone).date()
        return snapshot.seq, snapshot.cost_today, self._span, self._begins(), day

    @property
    def entry(self) -> Entry | None:
        """What is under the cursor."""
        return self._missed.entries.get(self.grid.cursor_id or "") if self._missed else None

    def context(self) -> Context:
        base, entry = self.base_context(), self.entry
        if entry is None:
            return base
        task = base.snapshot.tasks.get(entry.task_id)
        return replace(base, pane=self._kind.value, task=task, question=entry.question)

    def _begins(self) -> datetime:
        return begins(self._span, self.app.attendance.left_at, self._asked_at, self.app.zone)

    async def load(self) -> None:
        backend, since, span = self.app.desk.backend, self._begins(), self._span
        if self._story is None or self._story.since != since:
            self._story = Story(since)
        story = self._story
        await story.read_on(backend)
        known = Missed(
            since,
            span,
            self.app.attendance.left_at is not None,
            whole_from=story.whole_from,
            used=await backend.usage(UsageBy.AGENT, since=since),
        )
        picture = self.app.picture
        # Of a long time, sorting it out would be felt as a late key.
        self._missed = await asyncio.to_thread(
            gather, story.snapshot(), picture.snapshot, known, picture.now, self.app.zone
        )

    def show_loaded(self, picture: Picture) -> None:
        self.tabs.set_tabs(
            [Tab(one.value, name, self._number(one), self._alerts(one)) for one, name in NAMES.items()],
            self._kind,
        )
        if self._missed is None:
            return
        self.heading.update(heading(self._missed, picture.now, self.app.zone))
        self.grid.set_placeholder("empty", self._nothing())
        self.grid.set_rows(self._missed.rows[self._kind])
        self._show_detail(picture)

    def _number(self, kind: Kind) -> int | None:
        return None if self._missed is None else len(self._missed.rows[kind])

    def _alerts(self, kind: Kind) -> bool:
        return kind is Kind.WAITS and bool(self._number(kind))

    def _nothing(self) -> str:
        if self._kind is Kind.ALL:
            return "Nothing has come to an end, and nothing has begun to wait for you.\nt shows another time."
        return "Nothing of this kind.\n[ ] shows the others, t another time."

    def _show_detail(self, picture: Picture) -> None:
        entry, missed = self.entry, self._missed
        if entry is None or missed is None:
            self.tell(self.detail, Content(""))
            self.flash_line.set_hint("t shows another time, [ ] only one kind")
            return
        events = missed.events.get(entry.task_id, ())
        self.tell(self.detail, entry_text(entry, events, picture.now, self.app.zone))
        opens = "enter opens the task, " if entry.task_id else ""
        answers = "o answers, " if entry.question else ""
        self.flash_line.set_hint(f"{opens}{answers}t shows another time, [ ] only one kind")

    @on(Grid.Highlighted)
    def _cursor_moved(self, event: Grid.Highlighted) -> None:
        event.stop()
        self._show_detail(self.app.picture)
        self.show_hints()

    @on(Grid.Selected)
    def _row_opened(self, event: Grid.Selected) -> None:
        event.stop()
        self.action_perform("task.open")

    def choose(self, key: str) -> None:
        self._kind = Kind(key)
        self.show_loaded(self.app.picture)
        self.grid.cursor_row = 0
        self.show_hints()

    def do_next_time(self) -> None:
        spans = list(Span)
        self._span = spans[(spans.index(self._span) + 1) % len(spans)]
        self._asked_at = self.app.now()
        self.read_again()

    def do_open_conversation(self) -> None:
        """Answer on the control screen, where the conversation is."""
        entry, control = self.entry, self.app.screen_stack[0]
        if entry is not None and entry.task_id and isinstance(control, ControlScreen):
            self.app.pop_screen()
            control.open_conversation(entry.task_id, entry.question)
