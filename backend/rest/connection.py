"""One connection pool to a server: requests out, answers or our own errors back."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from backend.errors import BY_SLUG, BadInput, NotFound, OctopoidError, Refused, StoreBroken, StoreBusy
from backend.ids import new_id
from backend.model import Json
from backend.wire import decode, encode

if TYPE_CHECKING:
    import httpx

Method = Literal["GET", "POST", "PUT", "PATCH"]

CONNECT_S = 3.0
ANSWER_S = 30.0
IDLE_S = 20.0
"""Shorter than the server keeps an idle connection, so that none is closed under a request."""

_import_lock = threading.Lock()


def load_httpx() -> Any:
    """httpx without its command line, which would import a terminal toolkit for nothing."""
    with _import_lock:
        absent: Any = None
        if "httpx" not in sys.modules:
            sys.modules["httpx._main"] = absent
        try:
            return importlib.import_module("httpx")  # waits for a thread that is importing it
        finally:
            if sys.modules.get("httpx._main", absent) is absent:
                sys.modules.pop("httpx._main", None)


class Connection:
    """Speaks to one server; opened at the first request.

    Args:
        base_url: where the API is, without `/api`; over a socket any name will do.
        socket_path: the UNIX socket, or None for TCP.
        api_key: sent as a bearer token.
    """

    def __init__(self, base_url: str, socket_path: Path | None = None, api_key: str | None = None) -> None:
        self.base_url = base_url
        self.socket_path = socket_path
        self._api_key = api_key
        self._httpx: Any = None
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    def is_closed(self) -> bool:
        return self._closed

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return await self.call("GET", path, params=params)

    async def post(self, path: str, body: Json | None = None) -> Any:
        return await self.call("POST", path, body or {})

    async def call(
        self,
        method: Method,
        path: str,
        body: Json | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send one request; returns the decoded answer, or None for one without a body.

        A connection that breaks is tried once more: the server answers a change it has already made
        under the same idempotency key as it did the first time.

        Raises:
            OctopoidError: what the server refused, as the class it was there.
            StoreBusy: the server does not answer.
            StoreBroken: the answer is not understood.
        """
        httpx = await self._load()
        sent = dict(headers or {})
        content = None
        if body is not None:
            content = encode(body)
            sent |= {"Content-Type": "application/json", "Idempotency-Key": new_id() + new_id()}
        for last in (False, True):
            client = await self._open()
            try:
                answer = await client.request(method, path, content=content, params=params, headers=sent)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
                if last:
                    raise self._unreachable(error, sent=method != "GET") from error
            except httpx.TransportError as error:
                raise self._unreachable(error, sent=isinstance(error, httpx.ReadTimeout)) from error
            else:
                return _read(answer.status_code, answer.content)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The chunks of a streamed answer; a silence longer than `silence_s` is a lost connection.

        Raises:
            StoreBusy: the connection cannot be made, or is lost.
        """
        httpx = await self._load()
        client = await self._open()
        timeout = httpx.Timeout(CONNECT_S, read=silence_s)
        try:
            async with client.stream("GET", path, headers=dict(headers), timeout=timeout) as answer:
                if answer.status_code != 200:
                    _read(answer.status_code, await answer.aread())
                async with aclosing(cast("AsyncGenerator[bytes, None]", answer.aiter_bytes())) as chunks:
                    yield chunks
        except httpx.TransportError as error:
            raise self._unreachable(error, sent=False) from error

    async def close(self) -> None:
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _load(self) -> Any:
        if self._httpx is None:
            self._httpx = await asyncio.to_thread(load_httpx)
        return self._httpx

    async def _open(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._closed:
                raise StoreBusy("the connection to the store is closed", "open it again")
            if self._client is None:
                self._client = self._make(await self._load())
            return self._client

    def _make(self, library: Any) -> httpx.AsyncClient:
        limits = library.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=IDLE_S)
        uds = None if self.socket_path is None else str(self.socket_path)
        verify = uds is None  # no certificates are read for a socket
        client: httpx.AsyncClient = library.AsyncClient(
            base_url=f"{self.base_url.rstrip('/')}/api/",
            transport=library.AsyncHTTPTransport(uds=uds, verify=verify, limits=limits, trust_env=False),
            timeout=library.Timeout(ANSWER_S, connect=CONNECT_S),
            headers={"Authorization": f"Bearer {self._api_key}"} if self._api_key else None,
            trust_env=False,
            follow_redirects=False,
        )
        return client

    def _unreachable(self, error: Exception, *, sent: bool) -> StoreBusy:
        where = f"the socket {self.socket_path}" if self.socket_path is not None else self.base_url
        reason = str(error) or type(error).__name__
        after = "; the change may have been made: look before you repeat it" if sent else ""
        return StoreBusy(
            f"nobody answers at {where} ({reason})",
            f"the process that owns the store has ended or hangs; try again{after}",
        )


def _read(status: int, content: bytes) -> Any:
    if status == 204:
        return None
    try:
        data = decode(content)
    except ValueError as error:
        raise StoreBroken(
            f"the server answered {status} with something that is no JSON", "is it Octopoid?"
        ) from error
    if status < 400:
        return data
    raise to_error(status, data)


def to_error(status: int, data: Any) -> OctopoidError:
    """The error that a problem stands for."""
    if not isinstance(data, dict):
        return StoreBroken(f"the server answered {status} without a reason", "see its log")
    problem, next_step = data.get("error"), data.get("next_step", "")
    details = tuple(str(line) for line in data.get("details") or ())
    kind = BY_SLUG.get(str(data.get("slug"))) or _by_status(status)
    return kind(str(problem or f"the server answered {status}"), str(next_step or ""), details)


def _by_status(status: int) -> type[OctopoidError]:
    classes = {404: NotFound, 409: Refused, 503: StoreBusy}
    return classes.get(status, BadInput if status < 500 else StoreBroken)
