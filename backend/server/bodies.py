"""What requests carry where it is no record of the model itself, and the shapes that older clients send."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from backend.keys import KeyScope
from backend.model import (
    Complexity,
    Json,
    Priority,
    Queue,
    RunEnd,
    Task,
    TaskFilter,
    TaskType,
    UsageBy,
)
from backend.sync import Choice

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=86_400)]
LeaseSeconds = Annotated[int, msgspec.Meta(le=86_400)]
"""That it is above 0, the service says."""
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
RowLimit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
ROWS = 200
"""Rows of a page that names no limit."""


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """What `GET /tasks` understands. `cursor` is the `next_cursor` of the page before."""

    queue: tuple[Queue, ...] = ()
    priority: tuple[Priority, ...] = ()
    role: tuple[str, ...] = ()
    type: tuple[TaskType, ...] = ()
    claimed_by: str | None = None
    project_id: str | None = None
    q: str | None = None
    limit: Count = 50
    offset: Count = 0
    cursor: str | None = None
    scope: str | None = None

    def as_filter(self, limit: int | None) -> TaskFilter:
        return TaskFilter(
            queues=frozenset(self.queue),
            priorities=frozenset(self.priority),
            roles=frozenset(self.role),
            project_id=self.project_id,
            text=self.q or None,
            limit=limit,
            scope=self.scope,
            types=frozenset(self.type),
            claimed_by=self.claimed_by,
        )

    def matches(self, task: Task) -> bool:
        """What a backend's own filter may not know."""
        if self.type and task.type not in self.type:
            return False
        return self.claimed_by is None or task.claimed_by == self.claimed_by


@dataclass(frozen=True, slots=True)
class EventQuery:
    """What `GET /events` understands; `wait` is in seconds."""

    after: Seq = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 500
    entity_id: str | None = None
    wait: Annotated[float, msgspec.Meta(ge=0, le=25)] = 0


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """What `GET /messages` understands: open questions, undelivered answers, or all of unfinished tasks."""

    state: Literal["open", "undelivered", "unfinished"]
    run_id: tuple[str, ...] = ()
    limit: RowLimit = ROWS
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class RunQuery:
    """What `GET /runs` understands. `cursor` is the `next_cursor` of the page before."""

    task_id: str | None = None
    live: bool = False
    limit: RowLimit = ROWS
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class RowQuery:
    """A page of rows. `cursor` is the `next_cursor` of the page before."""

    limit: RowLimit = ROWS
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """The events of one task after a `seq`: that of the last event seen."""

    after: Seq = 0
    limit: RowLimit = ROWS


@dataclass(frozen=True, slots=True)
class CostQuery:
    """From when on."""

    since: datetime


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """By what, and from when on."""

    by: UsageBy
    since: datetime


@dataclass(frozen=True, slots=True)
class SplitBody:
    """The tasks that a task becomes, each with an id of its own."""

    parts: list[Json]
    version: int | None = None


@dataclass(frozen=True, slots=True)
class AlertBody:
    """What everybody should know, and until when."""

    key: str
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ClearBody:
    """Which alert does not hold any more."""

    key: str


@dataclass(frozen=True, slots=True)
class TaskBody:
    """A new task. Only the role is needed, with a file path, a title or an id to call it by.

    The last four are workers' names for body, type, repo_url and base_branch; with one of them the role is
    implement unless given.
    """

    role: str
    id: str | None = None
    title: str | None = None
    file_path: str | None = None
    queue: Literal["incoming", "backlog"] | None = None
    base_branch: str = "main"
    base_sha: str = ""
    body: str = ""
    priority: Priority | Literal["high", "normal", "low"] = Priority.P2
    type: TaskType = TaskType.FEATURE
    complexity: Complexity | None = None
    blocked_by: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    project_id: str | None = None
    repo_url: str | None = None
    auto_accept: bool = False
    backlog: bool = False
    metadata: Json = field(default_factory=dict)
    created_by: str | None = None
    actor: str | None = None
    scope: str | None = None
    description: str | None = None
    task_type: TaskType | None = None
    repository_url: str | None = None
    branch_name: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimBody:
    """Who wants work, of which roles. The names in the second half are those of older clients."""

    orchestrator_id: str
    agent_name: str
    adapter: str = "external"
    run_id: str | None = None
    lease_seconds: LeaseSeconds = 300
    roles: tuple[str, ...] = ()
    task_id: str | None = None
    model: str | None = None
    role_filter: str | tuple[str, ...] | None = None
    queue: Literal["incoming", "provisional"] | None = None
    lease_duration_seconds: Seconds | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class HoldBody:
    """Who wants to review a task, or to resolve its conflict."""

    role: str
    orchestrator_id: str
    agent_name: str
    adapter: str
    run_id: str
    lease_seconds: LeaseSeconds
    model: str | None = None


@dataclass(frozen=True, slots=True)
class ReasonBody:
    """Who does it and why."""

    actor: str | None = None
    reason: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class DoneBody:
    """What the holder of a lease says of it. Without `lease_token` the live lease is the one meant."""

    actor: str | None = None
    reason: str | None = None
    version: int | None = None
    lease_token: int | None = None
    run_id: str | None = None
    run_end: RunEnd | None = None
    head_sha: str | None = None
    systemic: bool = False
    orchestrator_id: str | None = None
    agent_name: str | None = None


@dataclass(frozen=True, slots=True)
class SubmitBody:
    """Finished work. Without `head_sha` the worker keeps its commits to itself."""

    actor: str | None = None
    version: int | None = None
    lease_token: int | None = None
    run_id: str | None = None
    run_end: RunEnd | None = None
    head_sha: str | None = None
    orchestrator_id: str | None = None
    agent_name: str | None = None
    commits_count: Count | None = None
    turns_used: Count | None = None
    summary: str | None = None
    execution_notes: str | None = None


@dataclass(frozen=True, slots=True)
class AcceptBody:
    """The merge commit, or who accepts."""

    actor: str | None = None
    reason: str | None = None
    version: int | None = None
    merged_sha: str | None = None
    accepted_by: str | None = None


@dataclass(frozen=True, slots=True)
class RejectBody:
    """Why the work is sent back, and by whom."""

    reason: str
    actor: str | None = None
    version: int | None = None
    rejected_by: str | None = None


@dataclass(frozen=True, slots=True)
class ForceBody:
    """The state to put the task into; a person has to say why."""

    actor: str
    reason: str
    to: Queue
    version: int | None = None


@dataclass(frozen=True, slots=True)
class TaskRenewBody:
    """The lease to renew, and for how long."""

    lease_token: int | None = None
    orchestrator_id: str | None = None
    agent_name: str | None = None
    lease_duration_seconds: Seconds = 300


@dataclass(frozen=True, slots=True)
class RenewBody:
    """Leases to renew, for how long."""

    leases: list[Json]
    lease_seconds: int


@dataclass(frozen=True, slots=True)
class HeartbeatBody:
    """When the scheduler last finished a cycle, and the leases to renew in the same call."""

    cycle_at: datetime | None = None
    leases: list[Json] = field(default_factory=list)
    lease_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class RegisterBody:
    """Who reports for work. `instance` names the installation, so that a second one is noticed."""

    cluster: str
    machine_id: str
    pid: int | None = None
    repo_url: str | None = None
    instance: str | None = None


@dataclass(frozen=True, slots=True)
class MachineStatusBody:
    """What a machine says of itself: `active`, or `offline` when its scheduler ends."""

    status: str


@dataclass(frozen=True, slots=True)
class ReportBody:
    """All agents of one machine."""

    agents: list[Json]


@dataclass(frozen=True, slots=True)
class AnswerBody:
    """An answer to a request."""

    text: str


@dataclass(frozen=True, slots=True)
class WithdrawBody:
    """Why nobody needs the answer any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class PauseBody:
    """Why, until when, and the one orchestrator it is for; without one it is for all."""

    reason: str | None = None
    until: datetime | None = None
    machine: str | None = None


@dataclass(frozen=True, slots=True)
class ResumeBody:
    """The one orchestrator that takes work again; without one intake opens for all."""

    machine: str | None = None


@dataclass(frozen=True, slots=True)
class PauseQuery:
    """Whose pause; without it the one that holds for all."""

    machine: str | None = None


@dataclass(frozen=True, slots=True)
class PendingQuery:
    """How many of the changes that wait; without it all of them."""

    limit: Count | None = None


@dataclass(frozen=True, slots=True)
class SettleBody:
    """How a conflict is settled."""

    choice: Choice


@dataclass(frozen=True, slots=True)
class CreatedApiKey:
    """A new key with its text."""

    id: str
    label: str
    scope: KeyScope
    orchestrator_id: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    token: str
