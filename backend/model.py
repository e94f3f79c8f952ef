"""What the product is about: tasks, runs, messages, events and the rest, as frozen records.

No I/O and no framework. Times are aware UTC datetimes. A `None` means "there is none", never "unknown
default": what is required has no default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class Queue(StrEnum):
    """The state of a task."""

    BACKLOG = "backlog"
    INCOMING = "incoming"
    BLOCKED = "blocked"
    CLAIMED = "claimed"
    PROVISIONAL = "provisional"
    DONE = "done"
    FAILED = "failed"
    ESCALATED = "escalated"
    CANCELLED = "cancelled"


OPEN_QUEUES = frozenset(Queue) - {Queue.DONE, Queue.FAILED, Queue.CANCELLED}
"""States from which a task can still go on by itself or by a person's word."""


class Priority(StrEnum):
    """P0 is the most urgent."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class TaskType(StrEnum):
    FEATURE = "feature"
    BUGFIX = "bugfix"
    TEST = "test"
    DOCS = "docs"
    REFACTOR = "refactor"
    CHORE = "chore"


class Complexity(StrEnum):
    XS = "XS"
    S = "S"
    M = "M"
    L = "L"
    XL = "XL"


class RunStatus(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a run ended, decided from facts. `SYSTEMIC` outcomes leave the task blameless."""

    SUBMITTED = "submitted"
    CHECKS_FAILED = "checks_failed"
    OUT_OF_TURNS = "out_of_turns"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    EMPTY = "empty"
    UNRESOLVED = "unresolved"
    REVIEWED = "reviewed"
    STOPPED = "stopped"
    OVER_BUDGET = "over_budget"
    LOST = "lost"
    RATE_LIMITED = "rate_limited"
    SPAWN_FAILED = "spawn_failed"
    SYSTEM_FAILED = "system_failed"


class SenderType(StrEnum):
    WORKER = "worker"
    HUMAN = "human"
    SYSTEM = "system"


class MessageType(StrEnum):
    REQUEST = "request"
    RESPONSE = "response"
    STATUS = "status"


class MessageKind(StrEnum):
    QUESTION = "question"
    PERMISSION = "permission"
    REVIEW = "review"
    NOTE = "note"


class RuleScope(StrEnum):
    """Whose requests a rule answers: those of one task, one agent, one role, or one project."""

    TASK = "task"
    AGENT = "agent"
    ROLE = "role"
    PROJECT = "project"


class UsageBy(StrEnum):
    """By what the use of runs is added up."""

    TASK = "task"
    AGENT = "agent"
    PROJECT = "project"


class AgentStatus(StrEnum):
    IDLE = "idle"
    BUSY = "busy"
    WAITING = "waiting"
    ERROR = "error"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something: `human:ana`, `agent:impl-1`, `system:scheduler`."""

    type: SenderType
    id: str

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"


SYSTEM = Actor(SenderType.SYSTEM, "scheduler")


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as its creator describes it. `id` is made by the caller, so that creating is idempotent."""

    id: str
    title: str
    role: str
    base_branch: str
    base_sha: str
    created_by: str
    body: str = ""
    priority: Priority = Priority.P2
    type: TaskType = TaskType.FEATURE
    complexity: Complexity | None = None
    blocked_by: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    project_id: str | None = None
    file_path: str | None = None
    repo_url: str | None = None
    auto_accept: bool = False
    backlog: bool = False
    metadata: Json = field(default_factory=dict)
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class TaskPatch:
    """What a person may edit; `None` leaves a field as it is. State, claim and counters are not here."""

    title: str | None = None
    body: str | None = None
    priority: Priority | None = None
    role: str | None = None
    type: TaskType | None = None
    complexity: Complexity | None = None
    project_id: str | None = None
    auto_accept: bool | None = None
    needs: tuple[str, ...] | None = None
    blocked_by: tuple[str, ...] | None = None
    pr_url: str | None = None
    metadata: Json | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A unit of work. `fence` is the lease token: it only grows, at every claim and every release."""

    id: str
    title: str
    body: str
    queue: Queue
    priority: Priority
    role: str
    type: TaskType
    complexity: Complexity | None
    project_id: str | None
    file_path: str | None
    repo_url: str | None
    base_branch: str
    base_sha: str
    blocked_by: tuple[str, ...]
    needs: tuple[str, ...]
    auto_accept: bool
    claimed_by: str | None
    claimed_at: datetime | None
    orchestrator_id: str | None
    run_id: str | None
    fence: int
    lease_expires_at: datetime | None
    version: int
    attempt_count: int
    """Claims so far; names attempts, never goes back."""
    attempts_forgiven: int
    """Attempts that do not count towards the cap: systemic ends, and all before a human's retry."""
    rejection_count: int
    continuation_count: int
    conflict_count: int
    head_sha: str | None
    """The newest collected commit of the task's work."""
    resume_run_id: str | None
    """The run whose worktree and session the next one goes on with."""
    approved_by: str | None
    approved_at: datetime | None
    approved_sha: str | None
    reason: str | None
    pr_url: str | None
    merged_sha: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime | None
    completed_at: datetime | None
    metadata: Json
    scope: str | None = None
    """The namespace it is in; lists and claims may be kept to one."""

    @property
    def attempts_counted(self) -> int:
        """Attempts that count towards the task's one cap."""
        return self.attempt_count - self.attempts_forgiven


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt of one agent at one task. Immutable once ended."""

    id: str
    task_id: str
    attempt: int
    fence: int
    role: str
    agent_name: str
    orchestrator_id: str
    adapter: str
    model: str | None
    session_id: str | None
    status: RunStatus
    outcome: Outcome | None
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
    started_at: datetime
    last_activity_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunPatch:
    """What the scheduler learns while a run goes on; `None` leaves a field as it is."""

    status: RunStatus | None = None
    session_id: str | None = None
    base_sha: str | None = None
    branch: str | None = None
    turns: int | None = None
    tokens_input: int | None = None
    tokens_output: int | None = None
    tokens_cache_read: int | None = None
    tokens_cache_write: int | None = None
    cost_usd: float | None = None
    last_activity_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The facts a run ended with; stored once."""

    outcome: Outcome
    reason: str
    head_sha: str | None = None
    exit_code: int | None = None
    commits_count: int | None = None
    summary: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A wish for work. With `task_id` only that task will do; otherwise the first in claim order."""

    orchestrator_id: str
    agent_name: str
    adapter: str
    run_id: str
    lease_seconds: int
    roles: tuple[str, ...] = ()
    task_id: str | None = None
    model: str | None = None
    scope: str | None = None
    """Only tasks of this namespace; None for any."""


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """A wish for a lease on a provisional task, which stays provisional: to review or to resolve it."""

    task_id: str
    role: str
    orchestrator_id: str
    agent_name: str
    adapter: str
    run_id: str
    lease_seconds: int
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a successful claim or hold gives: the task as it is now, and its new run."""

    task: Task
    run: Run


@dataclass(frozen=True, slots=True)
class Renewal:
    """One lease to renew, named by its fence."""

    task_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    id: str
    conversation_id: str
    sender: Actor
    type: MessageType
    kind: MessageKind
    body: str
    options: tuple[str, ...] = ()
    parent_message_id: str | None = None
    run_id: str | None = None
    request_id: str | None = None
    """The agent's own name for its request, unique within the run."""
    deadline: datetime | None = None
    default_answer: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a task's conversation. A question is a request with neither answer nor withdrawal."""

    id: str
    conversation_id: str
    sender: Actor
    type: MessageType
    kind: MessageKind
    body: str
    options: tuple[str, ...]
    parent_message_id: str | None
    run_id: str | None
    request_id: str | None
    deadline: datetime | None
    default_answer: str | None
    created_at: datetime
    delivered_at: datetime | None
    answered_at: datetime | None
    answer: str | None
    withdrawn_at: datetime | None

    @property
    def open(self) -> bool:
        return self.type is MessageType.REQUEST and self.answered_at is None and self.withdrawn_at is None


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the log: what changed, by whom and why."""

    seq: int
    at: datetime
    actor: str
    entity: str
    entity_id: str
    kind: str
    from_state: str | None
    to_state: str | None
    version: int | None
    reason: str | None
    data: Json


@dataclass(frozen=True, slots=True)
class Evidence:
    """One check's result, bound to the exact commit it ran on."""

    id: str
    task_id: str
    run_id: str | None
    check: str
    command: str
    commit_sha: str
    base_sha: str
    exit_code: int | None
    """None when the check could not be run or was stopped: that is no pass."""
    output_tail: str
    output_digest: str
    duration_ms: int
    at: datetime

    @property
    def passed(self) -> bool:
        return self.exit_code == 0


@dataclass(frozen=True, slots=True)
class Agent:
    """A worker slot as its orchestrator last reported it."""

    name: str
    orchestrator_id: str
    role: str
    adapter: str
    status: AgentStatus
    task_id: str | None
    run_id: str | None
    pid: int | None
    reason: str | None
    """Why it is idle or in error; None while it works."""
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """One machine that runs, or ran, the scheduler."""

    id: str
    cluster: str
    machine_id: str
    pid: int | None
    status: str
    """active or offline"""
    registered_at: datetime
    last_heartbeat_at: datetime
    last_cycle_at: datetime | None
    repo_url: str | None = None
    """The repository it works on, as it said itself."""
    instance: str | None = None
    """Which installation goes by this name; two with one name would take each other's runs for their own."""


@dataclass(frozen=True, slots=True)
class NewMachine:
    """A machine that reports for work, for the first time or again."""

    cluster: str
    machine_id: str
    pid: int | None = None
    repo_url: str | None = None
    instance: str | None = None

    @property
    def id(self) -> str:
        return f"{self.cluster}-{self.machine_id}"


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list, in claim order; empty sets mean "any"."""

    queues: frozenset[Queue] = frozenset()
    priorities: frozenset[Priority] = frozenset()
    roles: frozenset[str] = frozenset()
    project_id: str | None = None
    text: str | None = None
    limit: int | None = None
    scope: str | None = None
    types: frozenset[TaskType] = frozenset()
    claimed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Whether intake is paused, by whom and why."""

    paused: bool
    by: str | None = None
    reason: str | None = None
    at: datetime | None = None
    until: datetime | None = None
    machine: str | None = None
    """The one orchestrator that is paused; None when it is all of them."""


@dataclass(frozen=True, slots=True)
class NewRule:
    """A wish to have one request's answer given again by itself.

    The kind and the scope's id are the request's own. Without `pattern` the rule is for exactly this request;
    with one, `*` stands for any part of a line. Without `answer` it is the one the request was given.
    """

    id: str
    message_id: str
    scope: RuleScope
    answer: str | None = None
    pattern: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """An answer that is given by itself, who made it so, and how often it has been."""

    id: str
    scope: RuleScope
    scope_id: str
    kind: MessageKind
    pattern: str
    exact: bool
    """Whether the pattern is a request word for word."""
    answer: str
    author: str
    message_id: str
    created_at: datetime
    expires_at: datetime | None
    uses: int
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Alert:
    """What everybody should know until a time: a provider's limit, a budget that is nearly spent."""

    key: str
    reason: str
    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the runs of one task, agent or project have used."""

    key: str
    runs: int
    cost_usd: float
    tokens_input: int
    tokens_output: int
    tokens_cache_read: int
    tokens_cache_write: int

    @property
    def tokens(self) -> int:
        """Tokens in and out; what was read from a cache is not counted."""
        return self.tokens_input + self.tokens_output + self.tokens_cache_write
