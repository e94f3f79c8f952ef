"""The leases: who holds which task, on which machine, and how long that still lasts."""

from __future__ import annotations

from textual import getters, on
from textual.app import ComposeResult

from backend.sync import SyncMode
from octopoid_tui.host import Picture
from octopoid_tui.panes.base import Pane, Selection
from octopoid_tui.snapshot import Lease
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row
from octopoid_tui.widgets.lease_bar import lease_bar, time_left

BAR = 10
COLUMNS = (
    Column("holder", "Holder", 9),
    Column("machine", "Machine", 9, priority=2),
    Column("task", "Task", 14, flex=1),
    Column("bar", "Lease", BAR, priority=1, sortable=False),
    Column("left", "Left", 7, right=True),
)


class LeasesPane(Pane):
    KEY = "leases"
    NUMBER = 3
    TITLE = "Leases"

    grid = getters.query_one(Grid)

    def compose(self) -> ComposeResult:
        yield Grid(COLUMNS, id="leases-grid")

    def show(self, picture: Picture) -> None:
        leases = picture.snapshot.leases()
        self.grid.stale = picture.feed.status == "stale"
        self.grid.set_placeholder(
            *(("empty", "No leases: no task is being worked on.") if picture.loaded
              else ("loading", "Reading the leases"))
        )  # fmt: skip
        self.grid.set_rows([row(lease, picture) for lease in leases])
        self.set_count(len(leases))

    @property
    def selection(self) -> Selection:
        snapshot = self.app.picture.snapshot
        task = snapshot.tasks.get(self.grid.cursor_id or "")
        if task is None:
            return Selection()
        questions = snapshot.questions_of(task.id)
        hint = f"{task.id}: {task.title}, held by {snapshot.holder(task)} on {task.orchestrator_id}"
        return Selection(task, questions[0] if questions else None, hint)

    def focus_list(self) -> None:
        self.screen.set_focus(self.grid)

    @on(Grid.Highlighted)
    def _cursor_moved(self, event: Grid.Highlighted) -> None:
        event.stop()
        self.changed()

    @on(Grid.Selected)
    def _row_opened(self, event: Grid.Selected) -> None:
        event.stop()
        self.post_message(self.Opened(self))


def row(lease: Lease, picture: Picture) -> Row:
    bar, tone = lease_bar(lease.fraction_left(picture.now, picture.lease_span), BAR)
    left = time_left((lease.expires_at - picture.now).total_seconds())
    if picture.snapshot.sync.mode is SyncMode.OFFLINE:
        # Nobody can renew, and nobody knows what was renewed.
        bar, tone, left = "", "", "?"
    return Row(
        lease.task.id,
        (lease.holder, lease.orchestrator_id, lease.task.title, bar, left),
        cell_tones=("", "dim", "", tone, tone if tone == "warning" else "dim"),
    )
