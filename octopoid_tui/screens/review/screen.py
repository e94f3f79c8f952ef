"""The review: the diff and the evidence of one provisional task after the other."""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from backend.clean import clean, clean_line
from backend.model import Queue, Task
from octopoid_tui.actions import Action, Context, Where
from octopoid_tui.feed import FeedStatus
from octopoid_tui.formats import count
from octopoid_tui.host import Picture, begin
from octopoid_tui.keys import bindings
from octopoid_tui.panes import glyphs
from octopoid_tui.panes.glyphs import styled
from octopoid_tui.screens.base import SMALLEST, FleetScreen
from octopoid_tui.screens.dialogs.prompt import Prompt
from octopoid_tui.screens.task.facts import evidence_summary
from octopoid_tui.widgets.diff_model import DiffFile, DiffModel, parse_diff
from octopoid_tui.widgets.diff_view import DiffPlace, DiffView
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import KeyFooter
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row
from octopoid_tui.widgets.status_line import StatusLine
from octopoid_tui.widgets.too_small import TooSmall

NARROW = 110
DECISIONS = frozenset({"task.accept", "task.reject", "task.cancel"})
PLAN_LINES = 200
MEANT_FOR_THE_LAST = 0.7  # seconds after the screen has gone on by itself
FILE_COLUMNS = (
    Column("path", "File", 12, flex=1, sortable=False),
    Column("added", "+", 5, right=True, sortable=False),
    Column("removed", "-", 5, right=True, sortable=False),
)
STATUS_SIGNS = {"modified": "~", "added": "+", "deleted": "-", "renamed": ">", "copied": "="}


class ReviewScreen(FleetScreen):
    """One task's changes. Comments on lines are kept until the rejection that carries them."""

    WHERE = Where.REVIEW
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.REVIEW)

    heading = getters.query_one("#review-title", Static)
    checks = getters.query_one("#review-checks", Static)
    files = getters.query_one("#review-files", Grid)
    diff = getters.query_one(DiffView)
    nothing = getters.query_one("#review-empty", Static)
    too_small = getters.query_one(TooSmall)

    def __init__(self, task_id: str) -> None:
        super().__init__()
        self._task_id = task_id
        self._shown: tuple[str, str | None, int] | None = None
        self._model = DiffModel()
        self._went_on_at = -math.inf

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield Static("", id="review-title", markup=False)
        yield Static("", id="review-checks", markup=False)
        with Horizontal(id="review-body"):
            with Vertical(id="review-side"):
                yield Grid(FILE_COLUMNS, id="review-files")
            yield DiffView()
            yield Static("", id="review-empty", markup=False)
        yield FlashLine()
        yield KeyFooter()
        yield TooSmall(*SMALLEST)

    def ready(self) -> None:
        self.diff.focus()

    @property
    def subject(self) -> Task | None:
        return self.app.picture.snapshot.tasks.get(self._task_id)

    def context(self) -> Context:
        picture = self.app.picture
        return Context(
            Where.REVIEW,
            picture.snapshot,
            "",
            self.subject,
            owns_scheduler=self.app.scheduler is not None,
            live=picture.feed.status is FeedStatus.LIVE,
        )

    def resized(self, width: int, height: int) -> None:
        self.too_small.tell(width, height)
        self.set_class(width < NARROW, "-narrow")

    def show_picture(self, picture: Picture) -> None:
        task = self.subject
        if task is None:
            self.heading.update(
                Content.styled(f"{self._task_id} is not in the store any more", "$text-error")
            )
            return
        self.heading.update(self._heading(task, picture), layout=False)
        self._show_hint()
        wanted = (task.id, task.head_sha, task.version)
        if wanted != self._shown:
            same_work = self._shown is not None and self._shown[:2] == wanted[:2]
            self._shown = wanted
            begin(self, partial(self._read, task, diff_too=not same_work), "Read the changes", "read")

    def _heading(self, task: Task, picture: Picture) -> Content:
        waiting = picture.snapshot.views.get(Queue.PROVISIONAL, ())
        place = next((n for n, other in enumerate(waiting, 1) if other.id == task.id), None)
        state, tone = glyphs.task(task, picture.busy.get(task.id))
        where = f"{place} of {len(waiting)}   " if place else ""
        return Content.assemble(
            styled(state, tone), "   ", (where, "$text-muted"), (task.id, "$text-muted"), "  ",
            (clean_line(task.title, 300), "bold"),
        )  # fmt: skip

    async def _read(self, task: Task, *, diff_too: bool) -> None:
        desk = self.app.desk
        evidence = await desk.backend.list_evidence(task.id)
        self._show_checks(task, evidence_summary(evidence, task.head_sha))
        if diff_too:
            self.show_diff(await asyncio.to_thread(parse_diff, await desk.diff(task.id)), plan_shown(task))
            self._show_checks(task, evidence_summary(evidence, task.head_sha))

    def show_diff(self, model: DiffModel, instead: str = "") -> None:
        """Show changes, or where there are none, what else is to be decided on."""
        self._model = model
        self.files.set_rows([file_row(file) for file in model.files])
        self.diff.set_model(model)
        self.diff.display = bool(model.lines)
        self.nothing.display = not model.lines
        said = instead or "No changes were collected: there is nothing to read."
        self.nothing.update(Content(f"{said}\n\nenter or esc goes back"))
        if not model.lines:
            self.set_focus(None)
        elif self.focused is None:
            self.diff.focus()

    def _show_checks(self, task: Task, summary: Content) -> None:
        files = self._model.files
        changed = (
            f"{len(files)} file{'' if len(files) == 1 else 's'}   "
            f"+{count(sum(f.added for f in files))} -{count(sum(f.removed for f in files))}"
        )
        attempt = f"   attempt {task.attempt_count}"
        if task.rejection_count:
            attempt += f", rejected {task.rejection_count} time{'' if task.rejection_count == 1 else 's'}"
        self.checks.update(Content.assemble(summary, (f"   {changed}{attempt}", "$text-muted")))

    # Files

    @on(Grid.Selected, "#review-files")
    @on(Grid.Highlighted, "#review-files")
    def _file_chosen(self, event: Grid.Selected | Grid.Highlighted) -> None:
        event.stop()
        if event.row_id is not None and self.files.has_focus:
            self.diff.go_to_file(event.row_id)
            if isinstance(event, Grid.Selected):
                self.diff.focus()

    @on(DiffView.FileChanged)
    def _file_entered(self, event: DiffView.FileChanged) -> None:
        event.stop()
        if not self.files.has_focus:
            self.files.move_to(event.path)

    def do_next_file(self) -> None:
        self.diff.action_next_file()

    def do_previous_file(self) -> None:
        self.diff.action_previous_file()

    def do_next_hunk(self) -> None:
        self.diff.action_next_hunk()

    def do_previous_hunk(self) -> None:
        self.diff.action_previous_hunk()

    # Comments

    @on(DiffView.Chosen)
    def _line_chosen(self, event: DiffView.Chosen) -> None:
        event.stop()
        self.app.start(partial(self._comment, event.place), "Comment")

    def do_comment(self) -> None:
        place = self.diff.place
        if place is None:
            self.app.flash("Comment: put the cursor on a line of a file first", "warning")
        else:
            self.app.start(partial(self._comment, place), "Comment")

    async def _comment(self, place: DiffPlace) -> None:
        where = f"{place.path}:{place.new_line or place.old_line}"
        text = await self.app.push_screen_wait(
            Prompt(
                f"Comment on {where}",
                f"{place.text.strip()}\n\nIt goes into the reason when you reject.",
                send="keep",
            )
        )
        if text is None:
            return
        key = f"reject:{self._task_id}"
        before = self.app.drafts.get(key, "")
        self.app.drafts[key] = f"{before}{where}: {text}\n"
        self.app.flash(f"kept; r rejects with {len(self._comments())} lines of comments")
        self._show_hint()

    def _comments(self) -> list[str]:
        return self.app.drafts.get(f"reject:{self._task_id}", "").splitlines()

    def _show_hint(self) -> None:
        kept, task = len(self._comments()), self.subject
        if kept:
            hint = f"{kept} lines of comments kept for the rejection"
        elif task is not None and (task.queue is not Queue.PROVISIONAL or task.approved_by):
            more = bool(self.app.picture.snapshot.to_review())
            hint = "n shows the next to review" if more else "nothing else to review: esc goes back"
        else:
            hint = "enter comments on a line, { } files, [ ] hunks"
        self.flash_line.set_hint(hint)

    # One after the other

    def do_next_review(self) -> None:
        self._step(1)

    def do_previous_review(self) -> None:
        self._step(-1)

    def _step(self, step: int) -> None:
        waiting = [task.id for task in self.app.picture.snapshot.to_review()]
        others = [task_id for task_id in waiting if task_id != self._task_id]
        if not others:
            self.app.flash("nothing else waits for your review", "warning")
            return
        if self._task_id in waiting:
            chosen = waiting[(waiting.index(self._task_id) + step) % len(waiting)]
        else:
            chosen = others[0 if step > 0 else -1]
        self.review(chosen)

    def performed(self, action: Action, context: Context) -> None:
        """Once a task is decided, go on with the next one that waits."""
        decided = context.task
        if action.id not in DECISIONS or decided is None or decided.id != self._task_id:
            return
        before = [task.id for task in context.snapshot.to_review()]
        place = before.index(decided.id) if decided.id in before else -1
        still = {task.id for task in self.app.picture.snapshot.to_review()} - {decided.id}
        chosen = next((key for key in (*before[place + 1 :], *before) if key in still), None)
        if chosen is None:
            self._show_hint()
            return
        self._went_on_at = time.monotonic()
        self.review(chosen)

    def action_perform(self, action_id: str) -> None:
        """Do an action, but decide nothing by a key that was meant for the task before."""
        if action_id in DECISIONS and time.monotonic() - self._went_on_at < MEANT_FOR_THE_LAST:
            self.app.flash(f"this is the next task now: {self._task_id}", "warning")
            return
        super().action_perform(action_id)

    def review(self, task_id: str) -> None:
        """Show another task's changes."""
        self._task_id = task_id
        self._shown = None
        self.take_picture(self.app.picture)


def file_row(file: DiffFile) -> Row:
    return Row(
        file.path,
        (f"{STATUS_SIGNS[file.status]} {file.path}", count(file.added), count(file.removed)),
        cell_tones=("", "ok", "error"),
    )


def plan_shown(task: Task) -> str:
    """The beginning of the plan that waits for approval; empty for work that is no plan."""
    # Only a task that was broken down has one: what reads it is loaded then.
    if "plan" not in task.metadata:
        return ""
    from scheduler.pipeline.plan import plan_of

    plan = plan_of(task)
    lines = [] if plan is None else clean(plan.text()).splitlines()
    more = "\n… the whole plan is in the conversation" if len(lines) > PLAN_LINES else ""
    return "\n".join(lines[:PLAN_LINES]) + more
