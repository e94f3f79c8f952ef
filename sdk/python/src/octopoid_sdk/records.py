"""What the server sends: plain dictionaries with known keys. Times are ISO 8601 in UTC, ending in `Z`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

Queue = Literal[
    "backlog", "incoming", "blocked", "claimed", "provisional", "done", "failed", "escalated", "cancelled"
]
Priority = Literal["P0", "P1", "P2", "P3"]


class Run(TypedDict):
    """One attempt of one agent at one task."""

    id: str
    task_id: str
    attempt: int
    lease_token: int
    role: str
    agent_name: str
    orchestrator_id: str
    adapter: str
    model: str | None
    session_id: str | None
    status: str
    outcome: str | None
    reason: str | None
    base_sha: str | None
    head_sha: str | None
    branch: str | None
    exit_code: int | None
    turns: int | None
    tokens_input: int
    tokens_output: int
    tokens_cache_read: int
    tokens_cache_write: int
    cost_usd: float | None
    commits_count: int | None
    summary: str | None
    started_at: str
    last_activity_at: str
    ended_at: str | None


class Task(TypedDict):
    """A unit of work."""

    id: str
    title: str
    body: str
    queue: str
    priority: str
    role: str
    type: str
    complexity: str | None
    project_id: str | None
    file_path: str | None
    repo_url: str | None
    base_branch: str
    base_sha: str
    blocked_by: list[str]
    needs: list[str]
    auto_accept: bool
    claimed_by: str | None
    claimed_at: str | None
    orchestrator_id: str | None
    run_id: str | None
    lease_token: int
    lease_expires_at: str | None
    version: int
    attempt_count: int
    rejection_count: int
    commits_count: NotRequired[int]
    head_sha: str | None
    approved_by: str | None
    reason: str | None
    pr_url: str | None
    merged_sha: str | None
    created_by: str
    created_at: str
    updated_at: str
    submitted_at: str | None
    completed_at: str | None
    metadata: dict[str, Any]
    scope: str | None


class Claim(Task):
    """A claimed task, with the run that the claim has begun."""

    run: Run


class Message(TypedDict):
    """One entry of a task's conversation."""

    id: str
    conversation_id: str
    task_id: str
    sender_type: str
    sender_id: str
    message_type: str
    kind: str
    body: str
    options: list[str]
    parent_message_id: str | None
    run_id: str | None
    deadline: str | None
    default_answer: str | None
    created_at: str
    delivered_at: str | None
    answered_at: str | None
    answer: str | None


Event = TypedDict(
    "Event",
    {
        "seq": int,
        "at": str,
        "actor": str,
        "entity": str,
        "entity_id": str,
        "kind": str,
        "from": str | None,
        "to": str | None,
        "version": int | None,
        "reason": str | None,
        "data": dict[str, Any],
    },
)
"""One row of the log of changes."""


class Evidence(TypedDict):
    """What one check said about one commit."""

    id: str
    task_id: str
    run_id: str | None
    check: str
    command: str
    commit_sha: str
    exit_code: int | None
    passed: bool
    output_tail: str
    duration_ms: int
    at: str


class Agent(TypedDict):
    """A worker slot, as its machine last reported it."""

    name: str
    orchestrator_id: str
    role: str
    adapter: str
    status: str
    task_id: str | None
    run_id: str | None
    pid: int | None
    reason: str | None
    updated_at: str


class Orchestrator(TypedDict):
    """A machine that runs the scheduler."""

    id: str
    cluster: str
    machine_id: str
    pid: int | None
    status: str
    registered_at: str
    last_heartbeat_at: str
    last_cycle_at: str | None
    lost: NotRequired[list[str]]
    """After a heartbeat that renewed leases: the tasks whose lease is lost."""


class Project(TypedDict):
    """What tasks belong to, by their `project_id`."""

    id: str
    title: str
    description: str
    status: str
    base_branch: str | None
    auto_accept: bool
    scope: str | None
    version: int
    created_by: str
    created_at: str
    updated_at: str
    completed_at: str | None
    metadata: dict[str, Any]


class Draft(TypedDict):
    """A document that is to become tasks, and those that it has become."""

    id: str
    title: str
    body: str
    status: str
    project_id: str | None
    file_path: str | None
    tags: list[str]
    task_ids: list[str]
    scope: str | None
    version: int
    created_by: str
    created_at: str
    updated_at: str
    metadata: dict[str, Any]


class Reason(TypedDict):
    """One thing that bears on whether a task goes on."""

    kind: str
    holds: bool
    text: str
    when: str | None


class Pause(TypedDict):
    """Whether intake is paused."""

    paused: bool
    by: str | None
    reason: str | None
    at: str | None
    until: str | None
    machine: str | None


class Health(TypedDict):
    """What the server says of itself."""

    status: str
    last_seq: int


class HeldLease(TypedDict):
    """A lease of one of a machine's live runs."""

    task_id: str
    run_id: str
    lease_token: int
    lease_expires_at: str


class LostLease(TypedDict):
    """A live run whose lease is gone: its process is to be stopped."""

    task_id: str
    run_id: str
    lease_token: int
    queue: str
    held_by: str | None


class Poll(TypedDict):
    """What one round of a scheduler needs to know."""

    queues: dict[str, int]
    pause: Pause
    claimable: dict[str, list[Task]]
    answers: list[Message]
    leases: list[HeldLease]
    lost: list[LostLease]
    events: list[Event]
    next_after: int
