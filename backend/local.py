"""The state in this process: the lifecycle over a store, behind an async face."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, TypeVar

from backend.clock import Clock, SystemClock
from backend.errors import NotFound, StoreBroken, StoreBusy
from backend.inline import Inline, run_at_once
from backend.interface import Transition
from backend.keys import ApiKey, CreatedKey, NewKey
from backend.lifecycle import Limits
from backend.model import (
    Actor,
    Agent,
    Alert,
    Claim,
    ClaimRequest,
    Event,
    Evidence,
    HoldRequest,
    Message,
    NewMachine,
    NewMessage,
    NewRule,
    NewTask,
    Orchestrator,
    Pause,
    Priority,
    Queue,
    Renewal,
    Rule,
    Run,
    RunEnd,
    RunPatch,
    Task,
    TaskFilter,
    TaskPatch,
    Usage,
    UsageBy,
)
from backend.once import Act, Answer, Asked, Declined
from backend.pages import EVERYTHING, MessageFilter, Page, RunFilter, SessionFilter, Span, TaskPage
from backend.planning import Draft, DraftPatch, NewDraft, NewProject, Project, ProjectPatch
from backend.service import Service
from backend.sessions import NewSession, Session
from backend.store.migrate import migrate, quick_check
from backend.store.sqlite import SqliteStore, connect, damaged, explain
from backend.sync import LOCAL, Choice, Conflict, SyncState, Waiting
from backend.transfer.document import read_document
from backend.why import Reason
from backend.workers import Embedded, Engine

T = TypeVar("T")
BATCH = 500
"""Events in one batch of a watch."""
AGAIN_S = 0.5
"""How soon a watch looks again when the store was busy or away."""


class LocalBackend:
    """A `Backend` over a SQLite file, of which one process holds one of these, or a PostgreSQL database.

    May be called from any event loop. A write that has returned is on the disk, and every read after it sees
    it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    async def open(cls, path: Path, clock: Clock | None = None, limits: Limits | None = None) -> LocalBackend:
        """Open a SQLite store, making or migrating the file as needed.

        Raises:
            StoreBroken: the file is damaged, of a newer version, or can not be used; it is left as it is.
            StoreBusy: another program is writing it.
        """
        return cls(await asyncio.to_thread(embed, path, clock or SystemClock(), limits or Limits()))

    @classmethod
    async def connect(
        cls, url: str, clock: Clock | None = None, limits: Limits | None = None
    ) -> LocalBackend:
        """Connect to a PostgreSQL database, making or migrating its tables as needed.

        Args:
            url: `postgresql://user@host/database`, with whatever libpq understands.
            clock: the database's own, which all replicas share, unless given.

        Raises:
            StoreBroken: the database is of a newer version, or PostgreSQL's driver is not installed.
            StoreBusy: the database cannot be reached.
        """
        try:
            from backend.pool import Pool
        except ImportError as error:
            raise StoreBroken(
                "the driver of PostgreSQL is not installed",
                "install it, in a checkout: uv tool install '.[postgres]'",
            ) from error
        return cls(await asyncio.to_thread(Pool.open, url, clock, limits or Limits()))

    async def close(self) -> None:
        """Finish what is queued, end every watch, and close the store. Closing again is no error."""
        self._engine.watchers.close()
        await asyncio.to_thread(self._engine.close)

    async def _read(self, job: Callable[[Service], T]) -> T:
        return await self._engine.read(job)

    async def _write(self, job: Callable[[Service], T]) -> T:
        return await self._engine.write(job)

    # Tasks
    async def create_task(self, new: NewTask, *, actor: Actor) -> Task:
        return await self._write(lambda service: service.tasks.create(new, actor))

    async def get_task(self, task_id: str) -> Task:
        return await self._read(lambda service: service.tasks.get(task_id))

    async def list_tasks(self, wanted: TaskFilter) -> list[Task]:
        return await self._read(lambda service: service.tasks.find(wanted))

    async def page_tasks(self, wanted: TaskFilter, page: Page) -> TaskPage:
        return await self._read(lambda service: service.tasks.page(wanted, page))

    async def page_runs(self, wanted: RunFilter, span: Span) -> list[Run]:
        return await self._read(lambda service: service.pages.runs(wanted, span))

    async def page_sessions(self, wanted: SessionFilter, span: Span) -> list[Session]:
        return await self._read(lambda service: service.pages.sessions(wanted, span))

    async def page_messages(self, wanted: MessageFilter, span: Span) -> list[Message]:
        return await self._read(lambda service: service.pages.messages(wanted, span))

    async def page_evidence(self, span: Span) -> list[Evidence]:
        return await self._read(lambda service: service.pages.evidence(span))

    async def count_queues(self) -> Mapping[Queue, int]:
        return await self._read(lambda service: service.tasks.count_queues())

    async def count_waiting(self) -> Mapping[Priority, int]:
        return await self._read(lambda service: service.tasks.count_waiting())

    async def edit_task(
        self, task_id: str, patch: TaskPatch, *, actor: Actor, version: int | None = None
    ) -> Task:
        return await self._write(lambda service: service.tasks.edit(task_id, patch, actor, version))

    async def transition(self, wish: Transition) -> Task:
        return await self._write(lambda service: service.transitions.transition(wish))

    async def why(self, task_id: str) -> list[Reason]:
        return await self._read(lambda service: service.why.why(task_id))

    async def split_task(
        self, task_id: str, parts: Sequence[NewTask], *, actor: Actor, version: int | None = None
    ) -> Task:
        return await self._write(lambda service: service.split.split(task_id, parts, actor, version))

    # Leases
    async def claim(self, wish: ClaimRequest) -> Claim | None:
        return await self._write(lambda service: service.leases.claim(wish))

    async def claim_in_place(self, wish: HoldRequest) -> Claim:
        return await self._write(lambda service: service.leases.claim_in_place(wish))

    async def renew(self, orchestrator_id: str, leases: Sequence[Renewal], lease_seconds: int) -> list[str]:
        return await self._write(lambda service: service.leases.renew(orchestrator_id, leases, lease_seconds))

    async def expire_leases(self) -> list[Task]:
        return await self._write(_expire)

    # Runs and evidence
    async def get_run(self, run_id: str) -> Run:
        return await self._read(lambda service: service.runs.get(run_id))

    async def list_runs(self, *, task_id: str | None = None, live: bool = False) -> list[Run]:
        return await self._read(lambda service: service.runs.find(task_id, live))

    async def update_run(self, run_id: str, patch: RunPatch) -> Run:
        return await self._write(lambda service: service.runs.update(run_id, patch))

    async def end_run(self, run_id: str, end: RunEnd) -> Run:
        return await self._write(lambda service: service.runs.end(run_id, end))

    async def add_evidence(self, evidence: Evidence) -> None:
        await self._write(lambda service: service.runs.add_evidence(evidence))

    async def list_evidence(self, task_id: str) -> list[Evidence]:
        return await self._read(lambda service: service.runs.list_evidence(task_id))

    async def unfinished_evidence(self) -> list[Evidence]:
        return await self.page_evidence(Span(EVERYTHING))

    # Messages
    async def post_message(self, new: NewMessage) -> Message:
        return await self._write(lambda service: service.rules.post(new))

    async def answer(self, message_id: str, text: str, *, actor: Actor) -> Message:
        return await self._write(lambda service: service.messages.answer(message_id, text, actor))

    async def withdraw(self, message_id: str, reason: str) -> Message:
        return await self._write(lambda service: service.messages.withdraw(message_id, reason))

    async def mark_delivered(self, message_id: str) -> Message:
        return await self._write(lambda service: service.messages.mark_delivered(message_id))

    async def get_message(self, message_id: str) -> Message:
        return await self._read(lambda service: service.messages.get(message_id))

    async def list_messages(self, task_id: str) -> list[Message]:
        return await self._read(lambda service: service.messages.of_task(task_id))

    async def unfinished_messages(self) -> list[Message]:
        return await self.page_messages(MessageFilter(unfinished=True), Span(EVERYTHING))

    async def open_questions(self) -> list[Message]:
        return await self._read(lambda service: service.messages.open())

    async def undelivered(self, run_ids: Sequence[str]) -> list[Message]:
        return await self._read(lambda service: service.messages.undelivered(run_ids))

    async def chat(self, *, after: int = 0, limit: int = 200, task_id: str | None = None) -> list[Event]:
        return await self._read(lambda service: service.log.of_messages(after, limit, task_id))

    # Sessions
    async def open_session(self, new: NewSession) -> Session:
        return await self._write(lambda service: service.sessions.open(new))

    async def get_session(self, session_id: str) -> Session:
        return await self._read(lambda service: service.sessions.get(session_id))

    async def list_sessions(self, *, task_id: str | None = None, live: bool = False) -> list[Session]:
        return await self._read(lambda service: service.sessions.find(task_id, live))

    async def touch_session(self, session_id: str) -> Session:
        return await self._write(lambda service: service.sessions.touch(session_id))

    async def end_session(self, session_id: str, reason: str, *, actor: Actor) -> Session:
        return await self._write(lambda service: service.sessions.end(session_id, reason, actor))

    # Rules
    async def create_rule(self, new: NewRule, *, actor: Actor) -> Rule:
        return await self._write(lambda service: service.rules.create(new, actor))

    async def list_rules(self) -> list[Rule]:
        return await self._read(lambda service: service.rules.find_all())

    async def revoke_rule(self, rule_id: str, *, actor: Actor) -> Rule:
        return await self._write(lambda service: service.rules.revoke(rule_id, actor))

    # Machines and their agents
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
        return await self._write(lambda service: service.machines.register(machine))

    async def heartbeat(self, orchestrator_id: str, *, cycle_at: datetime | None) -> Orchestrator:
        return await self._write(lambda service: service.machines.heartbeat(orchestrator_id, cycle_at))

    async def leave(self, orchestrator_id: str) -> Orchestrator:
        return await self._write(lambda service: service.machines.leave(orchestrator_id))

    async def list_orchestrators(self) -> list[Orchestrator]:
        return await self._read(lambda service: service.machines.orchestrators())

    async def report_agents(self, orchestrator_id: str, agents: Sequence[Agent]) -> None:
        await self._write(lambda service: service.machines.report_agents(orchestrator_id, agents))

    async def list_agents(self) -> list[Agent]:
        return await self._read(lambda service: service.machines.agents())

    # Projects and drafts
    async def create_project(self, new: NewProject, *, actor: Actor) -> Project:
        return await self._write(lambda service: service.projects.create(new, actor))

    async def get_project(self, project_id: str) -> Project:
        return await self._read(lambda service: service.projects.get(project_id))

    async def list_projects(self) -> list[Project]:
        return await self._read(lambda service: service.projects.find_all())

    async def edit_project(
        self, project_id: str, patch: ProjectPatch, *, actor: Actor, version: int | None = None
    ) -> Project:
        return await self._write(lambda service: service.projects.edit(project_id, patch, actor, version))

    async def delete_project(self, project_id: str, *, actor: Actor, version: int | None = None) -> None:
        await self._write(lambda service: service.projects.delete(project_id, actor, version))

    async def create_draft(self, new: NewDraft, *, actor: Actor) -> Draft:
        return await self._write(lambda service: service.drafts.create(new, actor))

    async def get_draft(self, draft_id: str) -> Draft:
        return await self._read(lambda service: service.drafts.get(draft_id))

    async def list_drafts(self) -> list[Draft]:
        return await self._read(lambda service: service.drafts.find_all())

    async def edit_draft(
        self, draft_id: str, patch: DraftPatch, *, actor: Actor, version: int | None = None
    ) -> Draft:
        return await self._write(lambda service: service.drafts.edit(draft_id, patch, actor, version))

    async def delete_draft(self, draft_id: str, *, actor: Actor, version: int | None = None) -> None:
        await self._write(lambda service: service.drafts.delete(draft_id, actor, version))

    async def promote_draft(self, draft_id: str, tasks: Sequence[NewTask], *, actor: Actor) -> Draft:
        return await self._write(lambda service: service.drafts.promote(draft_id, tasks, actor))

    # Steering
    async def pause(
        self,
        *,
        actor: Actor,
        reason: str | None = None,
        until: datetime | None = None,
        machine: str | None = None,
    ) -> Pause:
        return await self._write(lambda service: service.machines.pause(actor, reason, until, machine))

    async def resume(self, *, actor: Actor, machine: str | None = None) -> Pause:
        return await self._write(lambda service: service.machines.resume(actor, machine))

    async def get_pause(self, *, machine: str | None = None) -> Pause:
        return await self._read(lambda service: service.machines.get_pause(machine))

    async def raise_alert(self, key: str, reason: str, *, until: datetime | None) -> Alert:
        return await self._write(lambda service: service.alerts.put(key, reason, until))

    async def clear_alert(self, key: str) -> None:
        await self._write(lambda service: service.alerts.clear(key))

    async def list_alerts(self) -> list[Alert]:
        return await self._read(lambda service: service.alerts.find_all())

    # Keys
    async def create_key(self, new: NewKey, *, actor: Actor) -> CreatedKey:
        return await self._write(lambda service: service.keys.create(new, actor))

    async def list_keys(self) -> list[ApiKey]:
        return await self._read(lambda service: service.keys.find_all())

    async def revoke_key(self, key_id: str, *, actor: Actor) -> ApiKey:
        return await self._write(lambda service: service.keys.revoke(key_id, actor))

    async def verify_key(self, text: str) -> ApiKey | None:
        """The key that `text` is, if it still opens anything; its use is noted once a minute."""
        found = await self._read(lambda service: _verified(service, text))
        if found is None:
            return None
        key, noted = found
        if not noted:
            await self._write(lambda service: service.keys.use(key.id))
        return key

    # Changes that are made once
    async def once(self, asked: Asked, act: Act) -> tuple[Answer, bool]:
        """What `Once` says: the answer, and whether it is one of before."""

        def job(service: Service) -> tuple[Answer, bool]:
            return service.operations.once(asked, lambda: run_at_once(act(LocalBackend(Inline(service)))))

        try:
            return await self._write(job)
        except Declined as declined:
            answer = declined.answer
            if answer.status >= 500:
                return answer, False
            return await self._write(lambda service: service.operations.keep(asked, answer))

    # The whole
    async def export_state(self, out: IO[bytes]) -> None:
        await self._engine.aside(lambda service: service.transfer.export(out))

    async def import_state(self, raw: bytes, *, actor: Actor) -> Mapping[str, int]:
        return await self._write(lambda service: service.transfer.load(read_document(raw), actor))

    # The log
    async def events(self, *, after: int = 0, limit: int = 500, entity_id: str | None = None) -> list[Event]:
        return await self._read(lambda service: service.log.events(after, limit, entity_id))

    async def last_seq(self) -> int:
        return await self._read(lambda service: service.log.last_seq())

    async def watch(self, after: int) -> AsyncIterator[list[Event]]:
        """Batches of events in commit order, from `after` on, as they come; ends when closed."""
        watchers = self._engine.watchers
        with watchers.watch() as watcher:
            while not watchers.closed:
                watcher.clear()
                try:
                    batch = await self.events(after=after, limit=BATCH)
                except StoreBusy:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(watcher.wait(), AGAIN_S)
                    continue
                if batch:
                    after = batch[-1].seq
                    yield batch
                else:
                    await watcher.wait()

    async def cost_since(self, since: datetime) -> float:
        return await self._read(lambda service: service.runs.cost_since(since))

    async def usage(self, by: UsageBy, *, since: datetime) -> list[Usage]:
        return await self._read(lambda service: service.runs.usage(by, since))

    # The server: there is none but this
    async def sync_state(self) -> SyncState:
        return LOCAL

    async def list_pending(self, limit: int | None = None) -> list[Waiting]:
        return []

    async def list_conflicts(self) -> list[Conflict]:
        return []

    async def settle_conflict(self, conflict_id: str, choice: Choice, *, actor: Actor) -> None:
        raise NotFound(f"there is no conflict {conflict_id[:80]!r}", "a store of its own has none")

    async def sync_now(self) -> SyncState:
        return LOCAL


def _expire(service: Service) -> list[Task]:
    """What the clock ends: old answers, machines silent for too long, and leases that have run out."""
    service.operations.forget()
    service.machines.note_silent()
    released = service.leases.expire()
    service.runs.end_abandoned()
    service.sessions.expire()
    return released


def _verified(service: Service, text: str) -> tuple[ApiKey, bool] | None:
    key = service.keys.verify(text)
    return None if key is None else (key, service.keys.is_noted(key))


def embed(path: Path, clock: Clock, limits: Limits) -> Embedded:
    """
    Raises: what `open_store` raises.
    """
    writing, reading = open_store(path, clock.now_ms())

    def another() -> tuple[SqliteStore, Service]:
        store = SqliteStore(connect(path, read_only=True), path)
        return store, Service(store, clock, limits)

    return Embedded(
        (writing, Service(writing, clock, limits)), (reading, Service(reading, clock, limits)), another
    )


def open_store(path: Path, now: int) -> tuple[SqliteStore, SqliteStore]:
    """A migrated and checked store: a connection that writes, and one that reads.

    Raises:
        StoreBroken, StoreBusy: the file can not be used; it is left as it is.
    """
    writing: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writing = connect(path)
        verdict = quick_check(writing)
        if verdict is not None:
            raise damaged(path, verdict)
        migrate(writing, path, now)
        reading = connect(path, read_only=True)
    except Exception as error:
        if writing is not None:
            writing.close()
        if isinstance(error, OSError):
            raise StoreBroken(
                f"the store {path} can not be opened ({error.strerror})",
                "check that its folder exists, and its permissions",
            ) from error
        explained = explain(error, path)
        if explained is None:
            raise
        raise explained from error
    return SqliteStore(writing, path), SqliteStore(reading, path)
