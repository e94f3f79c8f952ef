"""Reaching the store: as its owner when nobody else is, through the owner otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType

from backend.clock import Clock, SystemClock
from backend.errors import OctopoidError, StoreBusy
from backend.interface import Backend
from backend.lifecycle import Limits
from backend.local import LocalBackend
from backend.owner import Holder, OwnerLock
from backend.remote import RemoteBackend
from backend.server.address import check_address
from backend.server.serve import SocketServer

WAIT_S = 15.0
"""For a screen that is starting on a busy machine: it paints before it serves."""

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.1
LEAST_ANSWER_S = 0.5


@dataclass(slots=True)
class Opened:
    """A backend, and what holds it open. `async with` closes it."""

    backend: Backend
    lock: OwnerLock
    socket: Path | None
    """Where the owner serves other processes; None when they reach the store by themselves."""
    _server: SocketServer | None = field(default=None, init=False)
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @property
    def owned(self) -> bool:
        """Whether this process owns the store."""
        return self.lock.held

    async def start_serving(self) -> None:
        """Serve this user's other processes from now on; nothing to do unless this process owns the store.

        Raises:
            StoreBroken: no socket can be opened.
        """
        async with self._changing:
            if not self.owned or self._server is not None or self.socket is None:
                return
            server = SocketServer(self.backend, self.socket)
            await server.start()
            self._server = server
            self.lock.serve_at(server.address)

    async def close(self) -> None:
        """Let requests under way finish, close the store, and only then let another process own it."""
        async with self._changing:
            server, self._server = self._server, None
            try:
                if server is not None:
                    self.lock.serve_at(None)
                    await server.stop()
            finally:
                try:
                    await self.backend.close()
                finally:
                    self.lock.release()

    async def __aenter__(self) -> Opened:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def open_backend(
    db: Path,
    lock: Path,
    socket: Path,
    *,
    what: str,
    serve: bool = False,
    limits: Limits | None = None,
    clock: Clock | None = None,
    wait_s: float = WAIT_S,
) -> Opened:
    """Own the store if nobody does, or connect to the process that does.

    Args:
        what: what this process is, for whoever meets its lock: screen, run or command.
        serve: serve other processes at once; a screen paints first and calls `start_serving` itself.
        wait_s: how long to try while another process holds the store without serving it.

    Raises:
        StoreBusy: another process holds the store and does not answer; it is named.
        StoreBroken: the store, its lock or the socket cannot be opened.
    """

    async def begin() -> Backend:
        return await LocalBackend.open(db, clock=clock or SystemClock(), limits=limits or Limits())

    return await _open(begin, OwnerLock(lock, clock), socket, what=what, serve=serve, wait_s=wait_s)


async def open_remote(
    url: str,
    api_key: str | None,
    cache: Path,
    lock: Path,
    socket: Path,
    *,
    what: str,
    serve: bool = False,
    limits: Limits | None = None,
    clock: Clock | None = None,
    wait_s: float = WAIT_S,
) -> Opened:
    """Own what this machine keeps of a server's state, or connect to the process that does.

    Args:
        cache: the file it is kept in; filled by the first process that reaches the server.

    The others are those of `open_backend`.

    Raises:
        StoreBusy: nobody answers at the address, and this machine has never been in touch with it; or
            another process owns the cache and does not answer.
        KeyRefused: the server wants a key, or another one.
        StoreBroken: what answers is no Octopoid; or the cache, its lock or the socket cannot be opened.
    """

    from backend.offline.backend import ANSWER_S, PATIENCE_S, OfflineBackend

    async def begin() -> Backend:
        remote = RemoteBackend(url, api_key=api_key, timeout_s=ANSWER_S, patience_s=PATIENCE_S)
        try:
            return await OfflineBackend.open(remote, cache, server=url, clock=clock, limits=limits)
        except BaseException:
            await remote.close()
            raise

    return await _open(begin, OwnerLock(lock, clock), socket, what=what, serve=serve, wait_s=wait_s)


async def open_database(
    url: str,
    lock: Path,
    *,
    what: str,
    limits: Limits | None = None,
    clock: Clock | None = None,
) -> Opened:
    """Connect to a PostgreSQL database, which any number of processes may use at the same time.

    As with a server, the lock only keeps a folder to one scheduler.

    Args:
        url: `postgresql://user@host/database`.
        what: what this process is: screen, run or command.

    Raises:
        StoreBusy: the database cannot be reached.
        StoreBroken: it is of a newer version, or the driver is not installed.
    """
    backend = await LocalBackend.connect(url, clock, limits)
    owner = OwnerLock(lock)
    try:
        if what != "command":
            owner.try_acquire(what)
    except BaseException:
        await backend.close()
        raise
    return Opened(backend, owner, None)


async def _open(
    begin: Callable[[], Awaitable[Backend]],
    owner: OwnerLock,
    socket: Path,
    *,
    what: str,
    serve: bool,
    wait_s: float,
) -> Opened:
    """Begin as the owner, or reach the process that is it."""
    until = monotonic() + wait_s
    pause = FIRST_PAUSE_S
    while True:
        if owner.try_acquire(what):
            return await _own(begin, owner, socket, serve)
        holder = owner.holder()
        remote, trouble = await _reach(holder, max(LEAST_ANSWER_S, until - monotonic()))
        if remote is not None:
            return Opened(remote, owner, socket)
        if monotonic() >= until:
            raise _busy(holder, trouble, wait_s)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def _own(
    begin: Callable[[], Awaitable[Backend]], owner: OwnerLock, socket: Path, serve: bool
) -> Opened:
    try:
        backend = await begin()
    except BaseException:
        owner.release()
        raise
    opened = Opened(backend, owner, socket)
    if serve:
        try:
            await opened.start_serving()
        except BaseException:
            await opened.close()
            raise
    return opened


async def _reach(holder: Holder | None, answer_s: float) -> tuple[RemoteBackend | None, str]:
    """The holder's server, or why there is no talking to it."""
    if holder is None or holder.socket is None:
        return None, "it does not serve other processes"
    address = Path(holder.socket)
    trouble = check_address(address)
    if trouble is not None:
        return None, trouble
    remote = RemoteBackend(socket_path=address)
    try:
        async with asyncio.timeout(answer_s):
            await remote.health()
    except TimeoutError:
        await remote.close()
        return None, "it does not answer; is it suspended?"
    except OctopoidError as error:
        await remote.close()
        return None, error.problem
    except BaseException:
        await remote.close()
        raise
    return remote, ""


def _busy(holder: Holder | None, trouble: str, waited_s: float) -> StoreBusy:
    if holder is None:
        return StoreBusy(
            "another process holds the store and has not said which it is", "try again in a moment"
        )
    return StoreBusy(
        f"{holder} holds the store and did not let this process in within {waited_s:g} s ({trouble})",
        f"wait until it ends, or end it with: kill {holder.pid}",
    )
