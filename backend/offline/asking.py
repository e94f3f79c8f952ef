"""Asking the server for a change, or keeping it for the server; once, however often it is asked for."""

from __future__ import annotations

import asyncio
import copy
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

from backend.errors import KeyReused, Offline, StoreBusy
from backend.ids import ids_of, new_id
from backend.inline import run_at_once
from backend.interface import Backend
from backend.model import Claim, Message, Run, Task
from backend.offline.cache import Cache, CacheInside, CacheService
from backend.offline.operations import Operation, identity
from backend.offline.queue import take
from backend.offline.reading import Reading
from backend.offline.sync import Synchronizer
from backend.once import Act, Answer, Asked, Declined
from backend.remote import RemoteBackend
from backend.rest.connection import Away

T = TypeVar("T")


@dataclass(slots=True)
class Request:
    """A request that may come again: its changes have ids made of its key, the same each time.

    What it asks for may depend on how things are, so that it takes another way when it is done again: a
    change is known by what it is, and by how many of the kind came before it.
    """

    id: str
    sent: dict[str, Operation] = field(default_factory=dict)
    """Changes of it that the server may have made: they are sent again as they were."""
    inside: bool = False
    """It is done in one transaction of the cache; otherwise by the server."""
    left: bool = False
    """The server was left on the way: it has to be done anew, to the cache."""
    unsure: bool = False
    """The server has made something of it, and the answer to that is lost: ours is not the one to keep."""
    _asked: Counter[str] = field(default_factory=Counter)

    def begin(self, *, inside: bool) -> None:
        self.inside, self.left = inside, False
        self._asked.clear()

    def id_of(self, change: str) -> str:
        """The id of the next change that is like this one."""
        self._asked[change] += 1
        return _digest(self.id, change, str(self._asked[change]))


class Asking(Reading):
    """How `OfflineBackend` makes a change."""

    _request: Request | None = None

    def __init__(self, remote: RemoteBackend, cache: Cache, synchronizer: Synchronizer) -> None:
        super().__init__(remote, cache, synchronizer)
        self._under_way: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One for each request that is being answered: who asks the same meanwhile waits for that answer."""

    async def _change(self, operation: Operation) -> Any:
        """Ask the server for a change, or keep it for the server."""
        request = self._request
        entry_id = new_id() if request is None else request.id_of(identity(operation))
        sent = request is not None and entry_id in request.sent
        if request is not None:
            operation = request.sent.get(entry_id, operation)
        while True:
            if self._sync.online:
                try:
                    result = await operation.do(await self._remote.keyed(entry_id))
                except StoreBusy as away:
                    sent = sent or (isinstance(away, Away) and away.sent)
                    await self._leave(away)
                except KeyReused:
                    if request is not None:
                        request.unsure = True
                    raise
                else:
                    if request is not None:
                        request.sent[entry_id] = operation
                    await self._keep(result)
                    return result
            if request is not None and not request.inside:
                request.left = True
                if sent:
                    request.sent[entry_id] = operation
                raise await self._offline("this change")
            done = await self._cache.write(partial(self._take, operation, entry_id, sent))
            if done is not None:
                return done[0]

    def _take(
        self, operation: Operation, entry_id: str, sent: bool, service: CacheService
    ) -> tuple[object] | None:
        """None when the server is back: then it is asked."""
        return None if self._sync.online else (take(service, operation, entry_id, sent=sent),)

    async def _ask(self, what: str, ask: Callable[[RemoteBackend], Awaitable[T]]) -> T:
        """Ask the server for what cannot wait.

        Raises:
            Offline: it is away.
        """
        if not self._sync.online:
            raise await self._offline(what)
        request = self._request
        server = self._remote if request is None else await self._remote.keyed(request.id_of(what))
        try:
            result = await ask(server)
        except StoreBusy as away:
            if request is not None:
                request.unsure = request.unsure or (isinstance(away, Away) and away.sent)
            await self._leave(away)
            raise await self._offline(what) from away
        except KeyReused:
            if request is not None:
                request.unsure = True
            raise
        await self._keep(result)
        return result

    async def _keep(self, result: object) -> None:
        """An answer is the newest there is of what it is about."""
        records = [result.task, result.run] if isinstance(result, Claim) else [result]
        kept = [record for record in records if isinstance(record, Task | Run | Message)]
        if kept and self._sync.online:
            await self._cache.write(lambda service: service.mirror.put_newer(kept))

    async def _offline(self, what: str) -> Offline:
        state = await self.sync_state()
        because = f" ({state.trouble})" if state.trouble else ""
        return Offline(
            f"{what} needs the server, and {state.server} is away{because}", "try again when it is back"
        )

    # Once

    async def once(self, asked: Asked, act: Act) -> tuple[Answer, bool]:
        """What `Once` says.

        While the server is there it gets the change under a key made of the caller's, so that it holds the
        same promise; while it is away the answer is kept in the transaction that keeps the change.
        """
        request_id = await self._cache.write(lambda service: _name_of(service, asked))
        lock = self._under_way.setdefault(request_id, asyncio.Lock())
        async with lock:
            return await self._once(asked, act, Request(request_id))

    async def _once(self, asked: Asked, act: Act, request: Request) -> tuple[Answer, bool]:
        known = await self._cache.read(lambda service: service.operations.find(asked))
        if known is not None:
            return known, True
        while True:
            if self._sync.online:
                request.begin(inside=False)
                answer = await self._act(act, request, self._cache)
                if not request.left:
                    return await self._answered(asked, answer, request)
            try:
                done = await self._cache.write(partial(self._do_inside, asked, act, request))
            except Declined as declined:
                return await self._answered(asked, declined.answer, request)
            if done is not None:
                return done

    def _do_inside(
        self, asked: Asked, act: Act, request: Request, service: CacheService
    ) -> tuple[Answer, bool] | None:
        """None when the server is back: then it is asked."""
        if self._sync.online:
            return None
        request.begin(inside=True)
        inside = CacheInside(service)
        return service.operations.once(asked, lambda: run_at_once(self._act(act, request, inside)))

    async def _act(self, act: Act, request: Request, cache: Cache | CacheInside) -> Answer:
        with ids_of(request.id):
            return await act(self._for(request, cache))

    async def _answered(self, asked: Asked, answer: Answer, request: Request) -> tuple[Answer, bool]:
        """Keep an answer, unless it says no more than how things are just now."""
        if answer.status >= 500 or answer.status == UNAUTHORIZED or request.unsure:
            return answer, False
        return await self._cache.write(lambda service: service.operations.keep(asked, answer))

    def _for(self, request: Request, cache: Cache | CacheInside) -> Backend:
        same = copy.copy(self)
        same._request, same._cache = request, cache
        return cast("Backend", same)


UNAUTHORIZED = 401
"""The server does not take this machine's key: that is no answer to what was asked."""


def _name_of(service: CacheService, asked: Asked) -> str:
    """What the request is called here and on the server, the same each time; other machines' have others."""
    service.operations.forget()
    standing = service.standing()
    if not standing.identity:
        standing = replace(standing, identity=new_id())
        service.save_standing(standing)
    return _digest(standing.identity, asked.caller, asked.key)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
