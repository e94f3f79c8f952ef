"""What the server sends of workers, sessions, rules, keys and the chat. Times are as in `records`."""

from __future__ import annotations

from typing import Any, TypedDict

from octopoid_sdk.records import Run, Task


class Worker(TypedDict):
    """A program that takes work over plain HTTP."""

    id: str
    name: str
    status: str
    capabilities: list[str]
    orchestrator_id: str
    task_id: str | None
    execution_id: str | None
    reason: str | None
    last_heartbeat_at: str
    created_at: str
    updated_at: str


class WorkerLease(TypedDict):
    """A lease that a heartbeat has renewed."""

    task_id: str
    execution_id: str
    lease_token: int


class WorkerBeat(Worker):
    """A worker after its heartbeat: the tasks it has lost, the leases it holds, the sessions that go on."""

    lost: list[str]
    leases: list[WorkerLease]
    sessions: list[str]


class WorkOrder(TypedDict):
    """A task as a worker sees it. `execution` is the run that a claim begins."""

    id: str
    task_id: str
    worker_id: str | None
    execution_id: str | None
    status: str
    priority: str
    enqueued_at: str
    claimed_at: str | None
    completed_at: str | None
    retry_count: int
    lease_token: int
    lease_expires_at: str | None
    task: Task
    execution: Run | None


class QueueStatus(TypedDict):
    """How much waits by priority, work orders and workers by state, and how many questions are open."""

    queues: dict[str, int]
    work_orders: dict[str, int]
    workers: dict[str, int]
    questions: int


class Session(TypedDict):
    """The conversation of an agent program. `reason` says why it ended."""

    id: str
    session_id: str
    worker_id: str | None
    orchestrator_id: str
    agent_name: str
    task_id: str | None
    run_id: str | None
    status: str
    waiting: bool
    created_at: str
    opened_at: str
    last_activity_at: str
    terminated_at: str | None
    reason: str | None


class Rule(TypedDict):
    """An answer that is given by itself."""

    id: str
    scope: str
    scope_id: str
    kind: str
    pattern: str
    exact: bool
    answer: str
    author: str
    message_id: str
    created_at: str
    expires_at: str | None
    uses: int
    last_used_at: str | None
    revoked_at: str | None


class Alert(TypedDict):
    """What everybody should know until a time."""

    key: str
    reason: str
    at: str
    until: str | None


class Usage(TypedDict):
    """What the runs of one task, agent or project have used."""

    key: str
    runs: int
    cost_usd: float
    tokens_input: int
    tokens_output: int
    tokens_cache_read: int
    tokens_cache_write: int


class ChatMessage(TypedDict):
    """One thing said; `open` is for a request that waits for an answer."""

    seq: int
    id: str
    conversation_id: str
    task_id: str
    sender_type: str
    sender_id: str
    message: str
    message_type: str
    parent_message_id: str | None
    execution_id: str | None
    options: list[str]
    open: bool
    created_at: str


class ChatPage(TypedDict):
    """What was said, and where to go on."""

    messages: list[ChatMessage]
    next_after: int


class ApiKey(TypedDict):
    """A key without its secret."""

    id: str
    label: str
    scope: str
    orchestrator_id: str | None
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class CreatedApiKey(ApiKey):
    """A new key; `token` is its text."""

    token: str


class SyncState(TypedDict):
    """How a process stands with its server."""

    mode: str
    pending: int
    conflicts: int
    server: str | None
    since: str | None
    trouble: str | None
    progress: str | None


class WaitingChange(TypedDict):
    """A change that the server does not have yet."""

    id: str
    task_id: str | None
    operation: str
    summary: str
    by: str
    at: str
    tries: int
    why: str
    mine: dict[str, Any]


class SyncConflict(TypedDict):
    """A change that the server did not take, with both versions."""

    id: str
    task_id: str | None
    operation: str
    summary: str
    problem: str
    mine: dict[str, Any]
    theirs: dict[str, Any] | None
    at: str
    rejected: bool
