"""uvicorn, tuned: connections of this user alone, no signal handlers, no tick."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

DRAIN_S = 3
KEEP_ALIVE_S = 60
HEAD_S = 20.0
HEADER_LIMIT = 64 * 1024
FRAME_LIMIT = 1024 * 1024
"""Of a WebSocket; the same as of a body."""
LINGER_S = 5
CREDENTIALS = struct.Struct("3i")

logging.getLogger("uvicorn").addHandler(logging.NullHandler())


class PatientProtocol(H11Protocol):
    """HTTP/1.1 for clients that send the head of a request within `HEAD_S`, however little at a time.

    Otherwise a few hundred of them that never end one would take all the connections there may be.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_head(True)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head(self.conn.their_state is h11.IDLE)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # What follows may have come already, or in part: without a byte of it, keep-alive has its own time.
        self._watch_head(self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch_head(False)
        super().connection_lost(exc)

    def _watch_head(self, waiting: bool) -> None:
        """See to it that the wait for a head has an end; more of the same head does not make it longer."""
        if waiting and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._give_up)
        elif not waiting and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()


class OwnUserProtocol(PatientProtocol):
    """The same for peers of this process's user, or root."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not is_own_user(transport.get_extra_info("socket")):
            transport.abort()


class ChatProtocol(WebSocketsSansIOProtocol):
    """WebSocket; one that is done with is cut if its peer does not take the last of what was sent."""

    async def run_asgi(self) -> None:
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(LINGER_S, self.transport.abort)


def is_own_user(sock: socket.socket) -> bool:
    """Whether the process at the other end is this user's, or root's."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return CREDENTIALS.unpack(raw)[1] in (0, os.geteuid())


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM."""

    chain: Path
    key: Path | None = None


class EmbeddedServer:
    """uvicorn inside of a loop that belongs to someone else.

    Its own main loop wakes ten times a second to look at flags that nobody sets here, so it is not run.

    Args:
        http: the protocol; the default takes connections of this user alone.
        connections: how many requests and open connections there may be at once.
        certificate: for TLS.

    Raises:
        OSError: the certificate cannot be read or does not fit its key.
    """

    def __init__(
        self,
        app: ASGIApplication,
        http: type[H11Protocol] = OwnUserProtocol,
        *,
        connections: int | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=http,
            ws=ChatProtocol,
            ws_max_size=FRAME_LIMIT,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=connections,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
            h11_max_incomplete_event_size=HEADER_LIMIT,
            ssl_certfile=None if certificate is None else str(certificate.chain),
            ssl_keyfile=None if certificate is None or certificate.key is None else str(certificate.key),
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)

    async def start(self, sock: socket.socket) -> None:
        await self._server.startup(sockets=[sock])

    async def stop(self, sock: socket.socket) -> None:
        """Stop listening, let requests under way end, then cut what is left after `DRAIN_S`."""
        await self._server.shutdown(sockets=[sock])
        for connection in list(self._server.server_state.connections):
            transport = connection.transport
            if transport is not None:
                transport.abort()
