"""What the service needs of a database: thin typed methods by noun, called inside one transaction.

Synchronous, and used by one thread at a time. A store knows no rules: it keeps what the service has
decided, and the constraints of its schema refuse what no rule may produce.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from backend.keys import ApiKey, NewKey
from backend.model import (
    Agent,
    Alert,
    ClaimRequest,
    Event,
    Evidence,
    Json,
    Message,
    MessageKind,
    NewMachine,
    NewMessage,
    NewTask,
    Orchestrator,
    Pause,
    Priority,
    Queue,
    Rule,
    Run,
    RunEnd,
    Task,
    TaskFilter,
    Usage,
    UsageBy,
)
from backend.once import Answer, Asked
from backend.pages import MessageFilter, Page, RunFilter, SessionFilter
from backend.planning import Draft, NewDraft, NewProject, Project
from backend.sessions import NewSession, Session


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
    ) -> Task:
        """The new task as it is stored; its dependencies are set by `set_dependencies`."""
        ...

    def read(self, task_id: str) -> StoredTask | None: ...

    def created_as(self, task_id: str) -> str | None: ...

    def find_file(self, file_path: str) -> str | None: ...

    def find(self, wanted: TaskFilter) -> list[Task]: ...

    def count_queues(self) -> dict[Queue, int]: ...

    def count_waiting(self) -> dict[Priority, int]: ...

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


class PageStore(Protocol):
    """Pages of lists."""

    def find(self, wanted: TaskFilter, page: Page) -> list[Task]: ...

    def count(self, wanted: TaskFilter) -> int:
        """How many tasks there are; reads an entry of each that may be one of them."""
        ...

    def place(self, noun: str, its_id: str) -> int | None:
        """Where a run, session, message or evidence is among all of its kind; None without one of this id."""
        ...

    def runs(self, wanted: RunFilter, after: int, limit: int) -> list[Run]: ...

    def sessions(self, wanted: SessionFilter, after: int, limit: int, now: int) -> list[Session]: ...

    def messages(self, wanted: MessageFilter, after: int, limit: int) -> list[Message]: ...

    def evidence(self, after: int, limit: int) -> list[Evidence]:
        """Of tasks that are neither done nor cancelled."""
        ...


class RunStore(Protocol):
    """Runs and the evidence of checks."""

    def insert(self, run_id: str, task: Task, role: str, adapter: str, model: str | None, now: int) -> Run:
        """The run a claim begins; holder, attempt and fence are the task's."""
        ...

    def read(self, run_id: str) -> Run | None: ...

    def read_to_change(self, run_id: str) -> Run | None:
        """The same; nobody else changes it until this transaction is over."""
        ...

    def find_holder(self, task_id: str, fence: int) -> str | None: ...

    def find(self, task_id: str | None, live: bool) -> list[Run]: ...

    def save(self, run: Run) -> None: ...

    def end(self, run_id: str, end: RunEnd, now: int) -> bool:
        """Store how a run ended; False when it had ended before, or does not exist."""
        ...

    def sum_cost(self, since: int) -> float: ...

    def abandoned(self, adapter: str) -> list[tuple[str, str]]:
        """Live runs of an adapter whose task's fence has moved on, each with its task."""
        ...

    def sum_usage(self, by: UsageBy, since: int) -> list[Usage]: ...

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

    def insert(self, machine: NewMachine, now: int) -> None: ...

    def read(self, orchestrator_id: str) -> Orchestrator | None: ...

    def orchestrators(self) -> list[Orchestrator]: ...

    def save_register(self, machine: NewMachine, now: int) -> None: ...

    def save_heartbeat(self, orchestrator_id: str, cycle_at: int | None, now: int) -> bool: ...

    def save_offline(self, orchestrator_id: str, now: int) -> bool: ...

    def silent_orchestrators(self, before: int) -> list[Orchestrator]: ...

    def agents(self, orchestrator_id: str | None = None) -> list[Agent]: ...

    def save_agent(self, agent: Agent, now: int) -> None: ...

    def delete_agent(self, orchestrator_id: str, name: str) -> None: ...

    def intake(self) -> Pause: ...

    def save_intake(self, pause: Pause) -> None: ...

    def machine_pause(self, orchestrator_id: str) -> Pause: ...

    def machine_pauses(self) -> list[Pause]: ...

    def save_machine_pause(self, orchestrator_id: str, pause: Pause) -> None: ...

    def delete_machine_pause(self, orchestrator_id: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class StoredProject:
    """A project, and a digest of what it was created from."""

    project: Project
    created_as: str


@dataclass(frozen=True, slots=True)
class StoredDraft:
    """A draft, and a digest of what it was created from."""

    draft: Draft
    created_as: str


class ProjectStore(Protocol):
    """Projects."""

    def insert(self, new: NewProject, created_as: str, now: int) -> None: ...

    def read(self, project_id: str) -> StoredProject | None: ...

    def find_all(self) -> list[StoredProject]: ...

    def save(self, project: Project) -> bool:
        """False when the version stored is not the one before."""
        ...

    def delete(self, project_id: str, version: int) -> bool: ...

    def unfinished(self, project_id: str, limit: int) -> list[str]:
        """Tasks of a project that are neither done nor cancelled."""
        ...


class DraftStore(Protocol):
    """Drafts."""

    def insert(self, new: NewDraft, created_as: str, now: int) -> None: ...

    def read(self, draft_id: str) -> StoredDraft | None: ...

    def find_all(self) -> list[StoredDraft]: ...

    def save(self, draft: Draft) -> bool:
        """False when the version stored is not the one before."""
        ...

    def delete(self, draft_id: str, version: int) -> bool: ...


class TransferStore(Protocol):
    """Whole records, out of a store and into an empty one."""

    @property
    def settle(self) -> Callable[[], object]:
        """Write what waits to be written to the log."""
        ...

    @property
    def audit(self) -> Callable[[], list[str]]:
        """What is wrong with the store, a line for each broken invariant."""
        ...

    def be_patient(self) -> None:
        """Let this one transaction take long."""
        ...

    def is_empty(self) -> bool: ...

    def tasks(self) -> Iterator[tuple[Task, str]]:
        """In order of their creation, with the digest of what they were created from."""
        ...

    def runs(self) -> Iterator[Run]: ...

    def evidence(self) -> Iterator[Evidence]: ...

    def messages(self) -> Iterator[Message]: ...

    def insert(self, table: str, values: Mapping[str, object], *, unless_known: bool = False) -> None: ...


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


class OperationStore(Protocol):
    """Answers to changes, by caller and key."""

    def find(self, caller: str, key: str) -> tuple[str, Answer] | None:
        """The fingerprint of what was asked, and the answer."""
        ...

    def insert(self, asked: Asked, answer: Answer, now: int) -> None: ...

    def delete(self, before: int, limit: int) -> int:
        """Delete the oldest of before a time; how many these were."""
        ...


class SessionStore(Protocol):
    """Sessions of agent programs; `now` is for their state, which is judged when they are read."""

    def insert(self, new: NewSession, now: int) -> None: ...

    def read(self, session_id: str, now: int) -> Session | None: ...

    def find(self, task_id: str | None, live: bool, now: int) -> list[Session]: ...

    def last_of_run(self, run_id: str) -> str | None: ...

    def over(self, active_before: int, opened_before: int, now: int) -> list[Session]:
        """Open sessions silent since one time and not waiting for an answer, or opened before the other."""
        ...

    def touch(self, session_id: str, now: int) -> bool:
        """False when there is none, or it has ended."""
        ...

    def touch_run(self, run_id: str, now: int) -> None: ...

    def bind(self, session_id: str, new: NewSession, now: int) -> None: ...

    def end(self, session_id: str, reason: str, seen: int, now: int) -> bool:
        """False when it had ended before, or has been heard of after `seen`."""
        ...

    def reopen(self, session_id: str, now: int) -> bool:
        """False when it has not ended."""
        ...


class RuleStore(Protocol):
    """Answers that are given by themselves."""

    def insert(self, rule: Rule, now: int) -> None: ...

    def read(self, rule_id: str) -> Rule | None: ...

    def find_all(self) -> list[Rule]: ...

    def in_force(self, kind: MessageKind, now: int) -> list[Rule]: ...

    def use(self, rule_id: str, now: int) -> None: ...

    def revoke(self, rule_id: str, now: int) -> None: ...


class AlertStore(Protocol):
    """What everybody should know for a while."""

    def save(self, key: str, reason: str, until: int | None, now: int) -> None: ...

    def in_force(self, now: int) -> list[Alert]: ...

    def delete(self, key: str) -> bool:
        """False when there is none."""
        ...

    def delete_old(self, before: int) -> None: ...


class LogStore(Protocol):
    """The append-only log."""

    def append(self, event: NewEvent, now: int) -> None: ...

    def read(self, after: int, limit: int, entity_id: str | None) -> list[Event]: ...

    def of_messages(self, after: int, limit: int, task_id: str | None) -> list[Event]:
        """The log of all messages, or those of one task's conversation."""
        ...

    def last_seq(self) -> int: ...


class Store(Protocol):
    """One connection to a database."""

    @property
    def tasks(self) -> TaskStore: ...

    @property
    def pages(self) -> PageStore: ...

    @property
    def runs(self) -> RunStore: ...

    @property
    def messages(self) -> MessageStore: ...

    @property
    def machines(self) -> MachineStore: ...

    @property
    def projects(self) -> ProjectStore: ...

    @property
    def transfer(self) -> TransferStore: ...

    @property
    def drafts(self) -> DraftStore: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def operations(self) -> OperationStore: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def rules(self) -> RuleStore: ...

    @property
    def alerts(self) -> AlertStore: ...

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
