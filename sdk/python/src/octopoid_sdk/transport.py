"""Sending: the only place that knows httpx, which is imported when the first request is sent."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from octopoid_sdk.errors import ClientClosed, ServerUnreachable, TooManyRequests, Unavailable
from octopoid_sdk.exchange import Answer, Plan, Request, Retries, read
from octopoid_sdk.stream import EVENTS, SILENCE_S, Feed, Frame

if TYPE_CHECKING:
    import httpx

CONNECT_S = 5.0
ANSWER_S = 30.0
IDLE_S = 20.0
"""Shorter than the server keeps an idle connection, so that none is closed under a request."""

MAX_CONNECTIONS = 64
MAX_IDLE = 8


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and the key for it.

    Args:
        url: its address, without `/api`; over a socket any name will do.
        api_key: sent as a bearer token.
        socket_path: the UNIX socket it listens on, or None for TCP.
        timeout_s: how long an answer may take.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    socket_path: Path | None = None
    timeout_s: float = ANSWER_S

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.url!r} is no address of a server: write http://HOST or https://HOST")

    def __str__(self) -> str:
        return f"the socket {self.socket_path}" if self.socket_path is not None else self.url

    @property
    def is_near(self) -> bool:
        """Whether it runs on this machine, so that no proxy leads to it."""
        host = urlsplit(self.url).hostname or ""
        try:
            return self.socket_path is not None or ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def options(self) -> dict[str, Any]:
        """What both kinds of httpx client are made with."""
        import httpx

        options: dict[str, Any] = {
            "base_url": f"{self.url.rstrip('/')}/api/",
            "timeout": httpx.Timeout(self.timeout_s, connect=CONNECT_S),
            "headers": {"Authorization": f"Bearer {self.api_key}"} if self.api_key else None,
            # A redirect would carry the key to another address.
            "follow_redirects": False,
            "trust_env": not self.is_near,
        }
        if self.socket_path is None:
            options |= {"limits": self.limits(), "verify": self.url.startswith("https")}
        return options

    def limits(self) -> httpx.Limits:
        import httpx

        return httpx.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE, keepalive_expiry=IDLE_S
        )

    def pause_after(self, plan: Plan, error: Exception) -> float:
        """Seconds to wait after a failed attempt; raises `ServerUnreachable` when it was the last."""
        import httpx

        # While a connection is made nothing has been sent yet.
        connected = not isinstance(
            error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol
        )
        problem = f"nobody answers at {self} ({str(error) or type(error).__name__})"
        return plan.after_failure(
            problem, connected=connected, timed_out=isinstance(error, httpx.TimeoutException)
        )

    def lost(self, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(f"nobody answers at {self} ({str(error) or type(error).__name__})")


class Transport:
    """Sends requests, and waits for their answers."""

    def __init__(self, server: Server, retries: Retries | None = None) -> None:
        self.server = server
        self._retries = retries or Retries()
        self._client: httpx.Client | None = None
        self._opening = threading.Lock()
        self._closed = False

    def is_closed(self) -> bool:
        return self._closed

    def send(self, request: Request) -> Answer:
        """The server's answer, whatever its status.

        Raises:
            ServerUnreachable: there is none.
        """
        import httpx

        plan = Plan(request, self._retries)
        while True:
            client = self._open()
            try:
                got = client.request(
                    request.method, request.path, params=request.params, content=request.content,
                    headers=plan.headers,
                )  # fmt: skip
            except httpx.TransportError as error:
                pause: float | None = self.server.pause_after(plan, error)
            else:
                answer = Answer(got.status_code, got.headers, got.content)
                pause = plan.after_answer(answer)
                if pause is None:
                    return answer
            time.sleep(pause or 0)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Generator[Iterator[bytes]]:
        """The chunks of a streamed answer."""
        import httpx

        timeout = httpx.Timeout(CONNECT_S, read=SILENCE_S)
        try:
            with self._open().stream("GET", path, headers=dict(headers), timeout=timeout) as answer:
                if answer.status_code != 200:
                    read(Answer(answer.status_code, answer.headers, answer.read()))
                yield answer.iter_bytes()
        except httpx.TransportError as error:
            raise self.server.lost(error) from error

    def follow(self, after: int, patience_s: float | None) -> Generator[list[Frame]]:
        """Batches of events after `after` as they come; ends when the client is closed."""
        feed = Feed(after, patience_s)
        while not self.is_closed():
            try:
                with self.stream(EVENTS, feed.headers()) as chunks:
                    for chunk in chunks:
                        if frames := feed.take(chunk):
                            yield frames
            except (ServerUnreachable, Unavailable, TooManyRequests) as error:
                if self.is_closed():
                    return
                feed.lost(error)
            time.sleep(feed.next_pause())

    def close(self) -> None:
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> httpx.Client:
        with self._opening:
            if self.is_closed():
                raise ClientClosed("the client is closed: make a new one")
            if self._client is None:
                import httpx

                options = self.server.options()
                if self.server.socket_path is not None:
                    options["transport"] = httpx.HTTPTransport(
                        uds=str(self.server.socket_path), verify=False, limits=self.server.limits()
                    )
                self._client = httpx.Client(**options)
            return self._client


class AsyncTransport:
    """Sends requests from an event loop; what takes long in making the client is done off it."""

    def __init__(self, server: Server, retries: Retries | None = None) -> None:
        self.server = server
        self._retries = retries or Retries()
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    def is_closed(self) -> bool:
        return self._closed

    async def send(self, request: Request) -> Answer:
        """The server's answer, whatever its status.

        Raises:
            ServerUnreachable: there is none.
        """
        plan = Plan(request, self._retries)
        while True:
            client = await self._open()
            import httpx

            try:
                got = await client.request(
                    request.method, request.path, params=request.params, content=request.content,
                    headers=plan.headers,
                )  # fmt: skip
            except httpx.TransportError as error:
                pause: float | None = self.server.pause_after(plan, error)
            else:
                answer = Answer(got.status_code, got.headers, got.content)
                pause = plan.after_answer(answer)
                if pause is None:
                    return answer
            await asyncio.sleep(pause or 0)

    @asynccontextmanager
    async def stream(self, path: str, headers: Mapping[str, str]) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The chunks of a streamed answer."""
        client = await self._open()
        import httpx

        timeout = httpx.Timeout(CONNECT_S, read=SILENCE_S)
        try:
            async with client.stream("GET", path, headers=dict(headers), timeout=timeout) as answer:
                if answer.status_code != 200:
                    read(Answer(answer.status_code, answer.headers, await answer.aread()))
                chunks = answer.aiter_bytes()
                try:
                    yield chunks
                finally:
                    await chunks.aclose()  # type: ignore[attr-defined]  # it is a generator
        except httpx.TransportError as error:
            raise self.server.lost(error) from error

    async def follow(self, after: int, patience_s: float | None) -> AsyncGenerator[list[Frame]]:
        """Batches of events after `after` as they come; ends when the client is closed."""
        feed = Feed(after, patience_s)
        while not self.is_closed():
            try:
                async with self.stream(EVENTS, feed.headers()) as chunks:
                    async for chunk in chunks:
                        if frames := feed.take(chunk):
                            yield frames
            except (ServerUnreachable, Unavailable, TooManyRequests) as error:
                if self.is_closed():
                    return
                feed.lost(error)
            await asyncio.sleep(feed.next_pause())

    async def close(self) -> None:
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _open(self) -> httpx.AsyncClient:
        async with self._opening:
            if self.is_closed():
                raise ClientClosed("the client is closed: make a new one")
            if self._client is None:
                self._client = await asyncio.to_thread(self._make)
            return self._client

    def _make(self) -> httpx.AsyncClient:
        import httpx

        options = self.server.options()
        if self.server.socket_path is not None:
            options["transport"] = httpx.AsyncHTTPTransport(
                uds=str(self.server.socket_path), verify=False, limits=self.server.limits()
            )
        return httpx.AsyncClient(**options)
