"""Projects with their progress and tasks, and drafts with what they have become."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import ContentSwitcher, Static

from backend.model import Task
from backend.planning import Draft, Project
from octopoid_tui.actions import Action, Context, Where
from octopoid_tui.host import Picture
from octopoid_tui.keys import bindings
from octopoid_tui.panes.task_rows import COLUMNS as TASK_COLUMNS
from octopoid_tui.panes.task_rows import task_rows
from octopoid_tui.screens.base import SMALLEST
from octopoid_tui.screens.places.planned import (
    DRAFT_COLUMNS,
    PROJECT_COLUMNS,
    Planned,
    draft_row,
    draft_text,
    gather,
    project_row,
    project_text,
)
from octopoid_tui.screens.places.tabbed import ListsPlace
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import KeyFooter
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.status_line import StatusLine
from octopoid_tui.widgets.tab_strip import Tab, TabStrip
from octopoid_tui.widgets.too_small import TooSmall

PROJECTS, DRAFTS = "projects", "drafts"


class ProjectsScreen(ListsPlace):
    """Two lists, and beside them what is under the cursor and its tasks."""

    WHERE = Where.PROJECTS
    WHAT = "projects and drafts"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.PROJECTS)

    detail = getters.query_one("#planned-text", Static)
    tasks = getters.query_one("#planned-tasks", Grid)

    def __init__(self) -> None:
        super().__init__(PROJECTS)
        self._planned = Planned()

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield TabStrip(classes="place-tabs")
        with Container(classes="place-body"):
            with ContentSwitcher(initial=PROJECTS, classes="place-lists"):
                yield Grid(PROJECT_COLUMNS, id=PROJECTS)
                yield Grid(DRAFT_COLUMNS, id=DRAFTS)
            with Vertical(classes="place-side"):
                with VerticalScroll(classes="place-detail"):
                    yield Static("", id="planned-text", markup=False)
                yield Grid(TASK_COLUMNS, id="planned-tasks", classes="place-tasks")
        yield FlashLine()
        yield KeyFooter()
        yield TooSmall(*SMALLEST)

    def grids(self) -> tuple[Grid, ...]:
        return self.query_one(f"#{PROJECTS}", Grid), self.query_one(f"#{DRAFTS}", Grid)

    @property
    def project(self) -> Project | None:
        return self._planned.projects.get(self.grid.cursor_id or "") if self._list == PROJECTS else None

    @property
    def draft(self) -> Draft | None:
        return self._planned.drafts.get(self.grid.cursor_id or "") if self._list == DRAFTS else None

    def context(self) -> Context:
        base = self.base_context()
        task = base.snapshot.tasks.get(self.tasks.cursor_id or "") if self.tasks.has_focus else None
        return replace(base, pane=self._list, task=task, project=self.project, draft=self.draft)

    async def load(self) -> None:
        backend, tasks = self.app.desk.backend, self.app.picture.snapshot.tasks
        projects, drafts = await backend.list_projects(), await backend.list_drafts()
        # Of a hundred thousand tasks, sorting them out would be felt as a late key.
        self._planned = await asyncio.to_thread(gather, projects, drafts, tasks.values())
        first, second = self.grids()
        first.set_placeholder("empty", "No projects.\nn makes one; tasks join it by their project.")
        second.set_placeholder("empty", "No drafts.\nn writes one down; t turns it into tasks.")

    def show_loaded(self, picture: Picture) -> None:
        known = self._planned
        self.tabs.set_tabs(
            [
                Tab(PROJECTS, "Projects", len(known.projects)),
                Tab(DRAFTS, "Drafts", len(known.drafts)),
            ],
            self._list,
        )
        projects, drafts = self.grids()
        projects.set_rows([project_row(one, known.share(one.id)) for one in known.projects.values()])
        drafts.set_rows([draft_row(one, known.projects, picture.now) for one in known.drafts.values()])
        self._show_detail(picture)

    def _show_detail(self, picture: Picture) -> None:
        project, draft = self.project, self.draft
        shown: tuple[Task, ...] = ()
        if project is not None:
            share = self._planned.share(project.id)
            shown = share.tasks
            self.detail.update(project_text(project, share))
        elif draft is not None:
            known = picture.snapshot.tasks
            shown = tuple(known[task_id] for task_id in draft.task_ids if task_id in known)
            self.detail.update(draft_text(draft, self._planned.projects))
        else:
            self.detail.update("")
        self.tasks.set_placeholder("empty", _no_tasks(project, draft))
        self.tasks.set_rows(task_rows(shown, picture.snapshot, picture.busy, picture.now))
        self.flash_line.set_hint(_hint(project, draft))

    @on(Grid.Highlighted)
    def _cursor_moved(self, event: Grid.Highlighted) -> None:
        event.stop()
        if event.grid is self.grid:
            self._show_detail(self.app.picture)
        self.show_hints()

    @on(Grid.Selected)
    def _row_opened(self, event: Grid.Selected) -> None:
        event.stop()
        if event.grid is self.tasks:
            self.action_perform("task.open")
        else:
            self.set_focus(self.tasks)

    def do_back(self) -> None:
        """From the tasks to the list, and from there to where one came from."""
        if self.grid.has_focus:
            super().do_back()
        else:
            self.set_focus(self.grid)

    def performed(self, action: Action, context: Context) -> None:
        self.read_again()


def _no_tasks(project: Project | None, draft: Draft | None) -> str:
    if project is not None:
        return "No tasks yet.\na adds one"
    if draft is not None:
        return "No tasks yet.\nt turns the draft into tasks"
    return ""


def _hint(project: Project | None, draft: Draft | None) -> str:
    if project is not None:
        return "enter goes to its tasks, a adds one, [ ] the other list"
    if draft is not None:
        return "t turns it into tasks, s gives it another state, [ ] the other list"
    return "n makes one, [ ] the other list"
