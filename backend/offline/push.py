"""Sending what waits: in order where it matters, each under its own key, until it is taken or refused."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from enum import Enum

from backend.errors import (
    Duplicate,
    NotFound,
    OctopoidError,
    Refused,
    StoreBroken,
    StoreBusy,
    VersionConflict,
)
from backend.interface import Backend, Transition
from backend.model import Json, Outcome, Task
from backend.offline.cache import Cache, CacheService
from backend.offline.lanes import Lanes, Place
from backend.offline.operations import Edit, Move, OnMessage, OnRun, touched
from backend.offline.outbox import Entry, State
from backend.remote import RemoteBackend
from backend.rest.connection import KeyRefused, NotPermitted, ServerFailed
from backend.wire import changes_json, to_json

log = logging.getLogger("backend.offline")

AT_ONCE = 8
"""Changes on their way at the same time."""
FAILURES = 5
"""How often the server may fail at one change before that is told as its answer."""
PASSING = (StoreBusy, StoreBroken, KeyRefused)
"""What says nothing about the change: it is sent again later."""


class Gone(Enum):
    """What became of a change that was sent."""

    SETTLED = "settled"
    AGAIN = "again"
    """It fits what the server has now: it is sent once more, as that."""
    STUCK = "stuck"
    """The server failed at it."""


async def push(cache: Cache, server: RemoteBackend) -> bool:
    """Send every change that waits; returns whether all are settled.

    Raises:
        StoreBusy, StoreBroken, KeyRefused: the server does not answer now; what was not sent still waits.
    """
    lanes = await cache.read(lambda service: Lanes(service.outbox.places(), service.outbox.links()))
    flying: dict[asyncio.Task[Gone], Place] = {}
    stuck = False
    trouble: OctopoidError | None = None
    try:
        while True:
            while trouble is None and len(flying) < AT_ONCE and (place := lanes.take()) is not None:
                flying[asyncio.create_task(_send(cache, server, place))] = place
            if not flying:
                break
            done, _ = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                place = flying.pop(task)
                try:
                    gone = task.result()
                except PASSING as error:
                    trouble = trouble or error  # the others on their way are still heard
                    continue
                stuck = stuck or gone is Gone.STUCK
                ENDS[gone](lanes, place)
    finally:
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
    if trouble is not None:
        raise trouble
    return not stuck


ENDS = {Gone.SETTLED: Lanes.settled, Gone.AGAIN: Lanes.again, Gone.STUCK: Lanes.close}


async def _send(cache: Cache, server: RemoteBackend, place: Place) -> Gone:
    """Send one change.

    Raises: what `push` raises.
    """
    entry = await cache.write(lambda service: _take(service, place))
    if entry is None:
        return Gone.SETTLED
    try:
        result = await entry.operation.do(await server.keyed(entry.key))
    except ServerFailed as error:
        if entry.tries < FAILURES:
            failed = replace(entry, problem=str(error))
            await cache.write(lambda service: service.outbox.save(failed))
            return Gone.STUCK
        return await _refused(cache, server, entry, error)
    except NotPermitted as error:
        return await _refused(cache, server, entry, error)
    except PASSING:
        # A lost answer is no failure of the server; that it was sent has to stay known.
        fewer = replace(entry, tries=max(1, entry.tries - 1))
        await cache.write(lambda service: service.outbox.save(fewer))
        raise
    except OctopoidError as error:
        return await _refused(cache, server, entry, error)
    version = result.version if isinstance(result, Task) else None
    await cache.write(lambda service: _applied(service, entry, version))
    return Gone.SETTLED


def _take(service: CacheService, place: Place) -> Entry | None:
    """The change, with a note that it was sent: the answer may be lost, and this process with it.

    None when it does not wait any more, since one that it builds on was not taken.
    """
    entry = service.outbox.find(place.id)
    if entry is None or entry.state is not State.PENDING:
        return None
    entry = replace(entry, tries=entry.tries + 1)
    service.outbox.save(entry)
    return entry


def _applied(service: CacheService, entry: Entry, version: int | None) -> None:
    if version is not None:
        service.outbox.rechain(entry, version)
    service.outbox.remove(entry.id)


async def _refused(cache: Cache, server: Backend, entry: Entry, error: OctopoidError) -> Gone:
    """Keep what the server did not take, and whatever builds on it; or find that it still fits."""
    theirs = await _theirs(server, entry)
    if isinstance(entry.operation, Edit) and isinstance(error, VersionConflict) and theirs is not None:
        again = _fitted(entry, entry.operation, theirs)
        if again is not None:
            await cache.write(lambda service: service.outbox.save(again))
            return Gone.AGAIN
    if isinstance(entry.operation, OnRun) and entry.operation.end is None and isinstance(error, Refused):
        # What was learned of a run that has ended meanwhile: its facts are complete without it.
        log.warning("an update of run %s came after its end: %s", entry.operation.id, error.problem)
        await cache.write(lambda service: service.outbox.remove(entry.id))
        return Gone.SETTLED
    if isinstance(entry.operation, Move):
        await _end_run(server, entry.operation.wish, error)
    await cache.write(lambda service: _park(service, entry, error, theirs))
    return Gone.SETTLED


async def _end_run(server: Backend, wish: Transition, error: OctopoidError) -> None:
    """The run is over, whatever becomes of its work: its record says so, and where the work is."""
    if wish.run_id is None or wish.run_end is None:
        return
    reason = f"{wish.run_end.reason}; the server did not take it: {error.problem}"
    try:
        await server.end_run(wish.run_id, replace(wish.run_end, outcome=Outcome.LOST, reason=reason))
    except OctopoidError as trouble:
        if isinstance(trouble, PASSING) and not isinstance(trouble, NotPermitted):
            raise
        log.warning("run %s can not be ended: %s", wish.run_id, trouble)


def _park(service: CacheService, entry: Entry, error: OctopoidError, theirs: Json | None) -> None:
    changed = isinstance(error, Refused)
    state = State.CONFLICT if changed and not isinstance(error, Duplicate) else State.REJECTED
    dependants = service.outbox.dependants(entry)
    service.outbox.save(replace(entry, state=state, problem=str(error), theirs=theirs))
    because = f"it builds on a change that the server did not take ({entry.summary}): {error.problem}"
    for later in dependants:
        service.outbox.save(replace(later, state=state, problem=because, theirs=theirs))
    service.note("conflict", entry.task_id, error.problem)


async def _theirs(server: Backend, entry: Entry) -> Json | None:
    """What a change was about, as the server has it."""
    try:
        if isinstance(entry.operation, OnMessage):
            return to_json(await server.get_message(entry.operation.id))
        return to_json(await server.get_task(entry.task_id))
    except NotFound:
        return None


def _fitted(entry: Entry, edit: Edit, theirs: Json) -> Entry | None:
    """An edit decided on the server's version, when nobody else has changed the same fields."""
    wanted = changes_json(edit.patch)
    before = entry.before or {}
    fits = all(theirs.get(name) in (before.get(name), wanted[name]) for name in touched(edit))
    return entry.on(theirs["version"]) if fits else None
