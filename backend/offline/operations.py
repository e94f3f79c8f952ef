"""What may be done while the server is away: each change as data, with how it is done to any backend."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from backend.errors import StoreBroken
from backend.interface import Action, Backend, Transition
from backend.model import (
    SYSTEM,
    Actor,
    Evidence,
    Json,
    Message,
    NewMessage,
    NewTask,
    Run,
    RunEnd,
    RunPatch,
    Task,
    TaskPatch,
)
from backend.wire import changes_json, encode, from_json, to_json

BY_HOLDER = frozenset(
    {Action.SUBMIT, Action.CONTINUE, Action.FINISH_IN_PLACE, Action.RELEASE, Action.FAIL, Action.ESCALATE}
)
"""What the holder of a lease may do; the fence proves the right, also later."""
BY_PERSON = frozenset(
    {Action.HOLD, Action.ENQUEUE, Action.CANCEL, Action.RETRY, Action.APPROVE, Action.REJECT}
) | {Action.FAIL, Action.ESCALATE}
"""What may be done to the task as it was seen here: the server takes it if the task has not changed since."""


class Operation:
    """A change that can wait. What is said here holds for those that do not say otherwise."""

    __slots__ = ()

    @property
    def base(self) -> int | None:
        """The version of the task it was decided on."""
        return None

    def on(self, version: int | None) -> Operation:
        """The same change, decided on another version; changes without a version stay as they are."""
        return self

    @property
    def uses(self) -> tuple[str, ...]:
        """Tasks and messages that have to be there, as `task:ID` and `message:ID`."""
        return ()

    @property
    def makes(self) -> str | None:
        """The task or message that it brings into being."""
        return None

    @property
    def by(self) -> Actor:
        """Who asks for it."""
        return SYSTEM

    async def task_id(self, backend: Backend) -> str:
        raise NotImplementedError

    async def do(self, backend: Backend) -> Any:
        raise NotImplementedError

    async def look(self, backend: Backend) -> Any:
        """What `do` would return, as it is without doing anything."""
        return await backend.get_task(await self.task_id(backend))


@dataclass(frozen=True, slots=True)
class Create(Operation):
    new: NewTask
    actor: Actor

    @property
    def by(self) -> Actor:
        return self.actor

    @property
    def uses(self) -> tuple[str, ...]:
        return tuple(f"task:{one}" for one in self.new.blocked_by)

    @property
    def makes(self) -> str | None:
        return f"task:{self.new.id}"

    async def task_id(self, backend: Backend) -> str:
        return self.new.id

    async def do(self, backend: Backend) -> Task:
        return await backend.create_task(self.new, actor=self.actor)

    def fold(self, patch: TaskPatch) -> Create | None:
        """The same with an edit in it; None when a new task cannot have what it changes."""
        changed = {
            field.name: getattr(patch, field.name)
            for field in fields(patch)
            if getattr(patch, field.name) is not None
        }
        known = {field.name for field in fields(NewTask)} - {"blocked_by"}
        return replace(self, new=replace(self.new, **changed)) if changed.keys() <= known else None


@dataclass(frozen=True, slots=True)
class Edit(Operation):
    id: str
    patch: TaskPatch
    actor: Actor
    version: int | None = None

    @property
    def by(self) -> Actor:
        return self.actor

    @property
    def base(self) -> int | None:
        return self.version

    def on(self, version: int | None) -> Edit:
        return replace(self, version=version)

    @property
    def uses(self) -> tuple[str, ...]:
        return tuple(f"task:{one}" for one in (self.id, *(self.patch.blocked_by or ())))

    async def task_id(self, backend: Backend) -> str:
        return self.id

    async def do(self, backend: Backend) -> Task:
        return await backend.edit_task(self.id, self.patch, actor=self.actor, version=self.version)


@dataclass(frozen=True, slots=True)
class Move(Operation):
    """Any transition of `BY_HOLDER` and `BY_PERSON`."""

    wish: Transition

    @property
    def by(self) -> Actor:
        return self.wish.actor

    @property
    def base(self) -> int | None:
        return self.wish.version

    def on(self, version: int | None) -> Move:
        return self if self.wish.fence is not None else Move(replace(self.wish, version=version))

    @property
    def uses(self) -> tuple[str, ...]:
        return (f"task:{self.wish.task_id}",)

    async def task_id(self, backend: Backend) -> str:
        return self.wish.task_id

    async def do(self, backend: Backend) -> Task:
        return await backend.transition(self.wish)

    def is_allowed(self) -> bool:
        """Whether it may be done while the server is away."""
        return self.wish.action in (BY_PERSON if self.wish.fence is None else BY_HOLDER)


@dataclass(frozen=True, slots=True)
class Prove(Operation):
    evidence: Evidence

    @property
    def uses(self) -> tuple[str, ...]:
        return (f"task:{self.evidence.task_id}",)

    async def task_id(self, backend: Backend) -> str:
        return self.evidence.task_id

    async def do(self, backend: Backend) -> None:
        await backend.add_evidence(self.evidence)

    async def look(self, backend: Backend) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Post(Operation):
    new: NewMessage

    @property
    def by(self) -> Actor:
        return self.new.sender

    @property
    def uses(self) -> tuple[str, ...]:
        parent = self.new.parent_message_id
        task = f"task:{self.new.conversation_id}"
        return (task,) if parent is None else (task, f"message:{parent}")

    @property
    def makes(self) -> str | None:
        return f"message:{self.new.id}"

    async def task_id(self, backend: Backend) -> str:
        return self.new.conversation_id

    async def do(self, backend: Backend) -> Message:
        return await backend.post_message(self.new)

    async def look(self, backend: Backend) -> Message:
        return await backend.get_message(self.new.id)


@dataclass(frozen=True, slots=True)
class OnMessage(Operation):
    """Answer a request, withdraw it, or note that the answer arrived."""

    id: str
    answer: str | None = None
    withdrawn: str | None = None
    actor: Actor | None = None

    @property
    def by(self) -> Actor:
        return self.actor or SYSTEM

    @property
    def uses(self) -> tuple[str, ...]:
        return (f"message:{self.id}",)

    async def task_id(self, backend: Backend) -> str:
        return (await backend.get_message(self.id)).conversation_id

    async def do(self, backend: Backend) -> Message:
        if self.answer is not None and self.actor is not None:
            return await backend.answer(self.id, self.answer, actor=self.actor)
        if self.withdrawn is not None:
            return await backend.withdraw(self.id, self.withdrawn)
        return await backend.mark_delivered(self.id)

    async def look(self, backend: Backend) -> Message:
        return await backend.get_message(self.id)


@dataclass(frozen=True, slots=True)
class OnRun(Operation):
    """Note what is learned of a run, or end it."""

    id: str
    patch: RunPatch | None = None
    end: RunEnd | None = None

    async def task_id(self, backend: Backend) -> str:
        return (await backend.get_run(self.id)).task_id

    async def do(self, backend: Backend) -> Run:
        if self.end is not None:
            return await backend.end_run(self.id, self.end)
        return await backend.update_run(self.id, self.patch or RunPatch())

    async def look(self, backend: Backend) -> Run:
        return await backend.get_run(self.id)


KINDS: dict[str, type[Operation]] = {
    kind.__name__.lower(): kind for kind in (Create, Edit, Move, Prove, Post, OnMessage, OnRun)
}


def write(operation: Operation) -> tuple[str, Json]:
    """Its kind, and the rest as JSON-ready data."""
    return type(operation).__name__.lower(), to_json(operation)


def read(kind: str, data: Json) -> Operation:
    """
    Raises:
        StoreBroken: it is of another version of Octopoid.
    """
    found = KINDS.get(kind)
    if found is None:
        raise StoreBroken(
            f"a waiting change is of the unknown kind {kind!r}", "use the Octopoid that wrote it"
        )
    return from_json(found, data)


def identity(operation: Operation) -> str:
    """What is alike in two changes of one request, done twice, when they are the same change.

    A move is one by what it does to which task: its fence and its run are read from the task, which may have
    moved already. Of anything else nothing but the version it is decided on may differ.
    """
    kind, data = write(operation.on(None))
    if isinstance(operation, Move):
        data = {"task_id": operation.wish.task_id, "action": operation.wish.action.value}
    return encode([kind, data]).decode()


def touched(operation: Operation) -> tuple[str, ...]:
    """The fields of a task that it sets to values of its own."""
    return tuple(changes_json(operation.patch)) if isinstance(operation, Edit) else ()


def named(operation: Operation) -> str:
    """What was asked for, in one word."""
    match operation:
        case Move():
            return operation.wish.action.value
        case Post():
            return "message"
        case OnMessage():
            return (
                "answer" if operation.answer is not None else "withdraw" if operation.withdrawn else "deliver"
            )
        case OnRun():
            return "update run" if operation.end is None else "end run"
        case Prove():
            return "evidence"
        case _:
            return type(operation).__name__.lower()
