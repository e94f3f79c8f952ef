"""Projects and drafts as rows and for reading. Pure, but for the type of styled text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from textual.content import Content

from backend.clean import clean, clean_line
from backend.model import Queue, Task
from backend.planning import Draft, DraftStatus, Project, ProjectStatus
from octopoid_tui.formats import age
from octopoid_tui.panes import glyphs
from octopoid_tui.panes.glyphs import Sign, styled
from octopoid_tui.snapshot import ORDER
from octopoid_tui.widgets.grid_model import Column, Row
from octopoid_tui.widgets.meter import bar

BAR = 10
PROJECT_COLUMNS = (
    Column("state", "State", 11, sortable=False),
    Column("title", "Project", 30, flex=1, sortable=False),
    Column("progress", "Done", BAR + 8, sortable=False),
    Column("waits", "Waits", 5, priority=1, right=True, sortable=False),
    Column("id", "Id", 14, priority=2, sortable=False),
)
DRAFT_COLUMNS = (
    Column("state", "State", 11, sortable=False),
    Column("title", "Draft", 20, flex=1, sortable=False),
    Column("project", "Project", 14, priority=2, sortable=False),
    Column("tasks", "Tasks", 5, right=True, sortable=False),
    Column("age", "Changed", 7, priority=1, right=True, sortable=False),
)
PROJECT_STATES: Mapping[ProjectStatus, Sign] = MappingProxyType(
    {
        ProjectStatus.ACTIVE: ("▸ active", "info"),
        ProjectStatus.COMPLETED: ("✓ completed", "ok"),
        ProjectStatus.ABANDONED: ("− abandoned", "dim"),
    }
)
DRAFT_STATES: Mapping[DraftStatus, Sign] = MappingProxyType(
    {
        DraftStatus.IDEA: ("· idea", ""),
        DraftStatus.PROPOSED: ("◆ proposed", "warning"),
        DraftStatus.PROMOTED: ("✓ promoted", "ok"),
        DraftStatus.ARCHIVED: ("− archived", "dim"),
    }
)
PLACE_OF = {queue: place for place, queue in enumerate(ORDER)}


@dataclass(frozen=True, slots=True)
class Share:
    """The tasks of one project, counted once: there may be very many."""

    tasks: tuple[Task, ...] = ()
    counts: Mapping[Queue, int] = field(default_factory=lambda: MappingProxyType({}))
    waits: int = 0
    """How many go on only by a person's word."""

    @property
    def done(self) -> int:
        return self.counts.get(Queue.DONE, 0)

    @property
    def wanted(self) -> int:
        """All but those that were cancelled."""
        return len(self.tasks) - self.counts.get(Queue.CANCELLED, 0)


@dataclass(frozen=True, slots=True)
class Planned:
    """What the store has of projects and drafts, and the tasks of each project."""

    projects: Mapping[str, Project] = field(default_factory=lambda: MappingProxyType({}))
    drafts: Mapping[str, Draft] = field(default_factory=lambda: MappingProxyType({}))
    shares: Mapping[str, Share] = field(default_factory=lambda: MappingProxyType({}))

    def share(self, project_id: str) -> Share:
        return self.shares.get(project_id, NO_TASKS)


NO_TASKS = Share()


def gather(projects: Iterable[Project], drafts: Iterable[Draft], tasks: Iterable[Task]) -> Planned:
    """Active projects by title and open drafts by last change, before others; tasks as queues have them."""
    states, forms = list(ProjectStatus), list(DraftStatus)
    by_project: dict[str, list[Task]] = {}
    for task in tasks:
        if task.project_id is not None:
            by_project.setdefault(task.project_id, []).append(task)
    shown = sorted(projects, key=lambda one: (states.index(one.status), one.title.lower(), one.id))
    newest = sorted(drafts, key=lambda one: one.updated_at, reverse=True)
    return Planned(
        {one.id: one for one in shown},
        {one.id: one for one in sorted(newest, key=lambda one: forms.index(one.status))},
        {name: _share(found) for name, found in by_project.items()},
    )


def _share(tasks: list[Task]) -> Share:
    ordered = sorted(tasks, key=lambda task: (PLACE_OF[task.queue], task.priority, task.id))
    waits = sum(t.queue in (Queue.PROVISIONAL, Queue.ESCALATED) and not t.approved_by for t in tasks)
    return Share(tuple(ordered), Counter(task.queue for task in tasks), waits)


def project_row(project: Project, share: Share) -> Row:
    state, tone = PROJECT_STATES[project.status]
    return Row(
        project.id,
        (
            state,
            clean_line(project.title, 300),
            _progress(share.done, share.wanted),
            str(share.waits) if share.waits else "",
            clean_line(project.id, 64),
        ),
        cell_tones=(tone, "", "", "warning", "dim"),
    )


def _progress(done: int, of: int) -> Content:
    if not of:
        return Content.styled("no tasks", "$text-muted")
    style = "$text-success" if done == of else "$text-primary"
    return Content.assemble(bar(done / of, BAR, style), f" {done}/{of}")


def draft_row(draft: Draft, projects: Mapping[str, Project], now: datetime) -> Row:
    state, tone = DRAFT_STATES[draft.status]
    owner = projects.get(draft.project_id or "")
    return Row(
        draft.id,
        (
            state,
            clean_line(draft.title, 300),
            clean_line(owner.title if owner else draft.project_id or "", 100),
            str(len(draft.task_ids)) if draft.task_ids else "",
            age((now - draft.updated_at).total_seconds()),
        ),
        cell_tones=(tone, "", "dim", "", "dim"),
    )


def project_text(project: Project, share: Share) -> Content:
    """One project for reading."""
    state, tone = PROJECT_STATES[project.status]
    signs = [
        styled(f"{glyphs.QUEUE[queue][0]} {share.counts[queue]} {queue}", glyphs.QUEUE[queue][1])
        for queue in ORDER
        if share.counts.get(queue)
    ]
    facts = [f"tasks start from {clean_line(project.base_branch or 'the main branch', 100)}"]
    if project.auto_accept:
        facts.append("merged without asking when checks pass")
    lines = [
        Content.styled(clean_line(project.title, 300), "bold"),
        Content.assemble(styled(state, tone), (f"   {clean_line(project.id, 64)}", "$text-muted")),
        Content("   ").join(signs) if signs else Content.styled("no tasks yet", "$text-muted"),
        Content.styled("; ".join(facts), "$text-muted"),
    ]
    return _with_text(lines, project.description)


def draft_text(draft: Draft, projects: Mapping[str, Project]) -> Content:
    """One draft for reading."""
    state, tone = DRAFT_STATES[draft.status]
    owner = projects.get(draft.project_id or "")
    facts = [clean_line(f"by {draft.created_by}", 80)]
    if draft.project_id:
        facts.insert(0, f"for {clean_line(owner.title if owner else draft.project_id, 100)}")
    if draft.tags:
        facts.append(f"tags {clean_line(', '.join(draft.tags), 100)}")
    if draft.file_path:
        facts.append(clean_line(draft.file_path, 200))
    lines = [
        Content.styled(clean_line(draft.title, 300), "bold"),
        Content.assemble(styled(state, tone), (f"   {clean_line(draft.id, 64)}", "$text-muted")),
        Content.styled("; ".join(facts), "$text-muted"),
    ]
    return _with_text(lines, draft.body)


def _with_text(lines: list[Content], text: str) -> Content:
    body = clean(text).expandtabs(4).strip()
    return Content("\n").join([*lines, Content(""), Content(body)] if body else lines)
