"""A real server on TCP and on a socket, in a thread of its own, over a fresh SQLite store."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from backend.keys import KeyScope, NewKey
from backend.local import LocalBackend
from backend.model import Actor, SenderType
from backend.server.serve import SocketServer
from backend.server.tcp import CannotListen, Site, TcpServer

ADMIN = Actor(SenderType.HUMAN, "admin")
START_S = 120.0
T = TypeVar("T")


@dataclass(slots=True)
class Live:
    """Where the server is; `key` is of scope work, `reading` of scope read."""

    url: str
    socket: Path
    key: str
    reading: str
    loop: asyncio.AbstractEventLoop
    backend: LocalBackend
    tcp: TcpServer

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(START_S)

    def stop_tcp(self) -> None:
        self.ask(self.tcp.stop())

    def restart_tcp(self) -> None:
        """Serve at the same address again."""
        self.stop_tcp()
        give_up = time.monotonic() + START_S
        while True:
            self.tcp = TcpServer(self.backend, Site(port=int(self.url.rpartition(":")[2])))
            try:
                self.ask(self.tcp.start())
            except CannotListen:  # another program may have the port for a moment
                assert time.monotonic() < give_up, f"{self.url} stays taken"
                time.sleep(0.05)
            else:
                return


@contextmanager
def live(folder: Path) -> Iterator[Live]:
    """Serve a store in `folder` while the block runs; who asks it from this process is patient.

    A machine takes a server that is slow for one that is away, and it is slow where many tests run at once.
    """
    ready = threading.Event()
    box: list[tuple[Live, asyncio.Event]] = []

    async def serve() -> None:
        backend = await LocalBackend.open(folder / "server.db")
        near, tcp = SocketServer(backend, folder / "s.sock"), TcpServer(backend, Site())
        url = await tcp.start()
        await near.start()
        keys = [
            (await backend.create_key(NewKey("test", scope), actor=ADMIN)).token
            for scope in (KeyScope.WORK, KeyScope.READ)
        ]
        ended = asyncio.Event()
        one = Live(url, near.address, *keys, asyncio.get_running_loop(), backend, tcp)
        box.append((one, ended))
        ready.set()
        await ended.wait()
        await one.tcp.stop()
        await near.stop()
        await backend.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="server")
    thread.start()
    assert ready.wait(START_S), "the server did not start"
    one, ended = box[0]
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("backend.offline.sync.BEGIN_S", 60.0)
            patch.setattr("backend.offline.backend.ANSWER_S", 60.0)
            patch.setattr("backend.offline.backend.LAST_S", 60.0)
            yield one
    finally:
        one.loop.call_soon_threadsafe(ended.set)
        thread.join(START_S)
