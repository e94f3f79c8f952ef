"""What is read: from the server while it is there, from the cache while it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar, cast

from backend.errors import StoreBusy
from backend.interface import Backend
from backend.model import (
    Agent,
    Alert,
    Event,
    Evidence,
    Message,
    Orchestrator,
    Pause,
    Priority,
    Queue,
    Rule,
    Run,
    Task,
    TaskFilter,
    Usage,
    UsageBy,
)
from backend.offline.cache import Cache, CacheInside, CacheService
from backend.offline.outbox import Entry
from backend.offline.sync import Synchronizer
from backend.planning import Draft, Project
from backend.remote import RemoteBackend
from backend.rest.connection import Throttled
from backend.sessions import Session
from backend.sync import Conflict, SyncMode, SyncState, Waiting
from backend.why import Reason

T = TypeVar("T")
PAGE = 500


class Reading:
    """The half of `OfflineBackend` that changes nothing."""

    def __init__(self, remote: RemoteBackend, cache: Cache, synchronizer: Synchronizer) -> None:
        self._remote = remote
        self._cache: Cache | CacheInside = cache
        self._sync = synchronizer

    async def _read(self, ask: Callable[[Backend], Awaitable[T]]) -> T:
        if self._sync.online:
            try:
                return await ask(self._remote)
            except StoreBusy as away:
                await self._leave(away)
        return await ask(self._cache.records)

    async def _read_log(
        self, after: int, ask: Callable[[Backend, int], Awaitable[list[Event]]]
    ) -> list[Event]:
        """Events after a place of the log here, whoever is asked for them."""
        if self._sync.online:
            positions = (await self._cache.read(lambda service: service.standing())).positions
            try:
                found = await ask(self._remote, positions.there(after))
            except StoreBusy as away:
                await self._leave(away)
            else:
                return [replace(event, seq=positions.here(event.seq)) for event in found]
        return await ask(self._cache.records, after)

    async def _leave(self, error: StoreBusy) -> None:
        """Go on without the server; not because it wants fewer requests."""
        if isinstance(error, Throttled):
            raise error
        await self._sync.leave(error)

    async def get_task(self, task_id: str) -> Task:
        return await self._read(lambda backend: backend.get_task(task_id))

    async def list_tasks(self, wanted: TaskFilter) -> list[Task]:
        return await self._read(lambda backend: backend.list_tasks(wanted))

    async def count_queues(self) -> Mapping[Queue, int]:
        return await self._read(lambda backend: backend.count_queues())

    async def count_waiting(self) -> Mapping[Priority, int]:
        return await self._read(lambda backend: backend.count_waiting())

    async def why(self, task_id: str) -> list[Reason]:
        return await self._read(lambda backend: backend.why(task_id))

    async def get_run(self, run_id: str) -> Run:
        return await self._read(lambda backend: backend.get_run(run_id))

    async def list_runs(self, *, task_id: str | None = None, live: bool = False) -> list[Run]:
        return await self._read(lambda backend: backend.list_runs(task_id=task_id, live=live))

    async def list_evidence(self, task_id: str) -> list[Evidence]:
        return await self._read(lambda backend: backend.list_evidence(task_id))

    async def unfinished_evidence(self) -> list[Evidence]:
        return await self._read(lambda backend: backend.unfinished_evidence())

    async def get_message(self, message_id: str) -> Message:
        return await self._read(lambda backend: backend.get_message(message_id))

    async def list_messages(self, task_id: str) -> list[Message]:
        return await self._read(lambda backend: backend.list_messages(task_id))

    async def unfinished_messages(self) -> list[Message]:
        return await self._read(lambda backend: backend.unfinished_messages())

    async def open_questions(self) -> list[Message]:
        return await self._read(lambda backend: backend.open_questions())

    async def undelivered(self, run_ids: Sequence[str]) -> list[Message]:
        return await self._read(lambda backend: backend.undelivered(run_ids))

    async def chat(self, *, after: int = 0, limit: int = 200, task_id: str | None = None) -> list[Event]:
        return await self._read_log(
            after,
            lambda backend, place: backend.chat(after=place, limit=limit, task_id=task_id),
        )

    async def get_session(self, session_id: str) -> Session:
        return await self._read(lambda backend: backend.get_session(session_id))

    async def list_sessions(self, *, task_id: str | None = None, live: bool = False) -> list[Session]:
        return await self._read(lambda backend: backend.list_sessions(task_id=task_id, live=live))

    async def list_rules(self) -> list[Rule]:
        return await self._read(lambda backend: backend.list_rules())

    async def list_orchestrators(self) -> list[Orchestrator]:
        return await self._read(lambda backend: backend.list_orchestrators())

    async def list_agents(self) -> list[Agent]:
        return await self._read(lambda backend: backend.list_agents())

    async def get_project(self, project_id: str) -> Project:
        return await self._read(lambda backend: backend.get_project(project_id))

    async def list_projects(self) -> list[Project]:
        return await self._read(lambda backend: backend.list_projects())

    async def get_draft(self, draft_id: str) -> Draft:
        return await self._read(lambda backend: backend.get_draft(draft_id))

    async def list_drafts(self) -> list[Draft]:
        return await self._read(lambda backend: backend.list_drafts())

    async def get_pause(self, *, machine: str | None = None) -> Pause:
        return await self._read(lambda backend: backend.get_pause(machine=machine))

    async def list_alerts(self) -> list[Alert]:
        return await self._read(lambda backend: backend.list_alerts())

    async def events(self, *, after: int = 0, limit: int = 500, entity_id: str | None = None) -> list[Event]:
        return await self._read_log(
            after,
            lambda backend, place: backend.events(after=place, limit=limit, entity_id=entity_id),
        )

    async def last_seq(self) -> int:
        if self._sync.online:
            positions = (await self._cache.read(lambda service: service.standing())).positions
            try:
                return positions.here(await self._remote.last_seq())
            except StoreBusy as away:
                await self._leave(away)
        return await self._cache.records.last_seq()

    async def watch(self, after: int) -> AsyncIterator[list[Event]]:
        """Batches of events as they come, those of changes made here too; goes on when the server is away."""
        horizon = (await self._cache.read(lambda service: service.standing())).horizon
        while after < horizon:
            # From before the log here begins: the server has them, if it is there.
            batch = await self.events(after=after, limit=PAGE)
            if not batch:
                after = horizon
            else:
                after = batch[-1].seq
                yield batch
        async with aclosing(cast("Any", self._cache.records.watch(after))) as batches:
            async for batch in batches:
                yield batch

    async def cost_since(self, since: datetime) -> float:
        return await self._read(lambda backend: backend.cost_since(since))

    async def usage(self, by: UsageBy, *, since: datetime) -> list[Usage]:
        return await self._read(lambda backend: backend.usage(by, since=since))

    async def sync_state(self) -> SyncState:
        return await self._sync.state(self._cache)

    async def list_pending(self, limit: int | None = None) -> list[Waiting]:
        def read(service: CacheService) -> list[tuple[Entry, str | None]]:
            """What waits, each with the change that has to come before it."""
            found = service.outbox.pending(limit)
            return [(entry, service.outbox.first_summary(entry.needs)) for entry in found]

        entries, state = await self._cache.read(read), await self.sync_state()
        return [entry.as_waiting(why_it_waits(entry, before, state)) for entry, before in entries]

    async def list_conflicts(self) -> list[Conflict]:
        entries = await self._cache.read(lambda service: service.outbox.unsettled())
        return [entry.as_conflict() for entry in entries]

    async def sync_now(self) -> SyncState:
        return await self._sync.sync_now()


def why_it_waits(entry: Entry, before: str | None, state: SyncState) -> str:
    """What a change waits for, in a few words.

    Args:
        before: the change that the server has to have first, if it waits too.
    """
    if state.mode is SyncMode.OFFLINE:
        trouble = f" ({state.trouble})" if state.trouble else ""
        last = f"; before that it failed at this: {entry.problem}" if entry.problem else ""
        return f"the server is away{trouble}{last}"
    if entry.problem is not None:
        return f"the server failed at it and is asked again: {entry.problem}"
    return f"it is sent after: {before}" if before is not None else "it is being sent"
