"""A store served on TCP, with keys or without, and what tests of it share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from backend.clock import ManualClock
from backend.keys import CreatedKey, KeyScope, NewKey
from backend.local import LocalBackend
from backend.model import Actor, SenderType
from backend.server.tcp import Site, TcpServer

ANA = Actor(SenderType.HUMAN, "ana")
ANSWER_S = 60.0


@dataclass(slots=True)
class Tcp:
    """One server; `http` sends no key."""

    backend: LocalBackend
    server: TcpServer
    clock: ManualClock
    url: str
    http: httpx.AsyncClient

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    async def key(self, scope: KeyScope, orchestrator_id: str | None = None, **given: Any) -> CreatedKey:
        return await self.backend.create_key(NewKey("test", scope, orchestrator_id, **given), actor=ANA)

    async def headers(self, scope: KeyScope, orchestrator_id: str | None = None) -> dict[str, str]:
        return bearer((await self.key(scope, orchestrator_id)).token)

    async def raw(self, request: str | bytes) -> tuple[int, str]:
        """Send bytes as they are; returns the status and all that came back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request if isinstance(request, bytes) else request.replace("\n", "\r\n").encode())
        await writer.drain()
        async with asyncio.timeout(ANSWER_S):
            answer = (await reader.read()).decode("latin-1")
        writer.close()
        await writer.wait_closed()
        return int(answer.split(" ", 2)[1]), answer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def serve_tcp(folder: Path, **site: Any) -> AsyncIterator[Tcp]:
    """A fresh store in `folder`, served on a free port."""
    clock = ManualClock()
    backend = await LocalBackend.open(folder / "octopoid.db", clock=clock)
    server = TcpServer(backend, Site(**site))
    url = await server.start()
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=ANSWER_S) as http:
            yield Tcp(backend, server, clock, url, http)
    finally:
        await server.stop()
        await backend.close()
