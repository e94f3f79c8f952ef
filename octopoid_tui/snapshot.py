"""The immutable picture of the fleet that the screens show.

Built once from the store and then from what changed: applying a change copies a few containers and moves
the changed tasks within their sorted views; nothing is listed or sorted again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from types import MappingProxyType
from typing import Any

from backend.model import (
    Agent,
    Message,
    Orchestrator,
    Pause,
    Queue,
    Run,
    Task,
)
from backend.ranking import Question, dependents_of, rank
from backend.sync import LOCAL, SyncState

ORDER: tuple[Queue, ...] = (
    Queue.ESCALATED,
    Queue.PROVISIONAL,
    Queue.CLAIMED,
    Queue.INCOMING,
    Queue.BLOCKED,
    Queue.FAILED,
    Queue.BACKLOG,
    Queue.DONE,
    Queue.CANCELLED,
)
"""Queues as the view of all tasks lists them: what waits for a person first."""

NEWEST_FIRST = frozenset({Queue.DONE, Queue.FAILED, Queue.CANCELLED, Queue.ESCALATED})
REBUILD_AT = 2000  # beyond this many changes at once, sorting anew is cheaper than moving each


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds the right to work on a task until when."""

    task: Task
    holder: str
    orchestrator_id: str
    expires_at: datetime

    def fraction_left(self, now: datetime, span: timedelta) -> float:
        """The part of a whole lease that is left, from 0 to 1."""
        return min(1.0, max(0.0, (self.expires_at - now) / span))


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since a snapshot; `None` says that this kind has not been read again."""

    seq: int
    tasks: tuple[Task, ...] = ()
    gone: tuple[str, ...] = ()
    """Ids of tasks that no longer exist."""
    runs: tuple[Run, ...] | None = None
    agents: tuple[Agent, ...] | None = None
    orchestrators: tuple[Orchestrator, ...] | None = None
    questions: tuple[Message, ...] | None = None
    pause: Pause | None = None
    cost_today: float | None = None
    messages_seq: int | None = None
    sync: SyncState | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    seq: int = 0
    mode: str = "local"
    tasks: Mapping[str, Task] = field(default_factory=lambda: MappingProxyType({}))
    views: Mapping[Queue, tuple[Task, ...]] = field(default_factory=lambda: MappingProxyType({}))
    dependents: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    """Blocker id to the ids of the blocked tasks that name it."""
    runs: Mapping[str, Run] = field(default_factory=lambda: MappingProxyType({}))
    """Live runs by id."""
    agents: tuple[Agent, ...] = ()
    orchestrators: tuple[Orchestrator, ...] = ()
    questions: tuple[Question, ...] = ()
    """Ranked: what an answer unlocks, then priority, then age."""
    pause: Pause = field(default_factory=lambda: Pause(False))
    cost_today: float = 0.0
    messages_seq: int = 0
    """The last change of any message: an open conversation is read again when it grows."""
    sync: SyncState = LOCAL
    """How this machine stands with its server."""

    def count(self, queue: Queue) -> int:
        return len(self.views.get(queue, ()))

    def all_tasks(self) -> tuple[Task, ...]:
        return tuple(chain.from_iterable(self.views.get(queue, ()) for queue in ORDER))

    def leases(self) -> tuple[Lease, ...]:
        """Every live lease, the one that ends first first."""
        held = [
            Lease(task, self.holder(task), task.orchestrator_id or "", task.lease_expires_at)
            for queue in (Queue.CLAIMED, Queue.PROVISIONAL)
            for task in self.views.get(queue, ())
            if task.lease_expires_at is not None
        ]
        return tuple(sorted(held, key=lambda lease: (lease.expires_at, lease.task.id)))

    def holder(self, task: Task) -> str:
        run = self.runs.get(task.run_id or "")
        return task.claimed_by or (run.agent_name if run else "")

    def questions_of(self, task_id: str) -> tuple[Question, ...]:
        return tuple(q for q in self.questions if task_id in q.conversations)

    def to_review(self) -> tuple[Task, ...]:
        """Provisional tasks that nobody has approved yet."""
        return tuple(t for t in self.views.get(Queue.PROVISIONAL, ()) if t.approved_by is None)

    @property
    def waiting_for_you(self) -> int:
        """How many things go on only by a person's word."""
        return len(self.questions) + len(self.to_review()) + self.count(Queue.ESCALATED)

    @property
    def last_cycle_at(self) -> datetime | None:
        """When any scheduler last finished a cycle."""
        return max((o.last_cycle_at for o in self.orchestrators if o.last_cycle_at), default=None)

    @property
    def scheduler_active(self) -> bool:
        return any(o.status == "active" and o.last_cycle_at for o in self.orchestrators)


def claim_key(task: Task) -> tuple[Any, ...]:
    """The order in which tasks are claimed: priority, rejected before new, oldest first."""
    return (task.priority, -task.rejection_count, task.created_at, task.id)


def view_key(task: Task) -> tuple[Any, ...]:
    """Where a task stands within its queue's view."""
    if task.queue in NEWEST_FIRST:
        return (-(task.completed_at or task.updated_at).timestamp(), task.id)
    if task.queue is Queue.PROVISIONAL:
        return (task.priority, task.submitted_at or task.updated_at, task.id)
    return claim_key(task)


def build(tasks: Iterable[Task], changes: Changes, mode: str = "local") -> Snapshot:
    """The first snapshot, from everything the store has."""
    by_id = {task.id: task for task in tasks}
    bare = Snapshot(
        mode=mode,
        tasks=MappingProxyType(by_id),
        views=MappingProxyType(_sorted_views(by_id.values())),
        dependents=MappingProxyType(dependents_of(by_id.values())),
    )
    return apply(bare, changes)


def apply(old: Snapshot, changes: Changes) -> Snapshot:
    """The snapshot after these changes; the old one stays as it is."""
    tasks, views, dependents = old.tasks, old.views, old.dependents
    if changes.tasks or changes.gone:
        tasks, views, dependents = _move(old, changes)
    messages = tuple(q.message for q in old.questions) if changes.questions is None else changes.questions
    return replace(
        old,
        seq=changes.seq,
        tasks=tasks,
        views=views,
        dependents=dependents,
        runs=old.runs if changes.runs is None else MappingProxyType({r.id: r for r in changes.runs}),
        agents=old.agents if changes.agents is None else _sorted_agents(changes.agents),
        orchestrators=old.orchestrators if changes.orchestrators is None else changes.orchestrators,
        questions=rank(messages, tasks, dependents),
        pause=old.pause if changes.pause is None else changes.pause,
        cost_today=old.cost_today if changes.cost_today is None else changes.cost_today,
        messages_seq=old.messages_seq if changes.messages_seq is None else changes.messages_seq,
        sync=old.sync if changes.sync is None else changes.sync,
    )


def _sorted_views(tasks: Iterable[Task]) -> dict[Queue, tuple[Task, ...]]:
    lists: dict[Queue, list[Task]] = {}
    for task in tasks:
        lists.setdefault(task.queue, []).append(task)
    return {queue: tuple(sorted(found, key=view_key)) for queue, found in lists.items()}


def _sorted_agents(agents: tuple[Agent, ...]) -> tuple[Agent, ...]:
    return tuple(sorted(agents, key=lambda agent: (agent.orchestrator_id, agent.name)))


def _move(
    old: Snapshot, changes: Changes
) -> tuple[Mapping[str, Task], Mapping[Queue, tuple[Task, ...]], Mapping[str, frozenset[str]]]:
    tasks = dict(old.tasks)
    before = [tasks[key] for key in {t.id for t in changes.tasks} | set(changes.gone) if key in tasks]
    for task in changes.tasks:
        tasks[task.id] = task
    for key in changes.gone:
        tasks.pop(key, None)
    after = [tasks[key] for key in {t.id for t in changes.tasks} if key in tasks]
    if len(after) + len(before) > REBUILD_AT:
        return (
            MappingProxyType(tasks),
            MappingProxyType(_sorted_views(tasks.values())),
            MappingProxyType(dependents_of(tasks.values())),
        )
    return (
        MappingProxyType(tasks),
        MappingProxyType(_moved_views(old.views, before, after)),
        _moved_dependents(old.dependents, before, after),
    )


def _moved_views(
    views: Mapping[Queue, tuple[Task, ...]], before: list[Task], after: list[Task]
) -> dict[Queue, tuple[Task, ...]]:
    lists = {queue: list(views.get(queue, ())) for queue in {t.queue for t in chain(before, after)}}
    for task in before:
        rows = lists[task.queue]
        del rows[bisect_left(rows, view_key(task), key=view_key)]
    for task in after:
        rows = lists[task.queue]
        rows.insert(bisect_left(rows, view_key(task), key=view_key), task)
    return {**views, **{queue: tuple(rows) for queue, rows in lists.items()}}


def _moved_dependents(
    dependents: Mapping[str, frozenset[str]], before: list[Task], after: list[Task]
) -> Mapping[str, frozenset[str]]:
    was = {(b, t.id) for t in before if t.queue is Queue.BLOCKED for b in t.blocked_by}
    now = {(b, t.id) for t in after if t.queue is Queue.BLOCKED for b in t.blocked_by}
    if was == now:
        return dependents
    found = dict(dependents)
    for blocker, task_id in was - now:
        found[blocker] = found[blocker] - {task_id}
    for blocker, task_id in now - was:
        found[blocker] = found.get(blocker, frozenset()) | {task_id}
    return MappingProxyType(found)
