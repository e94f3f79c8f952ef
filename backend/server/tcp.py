"""The server on TCP: where it may listen, and what it asks of whoever comes. Heavy to import."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from backend.errors import BadInput, OctopoidError
from backend.local import LocalBackend
from backend.server.app import Network, create_app
from backend.server.events import Streams, end_tasks
from backend.server.jobs import sweep
from backend.server.protocol import Certificate, EmbeddedServer, PatientProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

log = logging.getLogger("backend.server")

CONNECTIONS = 512
BACKLOG = 128


class CannotListen(OctopoidError):
    """The address cannot be listened at."""

    slug = "cannot-listen"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a server listens and how it is guarded; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 0
    hosts: tuple[str, ...] = ()
    """Names it may be called by, besides its address and those of the loopback."""
    keys: bool = True
    behind_proxy: bool = False
    certificate: Certificate | None = None

    def check(self) -> None:
        """
        Raises:
            BadInput: keys would travel in the clear, or nobody would be asked for one.
        """
        if not 0 <= self.port < 65536:
            raise BadInput(f"port {self.port} is none", "give 0 to 65535; 0 picks a free one")
        if is_loopback(self.host):
            return
        if not self.keys:
            raise BadInput(
                f"without keys anybody who reaches {self.host} could run programs here",
                "--no-auth goes with a loopback address only",
            )
        if self.certificate is None and not self.behind_proxy:
            raise BadInput(
                f"keys would travel to {self.host} in the clear",
                "give --tls-cert and --tls-key, or say --behind-proxy when a proxy does TLS",
            )


class TcpServer:
    """Serves `backend` at a site, and sees to what has to happen there from time to time."""

    def __init__(self, backend: LocalBackend, site: Site) -> None:
        site.check()
        self._backend = backend
        self._site = site
        verify = backend.verify_key if site.keys else None
        app = create_app(backend, Network(site.hosts, verify))
        self._streams: Streams = app.state.streams
        served = cast("ASGIApplication", app)
        try:
            self._server = EmbeddedServer(
                served, PatientProtocol, connections=CONNECTIONS, certificate=site.certificate
            )
        except OSError as error:
            raise BadInput(f"the certificate cannot be used: {error}", "check both files") from error
        self._sock: socket.socket | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen and answer; returns the URL.

        Raises:
            CannotListen: the address is taken, or not one of this machine.
        """
        site = self._site
        sock = await asyncio.to_thread(_listen, site.host, site.port)
        try:
            await self._server.start(sock)
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        self._sweeper = asyncio.create_task(sweep(self._backend), name="sweep")
        host, port = sock.getsockname()[:2]
        scheme = "http" if site.certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    async def stop(self) -> None:
        """Stop listening, end the streams and let requests under way finish."""
        sock, self._sock = self._sock, None
        if sock is None or self._sweeper is None:
            return
        self._streams.closing.set()
        await end_tasks(self._sweeper)
        await self._server.stop(sock)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotListen(
            f"{host}:{port} cannot be listened at: {reason}", "choose another address"
        ) from error
    return sock
