"""The backend over a server that may be away: fresh while it is there, from the cache while it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar, cast

from backend.clock import Clock, SystemClock
from backend.errors import NotFound, Offline, Refused
from backend.interface import Backend, Transition
from backend.lifecycle import Limits
from backend.model import (
    Actor,
    Agent,
    Alert,
    Claim,
    ClaimRequest,
    Evidence,
    HoldRequest,
    Message,
    NewMachine,
    NewMessage,
    NewRule,
    NewTask,
    Orchestrator,
    Pause,
    Renewal,
    Rule,
    Run,
    RunEnd,
    RunPatch,
    Task,
    TaskPatch,
)
from backend.offline.asking import Asking
from backend.offline.cache import Cache, CacheService
from backend.offline.operations import Create, Edit, Move, OnMessage, OnRun, Post, Prove
from backend.offline.outbox import State
from backend.offline.settle import settle
from backend.offline.sync import Synchronizer
from backend.planning import Draft, DraftPatch, NewDraft, NewProject, Project, ProjectPatch
from backend.remote import RemoteBackend
from backend.sessions import NewSession, Session
from backend.sync import Choice

T = TypeVar("T")
ANSWER_S = 10.0
PATIENCE_S = 2.0
LAST_S = 5.0
"""How long a synchronisation that has begun is waited for when the backend is closed."""


class OfflineBackend(Asking):
    """A `Backend` over a server, with `cache.db` beside it. One process has one; one event loop uses it."""

    def __init__(self, remote: RemoteBackend, cache: Cache, synchronizer: Synchronizer) -> None:
        super().__init__(remote, cache, synchronizer)
        self._file = cache
        self._running: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        remote: RemoteBackend,
        path: Path,
        *,
        server: str,
        clock: Clock | None = None,
        limits: Limits | None = None,
    ) -> Self:
        """Open the cache, and begin to keep it and the server together.

        Args:
            remote: the server; closed with this backend.
            path: the cache's file, which no other process has open.
            server: its address, for whoever asks.

        Raises:
            StoreBusy: the server is away, and this cache has never been filled.
            KeyRefused: it does not take the key.
            StoreBroken: what answers is no Octopoid, or the cache can not be used.
        """
        clock = clock or SystemClock()
        cache = await Cache.open(path, clock, limits or Limits())
        opened = cls(remote, cache, Synchronizer(remote, cache, server, clock))
        try:
            await opened._sync.begin()
        except BaseException:
            await cache.close()
            raise
        opened._running = asyncio.create_task(opened._sync.run(), name="synchronize")
        return opened

    async def close(self) -> None:
        """Stop; what waits is sent by the next one that opens the cache."""
        running, self._running = self._running, None
        try:
            if running is not None:
                await self._finish_first()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        finally:
            try:
                await self._remote.close()
            finally:
                await self._file.close()

    async def _finish_first(self) -> None:
        """A command that is over at once should leave a cache that can be used without the server."""
        standing = await self._cache.read(lambda service: service.standing())
        if not self._sync.online or (standing.cursor is not None and not self._sync.is_reading):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                await self._sync.sync_now()

    # Tasks

    async def create_task(self, new: NewTask, *, actor: Actor) -> Task:
        return cast("Task", await self._change(Create(new, actor)))

    async def edit_task(
        self, task_id: str, patch: TaskPatch, *, actor: Actor, version: int | None = None
    ) -> Task:
        return cast("Task", await self._change(Edit(task_id, patch, actor, version)))

    async def transition(self, wish: Transition) -> Task:
        move = Move(wish)
        if move.is_allowed():
            return cast("Task", await self._change(move))
        return await self._ask(
            f"{wish.action} of task {wish.task_id}", lambda server: server.transition(wish)
        )

    async def split_task(
        self, task_id: str, parts: Sequence[NewTask], *, actor: Actor, version: int | None = None
    ) -> Task:
        return await self._ask(
            f"splitting task {task_id}",
            lambda server: server.split_task(task_id, parts, actor=actor, version=version),
        )

    # Leases

    async def claim(self, wish: ClaimRequest) -> Claim | None:
        """Only the server gives leases; while it is away there is nothing to claim."""
        try:
            return await self._ask("a claim", lambda server: server.claim(wish))
        except Offline as offline:
            if wish.task_id is None:
                return None
            raise Refused(
                f"task {wish.task_id} can not be claimed", offline.problem, (offline.problem,)
            ) from offline

    async def claim_in_place(self, wish: HoldRequest) -> Claim:
        return await self._ask(f"a lease on task {wish.task_id}", lambda server: server.claim_in_place(wish))

    async def renew(self, orchestrator_id: str, leases: Sequence[Renewal], lease_seconds: int) -> list[str]:
        """While the server is away nothing is known to be lost; once it is back that is asked first."""
        await self._note_machine(orchestrator_id, lease_seconds)
        try:
            return await self._ask(
                "a renewal", lambda server: server.renew(orchestrator_id, leases, lease_seconds)
            )
        except Offline:
            return []

    async def expire_leases(self) -> list[Task]:
        try:
            return await self._ask("the expiry of leases", lambda server: server.expire_leases())
        except Offline:
            return []

    # Runs and evidence

    async def update_run(self, run_id: str, patch: RunPatch) -> Run:
        return cast("Run", await self._change(OnRun(run_id, patch=patch)))

    async def end_run(self, run_id: str, end: RunEnd) -> Run:
        return cast("Run", await self._change(OnRun(run_id, end=end)))

    async def add_evidence(self, evidence: Evidence) -> None:
        await self._change(Prove(evidence))

    # Messages

    async def post_message(self, new: NewMessage) -> Message:
        return cast("Message", await self._change(Post(new)))

    async def answer(self, message_id: str, text: str, *, actor: Actor) -> Message:
        return cast("Message", await self._change(OnMessage(message_id, answer=text, actor=actor)))

    async def withdraw(self, message_id: str, reason: str) -> Message:
        return cast("Message", await self._change(OnMessage(message_id, withdrawn=reason)))

    async def mark_delivered(self, message_id: str) -> Message:
        return cast("Message", await self._change(OnMessage(message_id)))

    # Sessions of agent programs

    async def open_session(self, new: NewSession) -> Session:
        return await self._ask("a new session", lambda server: server.open_session(new))

    async def touch_session(self, session_id: str) -> Session:
        return await self._read(lambda backend: backend.touch_session(session_id))

    async def end_session(self, session_id: str, reason: str, *, actor: Actor) -> Session:
        return await self._ask(
            f"the end of session {session_id}",
            lambda server: server.end_session(session_id, reason, actor=actor),
        )

    # Rules

    async def create_rule(self, new: NewRule, *, actor: Actor) -> Rule:
        return await self._ask("a new rule", lambda server: server.create_rule(new, actor=actor))

    async def revoke_rule(self, rule_id: str, *, actor: Actor) -> Rule:
        return await self._ask(
            f"the end of rule {rule_id}", lambda server: server.revoke_rule(rule_id, actor=actor)
        )

    # Machines and their agents: what holds at the moment is said again when the server is back

    async def register(
        self,
        cluster: str,
        machine_id: str,
        *,
        pid: int | None,
        repo_url: str | None = None,
        instance: str | None = None,
    ) -> Orchestrator:
        machine = NewMachine(cluster, machine_id, pid, repo_url, instance)
        await self._note_machine(machine.id)

        def ask(backend: Backend) -> Awaitable[Orchestrator]:
            return backend.register(cluster, machine_id, pid=pid, repo_url=repo_url, instance=instance)

        try:
            return await self._ask("registering", ask)
        except Offline:
            self._sync.machine = machine
            return await ask(self._cache.records)

    async def heartbeat(self, orchestrator_id: str, *, cycle_at: datetime | None) -> Orchestrator:
        return await self._read(lambda backend: backend.heartbeat(orchestrator_id, cycle_at=cycle_at))

    async def leave(self, orchestrator_id: str) -> Orchestrator:
        return await self._read(lambda backend: backend.leave(orchestrator_id))

    async def report_agents(self, orchestrator_id: str, agents: Sequence[Agent]) -> None:
        self._sync.agents = list(agents)
        await self._read(lambda backend: backend.report_agents(orchestrator_id, agents))

    async def _note_machine(self, orchestrator_id: str, lease_seconds: int | None = None) -> None:
        """Which machine this is, for the time after a restart without the server."""

        def note(service: CacheService) -> None:
            standing = service.standing()
            seconds = standing.lease_seconds if lease_seconds is None else lease_seconds
            noted = replace(standing, orchestrator_id=orchestrator_id, lease_seconds=seconds)
            if noted != standing:
                service.save_standing(noted)

        await self._cache.write(note)

    # Projects and drafts

    async def create_project(self, new: NewProject, *, actor: Actor) -> Project:
        return await self._ask("a new project", lambda server: server.create_project(new, actor=actor))

    async def edit_project(
        self, project_id: str, patch: ProjectPatch, *, actor: Actor, version: int | None = None
    ) -> Project:
        return await self._ask(
            f"an edit of project {project_id}",
            lambda server: server.edit_project(project_id, patch, actor=actor, version=version),
        )

    async def delete_project(self, project_id: str, *, actor: Actor, version: int | None = None) -> None:
        await self._ask(
            f"the end of project {project_id}",
            lambda server: server.delete_project(project_id, actor=actor, version=version),
        )

    async def create_draft(self, new: NewDraft, *, actor: Actor) -> Draft:
        return await self._ask("a new draft", lambda server: server.create_draft(new, actor=actor))

    async def edit_draft(
        self, draft_id: str, patch: DraftPatch, *, actor: Actor, version: int | None = None
    ) -> Draft:
        return await self._ask(
            f"an edit of draft {draft_id}",
            lambda server: server.edit_draft(draft_id, patch, actor=actor, version=version),
        )

    async def delete_draft(self, draft_id: str, *, actor: Actor, version: int | None = None) -> None:
        await self._ask(
            f"the end of draft {draft_id}",
            lambda server: server.delete_draft(draft_id, actor=actor, version=version),
        )

    async def promote_draft(self, draft_id: str, tasks: Sequence[NewTask], *, actor: Actor) -> Draft:
        return await self._ask(
            f"promoting draft {draft_id}", lambda server: server.promote_draft(draft_id, tasks, actor=actor)
        )

    # Steering

    async def pause(
        self,
        *,
        actor: Actor,
        reason: str | None = None,
        until: datetime | None = None,
        machine: str | None = None,
    ) -> Pause:
        return await self._ask(
            "a pause", lambda server: server.pause(actor=actor, reason=reason, until=until, machine=machine)
        )

    async def resume(self, *, actor: Actor, machine: str | None = None) -> Pause:
        return await self._ask("resuming", lambda server: server.resume(actor=actor, machine=machine))

    async def raise_alert(self, key: str, reason: str, *, until: datetime | None) -> Alert:
        """While the server is away it holds here, and is said to the server when it is back."""
        return await self._read(lambda backend: backend.raise_alert(key, reason, until=until))

    async def clear_alert(self, key: str) -> None:
        """While the server is away it is over here alone; what the server has holds again when it is back."""
        await self._read(lambda backend: backend.clear_alert(key))

    # The server

    async def settle_conflict(self, conflict_id: str, choice: Choice, *, actor: Actor) -> None:
        entry = await self._cache.read(lambda service: service.outbox.find(conflict_id))
        if entry is None or entry.state is State.PENDING:
            raise NotFound(f"there is no conflict {conflict_id[:80]!r}", "octopoid conflicts shows every one")
        if choice is Choice.MINE:
            run = None
            if isinstance(entry.operation, Move) and entry.operation.wish.run_id is not None:
                run = await self.get_run(entry.operation.wish.run_id)
            await self._ask("settling it as yours", lambda server: settle(server, entry, run, actor))
        await self._cache.write(lambda service: service.outbox.remove(conflict_id))
