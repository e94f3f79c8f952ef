"""The queues: a tab for each state, and the tasks of the active one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from textual import getters, on
from textual.app import ComposeResult

from backend.model import Queue, Task
from octopoid_tui.host import Picture, begin
from octopoid_tui.panes.base import Pane, Selection
from octopoid_tui.panes.filters import parse
from octopoid_tui.panes.task_rows import COLUMNS, reason, since, task_rows
from octopoid_tui.snapshot import Snapshot
from octopoid_tui.widgets.filter_bar import FilterBar
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.tab_strip import Tab, TabStrip

ALL = "all"
TABS: tuple[Queue, ...] = (
    Queue.INCOMING,
    Queue.CLAIMED,
    Queue.PROVISIONAL,
    Queue.BLOCKED,
    Queue.ESCALATED,
    Queue.FAILED,
    Queue.BACKLOG,
    Queue.DONE,
    Queue.CANCELLED,
)
ALERTS = frozenset({Queue.PROVISIONAL, Queue.ESCALATED})
SLICE = 4000  # tasks filtered at a time; about three milliseconds
SORT_KEYS: dict[str, Callable[[Task], Any]] = {
    "state": lambda task: task.queue.value,
    "priority": lambda task: task.priority.value,
    "title": lambda task: task.title.lower(),
    "age": lambda task: -since(task).timestamp(),
    "agent": lambda task: task.claimed_by or "~",
    "reason": lambda task: task.reason or "~",
    "id": lambda task: task.id,
}


class QueuesPane(Pane):
    KEY = "queues"
    NUMBER = 1
    TITLE = "Queues"

    tabs = getters.query_one(TabStrip)
    grid = getters.query_one(Grid)
    bar = getters.query_one(FilterBar)

    def __init__(self) -> None:
        super().__init__()
        self._active = ALL
        self._source: Sequence[Task] = ()
        self._shown: Sequence[Task] = ()
        self._sort: tuple[str, bool] | None = None
        self._viewed: Snapshot | None = None

    def compose(self) -> ComposeResult:
        yield TabStrip()
        yield FilterBar(self.focus_list)
        yield Grid(COLUMNS, id="queues-grid")

    @property
    def active_tab(self) -> str:
        return self._active

    def show(self, picture: Picture) -> None:
        snapshot = picture.snapshot
        self._show_tabs(snapshot)
        self.grid.set_placeholder(*self._placeholder(picture))
        self.grid.stale = picture.feed.status == "stale"
        if self._viewed is None or snapshot.views is not self._viewed.views:
            self._viewed = snapshot
            self._take(self._tasks_of(snapshot))
        else:
            told, self._viewed = self._viewed is not snapshot, snapshot
            self._show_rows(told=told)

    @property
    def selection(self) -> Selection:
        task = self._find(self.grid.cursor_id)
        if task is None or self._viewed is None:
            return Selection()
        why = reason(task, self._viewed)
        questions = self._viewed.questions_of(task.id)
        asked = f"{questions[0].message.body}" if questions else why
        return Selection(
            task, questions[0] if questions else None, f"{task.id}: {asked}" if asked else task.id
        )

    @property
    def marked(self) -> tuple[Task, ...]:
        found = (self._find(task_id) for task_id in self.grid.marked)
        return tuple(task for task in found if task is not None)

    def focus_list(self) -> None:
        self.screen.set_focus(self.grid)

    def choose_tab(self, key: str) -> None:
        """Show another queue; marks do not follow there."""
        self._active = key
        self.grid.clear_marks()
        self._viewed = None
        self.show(self.app.picture)
        self.changed()

    def step_tab(self, step: int) -> None:
        self.choose_tab(self.tabs.neighbour(step))

    def go_to(self, task_id: str) -> bool:
        """Put the cursor on a task, in the view of all tasks if the active tab does not hold it."""
        if not self.grid.move_to(task_id):
            self.bar.action_clear()
            self.choose_tab(ALL)
        return self.grid.move_to(task_id)

    @on(TabStrip.Chosen)
    def _tab_clicked(self, event: TabStrip.Chosen) -> None:
        event.stop()
        self.choose_tab(event.key)

    @on(FilterBar.Changed)
    def _filter_changed(self, event: FilterBar.Changed) -> None:
        event.stop()
        self._take(self._source)

    @on(Grid.Highlighted)
    @on(Grid.MarksChanged)
    def _cursor_moved(self, event: Grid.Highlighted | Grid.MarksChanged) -> None:
        event.stop()
        self.changed()

    @on(Grid.Selected)
    def _row_opened(self, event: Grid.Selected) -> None:
        event.stop()
        self.post_message(self.Opened(self))

    @on(Grid.SortRequested)
    def _sort_requested(self, event: Grid.SortRequested) -> None:
        event.stop()
        # The third click on a header goes back to the order in which tasks are claimed.
        again = self._sort == (event.key, True)
        self._sort = None if again else (event.key, event.reverse)
        self.grid.set_sort(None if again else event.key, reverse=event.reverse)
        self._take(self._source)

    def _find(self, task_id: str | None) -> Task | None:
        return self._viewed.tasks.get(task_id) if self._viewed and task_id else None

    def _tasks_of(self, snapshot: Snapshot) -> Sequence[Task]:
        return snapshot.all_tasks() if self._active == ALL else snapshot.views.get(Queue(self._active), ())

    def _show_tabs(self, snapshot: Snapshot) -> None:
        tabs = [Tab(ALL, ALL, len(snapshot.tasks))]
        tabs += [Tab(q.value, q.value, snapshot.count(q), q in ALERTS) for q in TABS]
        self.tabs.set_tabs([replace_alert(tab) for tab in tabs], self._active)

    def _take(self, source: Sequence[Task]) -> None:
        """Filter and sort anew; a long list in slices, so that no key waits for it."""
        self._source = source
        if len(source) <= SLICE:
            match = parse(self.bar.text)
            self._set_shown([t for t in source if match(t)] if match else source)
        else:
            begin(self, partial(self._take_slowly, source), "Filter", "filter")

    async def _take_slowly(self, source: Sequence[Task]) -> None:
        match = parse(self.bar.text)
        shown: Sequence[Task] = source
        if match is not None:
            found: list[Task] = []
            for start in range(0, len(source), SLICE):
                found += [task for task in source[start : start + SLICE] if match(task)]
                await asyncio.sleep(0)
            shown = found
        if self._sort is not None:
            key, reverse = self._sort
            shown = await asyncio.to_thread(sorted, shown, key=SORT_KEYS[key], reverse=reverse)
        self._place(shown)

    def _set_shown(self, shown: Sequence[Task]) -> None:
        if self._sort is not None:
            key, reverse = self._sort
            shown = sorted(shown, key=SORT_KEYS[key], reverse=reverse)
        self._place(shown)

    def _place(self, shown: Sequence[Task]) -> None:
        self._shown = shown
        filtered = bool(self.bar.text)
        self.bar.set_found(f"{len(shown)} of {len(self._source)}" if filtered else "")
        self.grid.set_placeholder(*self._placeholder(self.app.picture))
        self.set_count(f"{len(shown)}/{len(self._source)}" if filtered else len(shown))
        self._show_rows()

    def _show_rows(self, *, told: bool = True) -> None:
        """Show the rows; without `told` nothing but their ages can have changed."""
        if self._viewed is not None:
            picture = self.app.picture
            self.grid.set_rows(task_rows(self._shown, self._viewed, picture.busy, picture.now))
            if told:
                self.changed()

    def _placeholder(self, picture: Picture) -> tuple[Any, str]:
        if not picture.loaded:
            return "loading", "Reading the tasks"
        if picture.feed.status == "stale" and not picture.snapshot.tasks:
            return "error", f"{picture.feed.problem}\nTried again by itself; ctrl+r tries now."
        if self.bar.text:
            return "empty", "No task matches the filter.\nPress / to change it, esc in it to clear it."
        if not picture.snapshot.tasks:
            return "empty", "No tasks yet.\n\nPress n to create one."
        return "empty", f"No task is {self._active}.\nPress ← or → for the other queues."


def replace_alert(tab: Tab) -> Tab:
    """An empty queue alerts nobody."""
    return Tab(tab.key, tab.label, tab.number, tab.alert and bool(tab.number))
