"""What the service needs of a database: thin typed methods by noun, called inside one transaction.

Synchronous, and used by one thread at a time. A store knows no rules: it keeps what the service has
decided, and the constraints of its schema refuse what no rule may produce.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from backend.keys import ApiKey, NewKey
from backend.model import (
    Agent,
    ClaimRequest,
    Event,
    Evidence,
    Json,
    Message,
    NewMessage,
    NewTask,
    Orchestrator,
    Pause,
    Queue,
    Run,
    RunEnd,
    Task,
    TaskFilter,
)


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task, and how many of its blockers are unfinished."""

    task: Task
    open_blockers: int


@dataclass(frozen=True, slots=True)
class Blocker:
    """What a task waits for."""

    id: str
    queue: Queue
    reason: str | None


class NewEvent(NamedTuple):
    """A row for the log, before it has its place there."""

    actor: str
    entity: str
    entity_id: str
    kind: str
    from_state: str | None = None
    to_state: str | None = None
    version: int | None = None
    reason: str | None = None
    data: Json | None = None


class TaskStore(Protocol):
    """Tasks and what they wait for."""

    def insert(
        self, new: NewTask, queue: Queue, open_blockers: int, reason: str | None, created_as: str, now: int
    ) -> None: ...

    def read(self, task_id: str) -> StoredTask | None: ...

    def created_as(self, task_id: str) -> str | None: ...

    def find_file(self, file_path: str) -> str | None: ...

    def find(self, wanted: TaskFilter) -> list[Task]: ...

    def count_queues(self) -> dict[Queue, int]: ...

    def save_state(self, task: Task, open_blockers: int) -> bool:
        """Write what a transition may change; False when the version stored is not the one before."""
        ...

    def save_content(self, task: Task, open_blockers: int) -> bool:
        """Write what a person may edit; False when the version stored is not the one before."""
        ...

    def set_open_blockers(self, task_id: str, open_blockers: int) -> None: ...

    def claim(self, wish: ClaimRequest, attempts: int, now: int, expires: int) -> Task | None:
        """Claim in one statement the task wished for, or the first in claim order."""
        ...

    def renew(self, task_id: str, fence: int, orchestrator_id: str, expires: int) -> bool: ...

    def expired(self, now: int) -> list[str]: ...

    def dependents(self, blocker_id: str) -> list[str]: ...

    def blockers(self, task_id: str) -> list[Blocker]: ...

    def find_cycle(self, task_id: str, blockers: Sequence[str]) -> str | None:
        """A wanted blocker that waits for the task itself."""
        ...

    def set_dependencies(self, task_id: str, blockers: Sequence[str]) -> None: ...


class RunStore(Protocol):
    """Runs and the evidence of checks."""

    def insert(self, run_id: str, task: Task, role: str, adapter: str, model: str | None, now: int) -> Run:
        """The run a claim begins; holder, attempt and fence are the task's."""
        ...

    def read(self, run_id: str) -> Run | None: ...

    def find_holder(self, task_id: str, fence: int) -> str | None: ...

    def find(self, task_id: str | None, live: bool) -> list[Run]: ...

    def save(self, run: Run) -> None: ...

    def end(self, run_id: str, end: RunEnd, now: int) -> bool:
        """Store how a run ended; False when it had ended before, or does not exist."""
        ...

    def sum_cost(self, since: int) -> float: ...

    def insert_evidence(self, evidence: Evidence) -> None: ...

    def read_evidence(self, evidence_id: str) -> Evidence | None: ...

    def list_evidence(self, task_id: str) -> list[Evidence]: ...


class MessageStore(Protocol):
    """Conversations."""

    def insert(self, new: NewMessage, now: int) -> None: ...

    def read(self, message_id: str) -> Message | None: ...

    def find_request(self, run_id: str, request_id: str) -> Message | None: ...

    def answer(self, message_id: str, text: str, now: int) -> Message | None: ...

    def withdraw(self, message_id: str, now: int) -> Message | None: ...

    def deliver(self, message_id: str, now: int) -> Message | None: ...

    def of_conversation(self, conversation_id: str) -> list[Message]: ...

    def open(self) -> list[Message]: ...

    def undelivered(self, run_ids: Sequence[str]) -> list[Message]: ...


class MachineStore(Protocol):
    """Orchestrators, their agents, and whether intake is paused."""

    def insert(
        self, orchestrator_id: str, cluster: str, machine_id: str, pid: int | None, now: int
    ) -> None: ...

    def read(self, orchestrator_id: str) -> Orchestrator | None: ...

    def orchestrators(self) -> list[Orchestrator]: ...

    def save_register(self, orchestrator_id: str, pid: int | None, now: int) -> None: ...

    def save_heartbeat(self, orchestrator_id: str, cycle_at: int | None, now: int) -> bool: ...

    def agents(self, orchestrator_id: str | None = None) -> list[Agent]: ...

    def save_agent(self, agent: Agent, now: int) -> None: ...

    def delete_agent(self, orchestrator_id: str, name: str) -> None: ...

    def intake(self) -> Pause: ...

    def save_intake(self, pause: Pause) -> None: ...


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key, and the digest of its secret."""

    key: ApiKey
    digest: str


class KeyStore(Protocol):
    """Keys to the REST API."""

    def insert(self, key_id: str, new: NewKey, digest: str, now: int) -> None: ...

    def read(self, key_id: str) -> StoredKey | None: ...

    def find_all(self) -> list[ApiKey]: ...

    def revoke(self, key_id: str, now: int) -> bool:
        """False when there is no such key."""
        ...

    def use(self, key_id: str, now: int) -> None: ...


class LogStore(Protocol):
    """The append-only log."""

    def append(self, event: NewEvent, now: int) -> None: ...

    def read(self, after: int, limit: int, entity_id: str | None) -> list[Event]: ...

    def last_seq(self) -> int: ...


class Store(Protocol):
    """One connection to a database."""

    @property
    def tasks(self) -> TaskStore: ...

    @property
    def runs(self) -> RunStore: ...

    @property
    def messages(self) -> MessageStore: ...

    @property
    def machines(self) -> MachineStore: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def log(self) -> LogStore: ...

    def begin(self) -> None:
        """Begin a transaction that may write."""
        ...

    def begin_read(self) -> None:
        """Begin a transaction that sees one state of the store throughout."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...
