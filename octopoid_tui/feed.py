"""Keeps the snapshot current: the event feed says what changed, and only that is read again.

What changes without an event (a scheduler's last cycle, renewed leases, tokens of a live run) is polled
slowly. Errors never end the feed: it says since when it has been stale, and tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from backend.clock import Clock, SystemClock, day_of, from_ms
from backend.errors import NotFound, OctopoidError
from backend.interface import Backend
from backend.model import Event, Queue, Task, TaskFilter
from octopoid_tui.snapshot import Changes, Snapshot, apply, build

PUBLISH_EVERY = 0.1  # seconds: ten pictures a second are as many as anyone reads
POLL_EVERY = 3.0
RETRY_FIRST = 0.5
RETRY_MOST = 15.0
RELOAD_AT = 1000  # beyond this many changed tasks, one listing is cheaper than reading each
BUILD_IN_THREAD_AT = 5000  # tasks; sorting more would be felt as a late key


class FeedStatus(StrEnum):
    LOADING = "loading"
    LIVE = "live"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class FeedState:
    """Whether the picture is current; if not, since when, why, and when it is tried again."""

    status: FeedStatus
    since: datetime
    problem: str = ""
    retry_in: float = 0.0


@dataclass(slots=True)
class Pending:
    """What the events since the last picture ask to be read again."""

    tasks: set[str] = field(default_factory=set)
    runs: bool = False
    messages: bool = False
    rest: bool = False
    seq: int = 0

    def add(self, event: Event) -> None:
        self.seq = max(self.seq, event.seq)
        if event.entity == "task":
            self.tasks.add(event.entity_id)
        elif event.entity == "run":
            self.runs = True
        elif event.entity == "message":
            self.messages = True
        else:
            self.rest = True


class Feed:
    """Follows one backend and hands each new picture to `publish`, each change of health to `report`."""

    def __init__(
        self,
        backend: Backend,
        *,
        publish: Callable[[Snapshot], None],
        report: Callable[[FeedState], None],
        mode: str = "local",
        machine: str | None = None,
        clock: Clock | None = None,
        poll_every: float = POLL_EVERY,
    ) -> None:
        self._backend = backend
        self._publish = publish
        self._report = report
        self._mode = mode
        self._machine = machine
        self._clock = clock or SystemClock()
        self._poll_every = poll_every
        self._snapshot = Snapshot(mode=mode)
        self._pending = Pending()
        self._wake = asyncio.Event()
        self._live_since: datetime | None = None
        self._fresh_at: datetime | None = None
        self._retry_now = asyncio.Event()

    def retry_now(self) -> None:
        """End the wait before the next attempt."""
        self._retry_now.set()

    async def run(self) -> None:
        """Follow the backend until cancelled."""
        delay = RETRY_FIRST
        self._report(FeedState(FeedStatus.LOADING, self._now()))
        while True:
            started = self._live_since
            try:
                await self._follow()
                problem = "the event feed ended"
            except* (OctopoidError, OSError) as errors:
                problem = str(_first(errors))
            if self._live_since != started:
                delay = RETRY_FIRST
            self._report(FeedState(FeedStatus.STALE, self._fresh_at or self._now(), problem, delay))
            self._retry_now.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._retry_now.wait(), delay)
            delay = min(delay * 2, RETRY_MOST)

    async def _follow(self) -> None:
        await self._load()
        self._live_since = self._now()
        self._report(FeedState(FeedStatus.LIVE, self._live_since))
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._update()), group.create_task(self._poll())]
            async with aclosing(_closable(self._backend.watch(self._snapshot.seq))) as batches:
                async for batch in batches:
                    for event in batch:
                        self._pending.add(event)
                    self._wake.set()
            for helper in helpers:
                helper.cancel()

    async def _load(self) -> None:
        """Read everything. The sequence is read first, so that no later change is missed."""
        self._pending = Pending()
        seq = await self._backend.last_seq()
        tasks = await self._backend.list_tasks(TaskFilter())
        changes = await self._read_rest(Changes(seq=seq, messages_seq=seq))
        if len(tasks) < BUILD_IN_THREAD_AT:
            snapshot = build(tasks, changes, self._mode)
        else:
            snapshot = await asyncio.to_thread(build, tasks, changes, self._mode)
        self._show(snapshot)

    async def _update(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            pending, self._pending = self._pending, Pending()
            await self._read(pending)
            await asyncio.sleep(PUBLISH_EVERY)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_every)
            changes = await self._read_rest(Changes(seq=self._snapshot.seq))
            claimed = await self._backend.list_tasks(TaskFilter(queues=frozenset({Queue.CLAIMED})))
            changed = tuple(task for task in claimed if self._is_newer(task))
            self._show(apply(self._snapshot, replace(changes, tasks=changed)))

    async def _read(self, pending: Pending) -> None:
        if len(pending.tasks) > RELOAD_AT:
            await self._load()
            return
        tasks, gone = await self._read_tasks(pending.tasks)
        changes = Changes(seq=max(pending.seq, self._snapshot.seq), tasks=tasks, gone=gone)
        if pending.messages:
            changes = replace(changes, messages_seq=changes.seq)
        if pending.rest:
            changes = await self._read_rest(changes)
        else:
            if pending.runs or pending.tasks:
                changes = replace(changes, runs=tuple(await self._backend.list_runs(live=True)))
            if pending.messages or pending.runs:
                changes = replace(changes, questions=tuple(await self._backend.open_questions()))
        self._show(apply(self._snapshot, changes))

    async def _read_tasks(self, ids: set[str]) -> tuple[tuple[Task, ...], tuple[str, ...]]:
        tasks: list[Task] = []
        gone: list[str] = []
        for task_id in ids:
            try:
                tasks.append(await self._backend.get_task(task_id))
            except NotFound:
                gone.append(task_id)
        return tuple(task for task in tasks if self._is_newer(task)), tuple(gone)

    async def _read_rest(self, changes: Changes) -> Changes:
        midnight, _ = day_of(self._now())
        backend = self._backend
        return replace(
            changes,
            runs=tuple(await backend.list_runs(live=True)),
            agents=tuple(await backend.list_agents()),
            orchestrators=tuple(await backend.list_orchestrators()),
            questions=tuple(await backend.open_questions()),
            pause=await backend.get_pause(machine=self._machine),
            cost_today=await backend.cost_since(midnight),
            sync=await backend.sync_state(),
        )

    def _is_newer(self, task: Task) -> bool:
        """Whether this reading may replace what is shown: a poll must not undo a newer reading."""
        known = self._snapshot.tasks.get(task.id)
        return known is None or (task.version >= known.version and task != known)

    def _show(self, snapshot: Snapshot) -> None:
        before, self._snapshot = self._snapshot, snapshot
        first, self._fresh_at = self._fresh_at is None, self._now()
        if first or replace(snapshot, seq=before.seq) != before:
            self._publish(snapshot)

    def _now(self) -> datetime:
        return from_ms(self._clock.now_ms())


async def _closable(batches: AsyncIterator[list[Event]]) -> AsyncGenerator[list[Event], None]:
    """The batches as a generator, so that leaving the loop closes it at once."""
    async for batch in batches:
        yield batch


def _first(errors: BaseException) -> BaseException:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors
