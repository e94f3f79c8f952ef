"""Reading from the server what has changed there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from backend.errors import NotFound
from backend.interface import Backend
from backend.model import (
    Agent,
    Alert,
    Event,
    Evidence,
    Message,
    Orchestrator,
    Pause,
    Rule,
    Run,
    Task,
)
from backend.offline.mirror import Mirror
from backend.planning import Draft, Project
from backend.remote import RemoteBackend
from backend.sessions import Session

T = TypeVar("T")
AT_ONCE = 8
"""Requests under way at the same time."""
PARTS: dict[str, type] = {"task": Task, "run": Run, "message": Message, "evidence": Evidence}
"""What an event may be about that belongs to a task."""
NOUNS: dict[type, str] = {Task: "tasks", Run: "runs", Message: "messages", Evidence: "results of checks"}


@dataclass(slots=True)
class Wanted:
    """What has to be read again: parts of tasks, and whether anything else."""

    tasks: dict[str, set[type]] = field(default_factory=dict)
    rest: bool = False

    def add(self, event: Event) -> None:
        """What an event of the server says has changed."""
        part = PARTS.get(event.entity)
        task_id = event.entity_id if part is Task else event.data.get("task_id")
        if part is None or not isinstance(task_id, str):
            self.rest = True
        else:
            self.tasks.setdefault(task_id, set()).add(part)

    def add_made(self, event: Event) -> None:
        """All that a change made here can have touched, which the server may not have taken."""
        self.add(event)
        task_id = event.entity_id if event.entity == "task" else event.data.get("task_id")
        if isinstance(task_id, str):
            moved = event.entity == "task" and event.kind not in ("create", "edit")
            self.tasks.setdefault(task_id, set()).update({Task, Run} if moved else {Task})
        self.rest = True


@dataclass(frozen=True, slots=True)
class Rest:
    """What belongs to no task: short lists, read as a whole."""

    lists: dict[type, list[Any]]
    pause: Pause

    def store(self, mirror: Mirror) -> None:
        for kind, records in self.lists.items():
            mirror.replace_all(kind, records)
        mirror.put_pause(self.pause)


@dataclass(frozen=True, slots=True)
class Found:
    """What the server had of what was wanted; a task without record does not exist there."""

    tasks: dict[str, dict[type, list[Any]]]
    rest: Rest | None

    def store(self, mirror: Mirror) -> None:
        for task_id, parts in self.tasks.items():
            if parts.get(Task) == []:
                mirror.delete_task(task_id)
                continue
            for kind, records in parts.items():
                if kind is Task:
                    mirror.put(records)
                else:
                    mirror.replace_of_task(kind, task_id, records)
        if self.rest is not None:
            self.rest.store(mirror)


@dataclass(frozen=True, slots=True)
class Everything:
    """The whole state of a server; of what was said and checked, that of unfinished tasks."""

    last: int
    events: list[Event]
    """The newest ones."""
    tasks: list[Task]
    others: dict[type, list[Any]]
    """What belongs to tasks, by its kind."""
    rest: Rest

    def store(self, mirror: Mirror) -> None:
        mirror.put(sorted(self.tasks, key=lambda task: (task.created_at, task.id)))
        for records in self.others.values():
            mirror.put(records)
        self.rest.store(mirror)


async def fetch(server: Backend, wanted: Wanted) -> Found:
    """
    Raises: what reading from the server raises.
    """
    gate = asyncio.Semaphore(AT_ONCE)
    asked = [(task_id, part) for task_id, parts in wanted.tasks.items() for part in parts]
    answers = await _all([_part(server, gate, task_id, part) for task_id, part in asked])
    tasks: dict[str, dict[type, list[Any]]] = {task_id: {} for task_id in wanted.tasks}
    for (task_id, part), records in zip(asked, answers, strict=True):
        tasks[task_id][part] = records
    return Found(tasks, await _rest(server) if wanted.rest else None)


async def fetch_everything(server: RemoteBackend, events: int, tell: Callable[[str], None]) -> Everything:
    """The state, and the last so many events.

    A task that moves while the pages are read may be missing: its event is later than `last`, and it is read
    for that.

    Args:
        tell: is given how far it has got, as "3,000 of 10,000 tasks".

    Raises: what reading from the server raises.
    """
    last = await server.last_seq()
    newest = await server.events(after=max(0, last - events), limit=max(1, events))
    tasks = await _read_all(server, Task, tell)
    parts: tuple[type, ...] = (Run, Message, Evidence)
    others = {part: await _read_all(server, part, tell) for part in parts}
    rest = await _rest(server)
    return Everything(last, [event for event in newest if event.seq <= last], tasks, others, rest)


async def _read_all(server: RemoteBackend, kind: type[Any], tell: Callable[[str], None]) -> list[Any]:
    found: dict[str, Any] = {}
    async for rows, total in server.everything(kind):
        found |= ((row.id, row) for row in rows)
        tell(f"{len(found):,}{'' if total is None else f' of {total:,}'} {NOUNS[kind]}")
    return list(found.values())


async def _part(server: Backend, gate: asyncio.Semaphore, task_id: str, part: type) -> list[Any]:
    async with gate:
        try:
            if part is Task:
                return [await server.get_task(task_id)]
            if part is Run:
                return list(await server.list_runs(task_id=task_id))
            if part is Message:
                return list(await server.list_messages(task_id))
            return list(await server.list_evidence(task_id))
        except NotFound:
            return []


async def _rest(server: Backend) -> Rest:
    asked: dict[type, Coroutine[Any, Any, list[Any]]] = {
        Orchestrator: server.list_orchestrators(),
        Agent: server.list_agents(),
        Project: server.list_projects(),
        Draft: server.list_drafts(),
        Session: server.list_sessions(live=True),
        Rule: server.list_rules(),
        Alert: server.list_alerts(),
    }
    lists = await _all(list(asked.values()))
    return Rest(dict(zip(asked, lists, strict=True)), await server.get_pause())


async def _all(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Every answer; the first failure ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in asked]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def wanted_by(events: Iterable[Event]) -> Wanted:
    """What the server's events ask to be read again."""
    wanted = Wanted()
    for event in events:
        wanted.add(event)
    return wanted
