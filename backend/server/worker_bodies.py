"""What workers over plain HTTP send and get, in their words: a work order is a task, an execution a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from backend.model import AgentStatus, Json, MessageType, Run, SenderType, Task, TaskType
from backend.server.bodies import ROWS, Count, LeaseSeconds, RowLimit, Seq

GivenPriority = Literal["high", "normal", "low", "P0", "P1", "P2", "P3"]
Wait = Annotated[float, msgspec.Meta(ge=0, le=25)]
PageLimit = Annotated[int, msgspec.Meta(ge=1, le=500)]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker: an agent of its own that is its own machine."""

    id: str
    name: str
    status: AgentStatus
    capabilities: tuple[str, ...]
    """The roles whose tasks it may claim; empty for all."""
    orchestrator_id: str
    """The name by which a key can be bound to it."""
    task_id: str | None
    execution_id: str | None
    reason: str | None
    last_heartbeat_at: datetime
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """A task as a worker sees it; `id` is the task's."""

    id: str
    task_id: str
    worker_id: str | None
    execution_id: str | None
    status: Literal["queued", "claimed", "completed", "failed"]
    priority: Literal["high", "normal", "low"]
    enqueued_at: datetime
    claimed_at: datetime | None
    completed_at: datetime | None
    retry_count: int
    lease_token: int
    lease_expires_at: datetime | None
    task: Task
    execution: Run | None = None
    """The run that a claim begins."""


@dataclass(frozen=True, slots=True)
class WorkerBody:
    """Who reports for work. The same `id` again is the same worker; without one it gets a new id."""

    name: str
    id: str | None = None
    capabilities: tuple[str, ...] = ()
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerBeatBody:
    """A sign of life. `leases` names what it believes it holds; without them all it holds are renewed."""

    status: Literal["idle", "busy", "waiting", "error"] | None = None
    reason: str | None = None
    session_id: str | None = None
    leases: list[Json] = field(default_factory=list)
    lease_seconds: LeaseSeconds = 300


@dataclass(frozen=True, slots=True)
class EnqueueBody:
    """A task that is there already, by `task_id`; or a new one, for which a title is enough."""

    task_id: str | None = None
    priority: GivenPriority | None = None
    id: str | None = None
    title: str | None = None
    description: str = ""
    task_type: TaskType = TaskType.FEATURE
    role: str = "implement"
    repository_url: str | None = None
    branch_name: str = "main"
    blocked_by: tuple[str, ...] = ()
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimWorkBody:
    """Who wants work. The same `execution_id` again gives the same claim."""

    worker_id: str
    capabilities: tuple[str, ...] = ()
    execution_id: str | None = None
    session_id: str | None = None
    lease_seconds: LeaseSeconds = 300
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class CompleteBody:
    """Finished work. Without `lease_token` and `execution_id` the worker's live lease is the one meant."""

    worker_id: str
    work_order_id: str | None = None
    task_id: str | None = None
    execution_id: str | None = None
    lease_token: int | None = None
    head_sha: str | None = None
    commits_count: Count | None = None
    turns_used: Count | None = None
    summary: str | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class FailBody:
    """Why the work cannot be done."""

    worker_id: str
    reason: str
    work_order_id: str | None = None
    task_id: str | None = None
    execution_id: str | None = None
    lease_token: int | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class SessionBody:
    """A session of an agent program, and who drives it: a worker, or an agent of another machine."""

    session_id: str
    worker_id: str | None = None
    id: str | None = None
    orchestrator_id: str | None = None
    agent_name: str | None = None
    task_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """What `GET /sessions` understands. `cursor` is the `next_cursor` of the page before."""

    task_id: str | None = None
    worker_id: str | None = None
    status: Literal["active", "idle", "terminated"] | None = None
    live: bool = False
    limit: RowLimit = ROWS
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class SessionEndBody:
    """Why the session ends."""

    reason: str


@dataclass(frozen=True, slots=True)
class ChatQuery:
    """What `GET /chat/messages` understands; `after` is a `seq`, `wait` is in seconds."""

    conversation_id: str | None = None
    task_id: str | None = None
    parent_message_id: str | None = None
    after: Seq = 0
    last_message_id: str | None = None
    limit: PageLimit = 100
    wait: Wait = 0

    def takes(self, said: ChatMessage) -> bool:
        return self.parent_message_id in (None, said.parent_message_id)


@dataclass(frozen=True, slots=True)
class ChatSocketQuery:
    """What the WebSocket understands. Without a place to begin it sends what comes from now on."""

    conversation_id: str | None = None
    task_id: str | None = None
    after: Seq | None = None
    last_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChatEventQuery:
    """What `GET /chat/events` understands."""

    after: Seq = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 200
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChatBody:
    """Something said. `response` answers the request `parent_message_id`."""

    message: str
    message_type: MessageType = MessageType.STATUS
    conversation_id: str | None = None
    task_id: str | None = None
    sender_type: SenderType | None = None
    sender_id: str | None = None
    parent_message_id: str | None = None
    execution_id: str | None = None
    id: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One thing said, in its place in the log. An answer has its request's id, with `.answer` behind it."""

    seq: int
    id: str
    conversation_id: str
    task_id: str
    sender_type: SenderType
    sender_id: str
    message: str
    message_type: MessageType
    parent_message_id: str | None
    execution_id: str | None
    options: tuple[str, ...]
    open: bool
    """Whether it is a request that waits for an answer."""
    created_at: datetime
