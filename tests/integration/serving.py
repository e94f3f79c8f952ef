"""A store served on a socket, and what tests of it share."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from backend.clock import ManualClock
from backend.local import LocalBackend
from backend.model import (
    Actor,
    ClaimRequest,
    NewTask,
    SenderType,
)
from backend.remote import RemoteBackend
from backend.server.serve import SocketServer

ANA = Actor(SenderType.HUMAN, "ana")
WORKER = Actor(SenderType.WORKER, "impl-1")
DEADLINE_S = 60.0


@dataclass(slots=True)
class Served:
    """A store served on a socket; `http` speaks to it plainly, `remote` as our own client."""

    backend: LocalBackend
    server: SocketServer
    clock: ManualClock
    http: httpx.AsyncClient
    remote: RemoteBackend

    @property
    def path(self) -> Path:
        return self.server.address

    async def restart(self) -> None:
        await self.server.stop()
        self.server = SocketServer(self.backend, self.path)
        await self.server.start()


@asynccontextmanager
async def serve(folder: Path) -> AsyncIterator[Served]:
    """A fresh store in `folder`, served."""
    clock = ManualClock()
    backend = await LocalBackend.open(folder / "octopoid.db", clock=clock)
    server = SocketServer(backend, folder / "o.sock")
    await server.start()
    transport = httpx.AsyncHTTPTransport(uds=str(server.address))
    remote = RemoteBackend(socket_path=server.address)
    async with httpx.AsyncClient(transport=transport, base_url="http://octopoid", timeout=DEADLINE_S) as http:
        one = Served(backend, server, clock, http, remote)
        yield one
    await remote.close()
    await one.server.stop()
    await backend.close()


def new_task(task_id: str, **given: Any) -> NewTask:
    fields: dict[str, Any] = {
        "title": f"Task {task_id}",
        "role": "implement",
        "base_branch": "main",
        "base_sha": "1" * 40,
        "created_by": "human:ana",
    }
    return NewTask(id=task_id, **(fields | given))


def wish(orchestrator_id: str, run_id: str, **given: Any) -> ClaimRequest:
    return ClaimRequest(orchestrator_id, "impl-1", "demo", run_id, 300, **given)


async def soon(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        await asyncio.sleep(0.01)


class Follower:
    """Collects what a watch gives."""

    def __init__(self, far: RemoteBackend, after: int = 0) -> None:
        self.seqs: list[int] = []
        self.task = asyncio.create_task(self._run(far, after))

    async def _run(self, far: RemoteBackend, after: int) -> None:
        async for batch in far.watch(after):
            self.seqs.extend(event.seq for event in batch)

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
