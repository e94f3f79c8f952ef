"""Keeping this machine and its server together: reach it, send what waits, read what changed, follow it."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import replace

from backend.clock import Clock, from_ms, to_ms
from backend.errors import OctopoidError
from backend.model import Agent, Alert, Event, Json, NewMachine, Renewal
from backend.offline.cache import Cache, CacheInside, CacheService, Standing
from backend.offline.operations import Move
from backend.offline.positions import Positions
from backend.offline.pull import Everything, Found, fetch, fetch_everything, wanted_by
from backend.offline.push import PASSING, push
from backend.offline.queue import make_again
from backend.remote import RemoteBackend
from backend.rest.connection import Away, KeyRefused, Throttled
from backend.sync import SyncMode, SyncState

log = logging.getLogger("backend.offline")

PAGE = 500
FAR_BEHIND = 2000
"""Events beyond which everything is read anew: that takes fewer requests."""
HISTORY = 500
"""Events of before the first synchronisation that are kept for reading."""
BEGIN_S = 5.0
"""How long the opening waits for the server: what is left then goes on beside."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
ROUNDS = 10
"""How often changes that come in meanwhile are sent too, before others get their turn."""


class Synchronizer:
    """The one that talks to the server by itself. `online` says whether others may."""

    def __init__(self, remote: RemoteBackend, cache: Cache, server: str, clock: Clock) -> None:
        self._remote = remote
        self._cache = cache
        self._server = server
        self._clock = clock
        self.online = False
        """Set only in the cache's writing thread, where no change is taken into the outbox meanwhile."""
        self._trouble: str | None = None
        self._progress: str | None = None
        self._since: int | None = None
        self._pause = FIRST_PAUSE_S
        self._wait: float | None = None
        self._catching_up = asyncio.Lock()
        self._left = asyncio.Event()
        self._again = asyncio.Event()
        self.machine: NewMachine | None = None
        """What this machine registered as while the server was away."""
        self.agents: list[Agent] | None = None
        """What it last reported of its agents."""

    @property
    def is_reading(self) -> bool:
        """Whether the server is being read: what was made there meanwhile may not be here yet."""
        return self._catching_up.locked()

    async def begin(self) -> None:
        """Find out whether the server is there, and send what waits if it is.

        Raises:
            StoreBusy: it is not, and this machine has never been synchronised.
            KeyRefused: it does not take the key.
            StoreBroken: what answers is no Octopoid.
        """
        standing = await self._cache.read(lambda service: service.standing())
        self._since = standing.offline_since
        try:
            await self._reach()
        except KeyRefused:
            raise
        except OctopoidError as error:
            if standing.cursor is None:
                raise
            await self.leave(error)
            return
        await self._cache.write(self._enter_if_nothing_waits)
        if not self.online:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEGIN_S):
                    await self.sync_now()

    async def _reach(self) -> None:
        try:
            async with asyncio.timeout(BEGIN_S):
                await self._remote.last_seq()
        except TimeoutError:
            raise Away(f"{self._server} does not answer", "is `octopoid serve` running there?") from None

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                await self._attempt()
            except Exception as error:
                # Nobody waits for this: it has to say so itself, and to go on.
                log.exception("synchronising with %s failed", self._server)
                self._trouble = f"synchronising failed: {error}"
            await self._rest()

    async def _attempt(self) -> None:
        """Be together with the server until it is left."""
        try:
            if await self.catch_up():
                self._pause = FIRST_PAUSE_S
                await self._follow()
        except OctopoidError as error:
            await self.leave(error)

    async def sync_now(self) -> SyncState:
        """Try at once; returns how it stands then."""
        try:
            await self.catch_up()
        except OctopoidError as error:
            await self.leave(error)
        self._again.set()
        return await self.state()

    async def state(self, cache: Cache | CacheInside | None = None) -> SyncState:
        """How it stands, as a cache has it: inside of a change that is one of its own."""
        pending, conflicts = await (cache or self._cache).read(lambda service: service.outbox.count())
        mode = SyncMode.ONLINE if self.online else SyncMode.OFFLINE
        since = None if self._since is None else from_ms(self._since)
        return SyncState(mode, pending, conflicts, self._server, since, self._trouble, self._progress)

    async def leave(self, error: OctopoidError) -> None:
        """Go on without the server, until it is reached again."""
        self._trouble = error.problem
        self._wait = getattr(error, "retry_after", None)
        if isinstance(error, KeyRefused | Throttled) and self.online:
            return  # it is there: whoever asks it shall be told
        was_online, self.online = self.online, False
        if was_online or self._since is None:
            self._since = self._clock.now_ms()
            await self._cache.write(lambda service: self._note_absence(service, error.problem))
        self._left.set()

    # Catching up

    async def catch_up(self) -> bool:
        """Renew leases, send what waits, and read what has changed; returns whether all is done.

        Raises:
            StoreBusy, StoreBroken, KeyRefused: the server does not answer now.
        """
        async with self._catching_up:
            last = await self._remote.last_seq()
            standing = await self._cache.read(lambda service: service.standing())
            await self._report_for_work(standing)
            if not await self._is_same(standing, last):
                await self._read_everything()
            for _ in range(ROUNDS):
                settled = await push(self._cache, self._remote)
                if await self._pull():
                    return True
                if not settled:
                    return False
            return False

    async def _report_for_work(self, standing: Standing) -> None:
        """What only holds at the moment is not kept for later: it is said now, leases first."""
        machine_id = standing.orchestrator_id
        if machine_id is None or self.online:
            return
        leases = await self._cache.read(lambda service: _leases(service, machine_id))
        alerts = await self._cache.read(lambda service: _raised_here(service, standing))
        new, self.machine = self.machine, None
        try:
            if new is not None:
                await self._remote.register(
                    new.cluster, new.machine_id, pid=new.pid, repo_url=new.repo_url, instance=new.instance
                )
            if leases:
                await self._remote.renew(machine_id, leases, standing.lease_seconds)
            if self.agents is not None:
                await self._remote.report_agents(machine_id, self.agents)
            for alert in alerts:
                await self._remote.raise_alert(alert.key, alert.reason, until=alert.until)
        except PASSING:
            self.machine = self.machine or new
            raise
        except OctopoidError as error:
            # What waits is no less worth sending; the scheduler is told the same when it asks itself.
            log.warning("the server does not take what %s reports: %s", machine_id, error)

    async def _is_same(self, standing: Standing, last: int) -> bool:
        """Whether the server's log goes on where it was left, not too far away."""
        if standing.cursor is None or not 0 <= last - standing.cursor <= FAR_BEHIND:
            return False
        if standing.cursor == 0:
            return True
        found = await self._remote.events(after=standing.cursor - 1, limit=1)
        return bool(found) and _mark(found[0]) == standing.mark

    async def _read_everything(self) -> None:
        try:
            everything = await fetch_everything(self._remote, HISTORY, self._tell)
            self._tell(f"writing {len(everything.tasks):,} tasks")
            await self._cache.write(lambda service: _store_everything(service, everything))
        finally:
            self._progress = None

    def _tell(self, progress: str) -> None:
        self._progress = progress

    async def _pull(self) -> bool:
        """Take over what the server has; returns whether nothing waits any more."""
        standing = await self._cache.read(lambda service: service.standing())
        cursor = standing.cursor or 0
        events: list[Event] = []
        while page := await self._remote.events(after=events[-1].seq if events else cursor, limit=PAGE):
            events += page
            if len(page) < PAGE:
                break
        wanted = wanted_by(events)
        made_here = await self._cache.read(lambda service: _made_here(service, service.standing()))
        for event in made_here:
            wanted.add_made(event)
        found = await fetch(self._remote, wanted)
        known = made_here[-1].seq if made_here else 0
        return await self._cache.write(lambda service: self._take_over(service, events, found, known))

    def _take_over(self, service: CacheService, events: list[Event], found: Found, known: int) -> bool:
        standing = service.standing()
        if any(event.seq > known for event in _made_here(service, standing)):
            return False  # a change came in while the server was read: what it touched was not
        found.store(service.mirror)
        waits, _ = service.outbox.count()
        cursor = standing.cursor or 0
        positions = standing.positions
        service.mirror.delete_events(positions.here(cursor))
        if standing.offline_since is not None and not waits:
            service.note("online", self._server)
        if service.mirror.last_place() > positions.here(cursor):
            positions = positions.go_on(service.mirror.last_place(), cursor)
        standing = _after(replace(standing, positions=positions), events)
        service.mirror.put_events(events, positions)
        service.save_standing(standing)
        if waits:
            make_again(service)
            return False
        self._enter(service)
        return True

    # Following

    async def _follow(self) -> None:
        """Take over the server's changes as they come; ends when the server is left.

        Raises: what reading from the server raises.
        """
        self._left.clear()
        if not self.online:
            return
        taking = asyncio.create_task(self._take_events())
        leaving = asyncio.create_task(self._left.wait())
        try:
            await asyncio.wait({taking, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                taking.result()
        finally:
            for task in (taking, leaving):
                task.cancel()
            await asyncio.gather(taking, leaving, return_exceptions=True)

    async def _take_events(self) -> None:
        standing = await self._cache.read(lambda service: service.standing())
        async for batch in self._remote.watch(standing.cursor or 0):
            found = await fetch(self._remote, wanted_by(batch))
            await self._cache.write(lambda service, b=batch, f=found: self._store(service, b, f))  # type: ignore[misc]

    def _store(self, service: CacheService, events: list[Event], found: Found) -> None:
        if not self.online:
            return  # changes made here are on top by now: it is read again when they are sent
        standing = service.standing()
        fresh = [event for event in events if event.seq > (standing.cursor or 0)]
        found.store(service.mirror)
        service.mirror.put_events(fresh, standing.positions)
        service.save_standing(_after(standing, fresh))

    # Between

    async def _rest(self) -> None:
        """Wait before the next attempt: longer each time, never in step with other machines."""
        pause = self._pause * random.uniform(0.5, 1.0) if self._wait is None else self._wait
        self._pause, self._wait = min(2 * self._pause, LONGEST_PAUSE_S), None
        self._again.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._again.wait(), pause)

    def _enter_if_nothing_waits(self, service: CacheService) -> None:
        standing = service.standing()
        if standing.offline_since is None and not service.outbox.count()[0]:
            self._enter(service)

    def _enter(self, service: CacheService) -> None:
        standing = service.standing()
        if standing.offline_since is not None:
            service.save_standing(replace(standing, offline_since=None))
            self._since = service.now()
        self._trouble = None
        self.online = True

    def _note_absence(self, service: CacheService, problem: str) -> None:
        service.save_standing(replace(service.standing(), offline_since=self._since))
        service.note("offline", self._server, problem)


def _after(standing: Standing, events: list[Event]) -> Standing:
    """How it stands once these events are in the log."""
    if not events:
        return replace(standing, cursor=standing.cursor or 0)
    return replace(standing, cursor=events[-1].seq, mark=_mark(events[-1]))


def _mark(event: Event) -> Json:
    return {"at": to_ms(event.at), "entity_id": event.entity_id, "kind": event.kind}


def _made_here(service: CacheService, standing: Standing) -> list[Event]:
    """The events of changes that were made here since the server's last one."""
    after = standing.positions.here(standing.cursor or 0)
    found: list[Event] = []
    while page := service.log.events(found[-1].seq if found else after, PAGE, None):
        found += page
    return found


def _leases(service: CacheService, machine_id: str) -> list[Renewal]:
    """What this machine holds as far as the server can know: also what waits to be handed in."""
    waiting = {
        (entry.operation.wish.task_id, entry.operation.wish.fence)
        for entry in service.outbox.pending()
        if isinstance(entry.operation, Move) and entry.operation.wish.fence is not None
    }
    runs = service.runs.find(None, True)
    held = {(run.task_id, run.fence) for run in runs if run.orchestrator_id == machine_id}
    return [Renewal(task_id, fence) for task_id, fence in sorted(waiting | held) if fence is not None]


def _raised_here(service: CacheService, standing: Standing) -> list[Alert]:
    """What was let known since the server went away, and still holds."""
    since = standing.offline_since
    return [] if since is None else [one for one in service.alerts.find_all() if to_ms(one.at) >= since]


def _store_everything(service: CacheService, everything: Everything) -> None:
    """Begin with what the server has now, with the waiting changes on top."""
    standing = service.standing()
    place = service.mirror.last_place()
    first = everything.events[0].seq if everything.events else everything.last + 1
    service.mirror.clear()
    everything.store(service.mirror)
    positions = Positions() if standing.cursor is None else Positions.anew(place, first - 1)
    service.mirror.put_events(everything.events, positions)
    horizon = positions.here(first) - 1
    begun = replace(standing, positions=positions, horizon=horizon, cursor=everything.last, mark=None)
    service.save_standing(_after(begun, everything.events))
    make_again(service)
