"""How this machine stands with its server: what waits to be sent, and what the server did not take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from backend.clean import clean_line
from backend.sync import Choice, Conflict, SyncMode, SyncState, Waiting
from octopoid_tui.actions import Context, Where
from octopoid_tui.feed import FeedStatus
from octopoid_tui.formats import age, times_sent, waiting_changes
from octopoid_tui.host import Picture, begin
from octopoid_tui.keys import bindings
from octopoid_tui.panes.glyphs import styled
from octopoid_tui.screens.base import SMALLEST, FleetScreen
from octopoid_tui.versions import CHANGED, Field, fields_of, mine_fields, their_fields
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import KeyFooter
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row, Tone
from octopoid_tui.widgets.status_line import StatusLine
from octopoid_tui.widgets.too_small import TooSmall

NARROW = 110
COLUMNS = (
    Column("age", "Made", 7, right=True, sortable=False),
    Column("state", "State", 8, sortable=False),
    Column("by", "By", 12, priority=2, sortable=False),
    Column("summary", "What", 20, flex=1, sortable=False),
)
SHOWN = 500
"""Waiting changes that are listed; `octopoid sync --list` has every one."""
MORE = "…more"  # no id begins so
READ_EVERY = 3.0
"""Seconds between two readings while something waits: that it was sent once more makes no event."""
SETTLED = {
    Choice.MINE: "asked for again, and the server took it: {0}",
    Choice.THEIRS: "left as the server has it: {0}",
}


class SyncScreen(FleetScreen):
    """Conflicts first, then what waits; and both versions, or the change, of the one under the cursor."""

    WHERE = Where.SYNC
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.SYNC)

    heading = getters.query_one("#sync-title", Static)
    grid = getters.query_one("#sync-conflicts", Grid)
    problem = getters.query_one("#sync-problem", Static)
    mine = getters.query_one("#sync-mine", Static)
    theirs = getters.query_one("#sync-theirs", Static)
    too_small = getters.query_one(TooSmall)

    def __init__(self) -> None:
        super().__init__()
        self._conflicts: dict[str, Conflict] = {}
        self._waiting: dict[str, Waiting] = {}
        self._cut = False
        """Whether more waits than is listed."""
        self._read_for: SyncState | None = None
        self._read_next = -math.inf
        self._reading: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield Static("", id="sync-title", markup=False)
        yield Grid(COLUMNS, id="sync-conflicts")
        yield Static("", id="sync-problem", markup=False)
        with VerticalScroll(id="sync-versions"), Container(id="sync-sides"):
            yield Static("", id="sync-mine", markup=False)
            yield Static("", id="sync-theirs", markup=False)
        yield FlashLine()
        yield KeyFooter()
        yield TooSmall(*SMALLEST)

    def ready(self) -> None:
        self.grid.set_placeholder("loading", "Reading what waits and what is in conflict")
        self.grid.focus()

    @property
    def conflict(self) -> Conflict | None:
        """The conflict under the cursor."""
        return self._conflicts.get(self.grid.cursor_id or "")

    def context(self) -> Context:
        picture, conflict = self.app.picture, self.conflict
        return Context(
            Where.SYNC,
            picture.snapshot,
            task=picture.snapshot.tasks.get(conflict.task_id or "") if conflict else None,
            owns_scheduler=self.app.scheduler is not None,
            live=picture.feed.status is FeedStatus.LIVE,
            conflict=conflict,
        )

    def resized(self, width: int, height: int) -> None:
        self.too_small.tell(width, height)
        self.set_class(width < NARROW, "-narrow")

    def show_picture(self, picture: Picture) -> None:
        sync = picture.snapshot.sync
        self.heading.update(heading(sync, picture))
        if sync != self._read_for or self._may_differ():
            self._read_for = sync
            self._read()
        self._show_rows(picture)

    # Reading

    def _may_differ(self) -> bool:
        """Whether what waits was read some time ago; a reading that is under way is not broken off."""
        reading = self._reading is not None and not self._reading.is_finished
        return bool(self._waiting) and not reading and time.monotonic() >= self._read_next

    def _read(self) -> None:
        self._read_next = time.monotonic() + READ_EVERY
        self._reading = begin(self, self._load, "Read the conflicts", "read-conflicts")

    async def _load(self) -> None:
        backend = self.app.desk.backend
        try:
            found, waiting = await backend.list_conflicts(), await backend.list_pending(SHOWN + 1)
        except Exception:
            self._read_for = None  # looked at again with the next picture
            raise
        self._conflicts = {conflict.id: conflict for conflict in found}
        self._waiting = {change.id: change for change in waiting[:SHOWN]}
        self._cut = len(waiting) > SHOWN
        self.grid.set_placeholder("empty", "Nothing waits, and nothing is in conflict.")
        self._show_rows(self.app.picture)
        self._show_versions()

    def _show_rows(self, picture: Picture) -> None:
        rows = [row(conflict, picture) for conflict in self._conflicts.values()]
        rows += [waiting_row(change, picture) for change in self._waiting.values()]
        if self._cut:
            rows.append(more_row(max(1, picture.snapshot.sync.pending - SHOWN)))
        self.grid.set_rows(rows)
        self.set_class(not (self._conflicts or self._waiting), "-nothing")

    @on(Grid.Highlighted)
    def _cursor_moved(self, event: Grid.Highlighted) -> None:
        event.stop()
        self._show_versions()
        self.show_hints()

    def _show_versions(self) -> None:
        conflict, change = self.conflict, self._waiting.get(self.grid.cursor_id or "")
        self.theirs.display = conflict is not None
        if change is not None:
            self._show_waiting(change)
        elif conflict is None:
            self.problem.update("")
            self.mine.update("")
        if conflict is None:
            return
        why = "the server refused it" if conflict.rejected else "changed on the server meanwhile"
        self.problem.update(
            Content.assemble(styled(f"✗ {why}: ", "error"), clean_line(conflict.problem, 600))
        )
        self.mine.update(version("Mine, as it was asked for here", mine_fields(conflict), "Nothing more."))
        self.theirs.update(
            version("Theirs, as the server has it", their_fields(conflict), "The server has none of it.")
        )

    def _show_waiting(self, change: Waiting) -> None:
        self.problem.update(Content.assemble(styled("… waits: ", "info"), clean_line(change.why, 600)))
        sent = f"made by {clean_line(change.by, 80)}; {times_sent(change.tries)}"
        lines = version("What the server is asked for", fields_of(change.mine), "Nothing more.")
        self.mine.update(Content("\n").join([Content.styled(sent, "$text-muted"), lines]))

    # Settling

    def do_settle_mine(self) -> None:
        self._settle(Choice.MINE)

    def do_settle_theirs(self) -> None:
        self._settle(Choice.THEIRS)

    def _settle(self, choice: Choice) -> None:
        conflict = self.conflict
        if conflict is not None:
            self.app.start(partial(self._settled, conflict, choice), "Settle")

    async def _settled(self, conflict: Conflict, choice: Choice) -> None:
        desk = self.app.desk
        await desk.backend.settle_conflict(conflict.id, choice, actor=desk.actor)
        self.app.flash(SETTLED[choice].format(conflict.summary))
        if self.is_mounted:
            self._read()

    def do_send_now(self) -> None:
        self.app.start(self._send, "Send what waits")

    async def _send(self) -> None:
        state = await self.app.desk.backend.sync_now()
        self.app.flash(outcome(state), "information" if state.mode is not SyncMode.OFFLINE else "warning")
        if self.is_mounted:
            self._read()


def heading(sync: SyncState, picture: Picture) -> Content:
    """The state in one line."""
    server = clean_line(sync.server or "the server", 100)
    if sync.mode is SyncMode.LOCAL:
        return Content("The state is in this project's own store: there is no server to send anything to.")
    waits = waiting_changes(sync.pending)
    if sync.progress:
        progress = clean_line(sync.progress, 100)
        return Content.assemble(styled("● ", "info"), f"synchronising with {server}: {progress}; {waits}.")
    if sync.mode is SyncMode.ONLINE:
        return Content.assemble(styled("● ", "ok"), f"{server} answers; {waits}.")
    since = f" for {age((picture.now - sync.since).total_seconds())}" if sync.since else ""
    why = f" ({clean_line(sync.trouble, 200)})" if sync.trouble else ""
    return Content.assemble(styled("✗ ", "warning"), f"{server} is away{since}; {waits}{why}.")


def outcome(state: SyncState) -> str:
    """What came of trying to send at once."""
    if state.mode is SyncMode.LOCAL:
        return "the state is in this project's own store: there is nothing to send"
    if state.mode is SyncMode.OFFLINE:
        return f"the server is still away ({state.trouble or 'it does not answer'})"
    return f"the server answers; {waiting_changes(state.pending)}"


def row(conflict: Conflict, picture: Picture) -> Row:
    made = age((picture.now - conflict.at).total_seconds())
    return Row(
        conflict.id,
        (made, "conflict", clean_line(conflict.task_id or "", 64), clean_line(conflict.summary, 300)),
        cell_tones=("dim", "warning", "dim", ""),
    )


def waiting_row(change: Waiting, picture: Picture) -> Row:
    made = age((picture.now - change.at).total_seconds())
    state = "sent" if change.tries else "waits"
    return Row(
        change.id,
        (made, state, clean_line(change.by, 64), clean_line(change.summary, 300)),
        cell_tones=("dim", "info", "dim", ""),
    )


def more_row(number: int) -> Row:
    return Row(MORE, ("", "", "", f"{number} more: octopoid sync --list"), tone="dim")


def version(title: str, fields: Sequence[Field], nothing: str) -> Content:
    """One version for reading; a field that differs is marked by a sign and a colour."""
    lines = [_line(field) for field in fields] or [Content.styled(nothing, "$text-muted")]
    return Content("\n").join([Content.styled(title, "bold $text-primary"), *lines])


def _line(field: Field) -> Content:
    tone: Tone = "warning" if field.differs else ""
    head = styled(f"{CHANGED if field.differs else ' '} {field.name}", tone or "dim")
    if "\n" not in field.value:
        return Content.assemble(head, "  ", styled(field.value, tone))
    lines = [Content.assemble("    ", styled(line, tone)) for line in field.value.splitlines()]
    return Content("\n").join([head, *lines])
