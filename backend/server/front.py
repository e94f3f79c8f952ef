"""What a request over the network passes before anything else sees it: its host, its origin, its headers.

A web page can send requests to any address that its visitor's machine can reach. What keeps it out is that
browsers name the host they think they speak to and the page they act for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from backend.errors import BadInput, OctopoidError
from backend.server.caller import Forbidden
from backend.server.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

ONCE = ("host", "origin", "authorization", "content-length", "content-type", "transfer-encoding", "if-match",
        "idempotency-key", "last-event-id")  # fmt: skip
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
PAGES = ("http", "https")


class Misdirected(OctopoidError):
    """The request names a host that this server is not."""

    slug = "wrong-host"
    http_status = 421


class BadHeaders(BadInput):
    """The headers contradict each other."""

    slug = "bad-headers"
    http_status = 400


class Front:
    """Refuses what names another host, comes from a web page, or has headers that can be read in two ways."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        trouble = self._trouble(scope)
        if trouble is None:
            await self.app(scope, receive, send)
        else:
            await problem(trouble, {"Connection": "close"})(scope, receive, send)

    def _trouble(self, scope: Scope) -> OctopoidError | None:
        headers = Headers(scope=scope)
        for name in ONCE:
            if len(headers.getlist(name)) > 1:
                return BadHeaders(f"the header {name} is there twice", "send it once")
        if "content-length" in headers and "transfer-encoding" in headers:
            return BadHeaders("the body's length is announced in two ways", "send Content-Length alone")
        host = headers.get("host", "").lower()
        allowed = self._allowed(scope)
        if host not in allowed:
            return Misdirected(
                f"this server is not {host[:80]!r}", "call it by its own name, or serve with --allow-host"
            )
        return _origin_trouble(headers, allowed)

    def _allowed(self, scope: Scope) -> frozenset[str]:
        server = scope.get("server")
        if not server or server[1] is None:
            return self.hosts
        address, port = server
        literal = f"[{address}]" if ":" in address else address
        names = {f"{name}:{port}" for name in (literal, *LOOPBACK_NAMES)}
        names |= {f"{host}:{port}" for host in self.hosts}
        if port == DEFAULT_PORTS.get(scope.get("scheme", "http")):
            names |= {literal, *LOOPBACK_NAMES}
        return self.hosts | names


def _origin_trouble(headers: Headers, allowed: Collection[str]) -> Forbidden | None:
    origin = headers.get("origin")
    if origin is not None and not _is_own(origin, allowed):
        return Forbidden(f"requests from pages of {origin[:80]!r} are not taken", "call without a web page")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return Forbidden("requests from other sites' pages are not taken", "call without a web page")
    return None


def _is_own(origin: str, allowed: Collection[str]) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    whole = parts.scheme in PAGES and not (parts.path or parts.query or parts.fragment)
    return whole and parts.netloc.lower() in allowed
