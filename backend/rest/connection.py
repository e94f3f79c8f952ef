"""One connection pool to a server: requests out, answers or our own errors back."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import importlib
import itertools
import sys
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

from backend.errors import BY_SLUG, BadInput, NotFound, OctopoidError, Refused, StoreBroken, StoreBusy
from backend.model import Json
from backend.wire import decode, encode

if TYPE_CHECKING:
    import octopoid_sdk

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

LARGE = 100_000
"""Bytes of an answer from which on it is read in a thread, so that the event loop is not held up."""
CARRY_S = 600.0
"""How long a whole export or import may take."""

_import_lock = threading.Lock()


class KeyRefused(OctopoidError):
    """The server wants a key, or one that permits more."""

    slug = "key-refused"
    http_status = 401


class NotPermitted(KeyRefused):
    """The key is good, and does not permit this one request."""

    http_status = 403


class Away(StoreBusy):
    """Nobody answers at the server's address, or what answers there has no server behind it."""

    retry_after: float | None = None
    """Seconds after which it wants to be asked again, when it said so."""
    sent: bool = False
    """Whether a change may have reached it and been made."""


class Throttled(StoreBusy):
    """The server is there, and wants fewer requests."""

    retry_after: float | None = None


class ServerFailed(StoreBroken):
    """The server met an error it did not foresee, at this one request."""


STATUSES: dict[int, type[OctopoidError]] = {
    401: KeyRefused,
    403: NotPermitted,
    404: NotFound,
    409: Refused,
    429: Throttled,
    500: ServerFailed,
    503: Away,
}
"""What an answer without a known slug stands for."""


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


def load_sdk() -> ModuleType:
    """The SDK, and the HTTP library it stands on: what a process that owns its store never needs."""
    load_httpx()
    return importlib.import_module("octopoid_sdk")


class Connection:
    """Speaks to one server; the client is loaded, and connected, at the first request.

    Args:
        base_url: where the API is, without `/api`; over a socket any name will do.
        socket_path: the UNIX socket, or None for TCP.
        api_key: sent as a bearer token.
        timeout_s: how long an answer may take; None for as long as the SDK waits.
    """

    def __init__(
        self,
        base_url: str,
        socket_path: Path | None = None,
        api_key: str | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.base_url = base_url
        self._timeout_s = timeout_s
        self._keys: Iterator[str] | None = None
        self.socket_path = socket_path
        self._api_key = api_key
        self._sdk: Any = None
        self._transport: octopoid_sdk.AsyncTransport | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    def is_closed(self) -> bool:
        return self._closed

    async def keyed(self, key: str) -> Connection:
        """This connection; its first change goes under an idempotency key, the next under one made of it."""
        await self._open()
        same = copy.copy(self)
        same._keys = (key if number == 1 else f"{key}.{number}" for number in itertools.count(1))
        return same

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

        A connection that breaks is tried again: the server answers a change it has already made under the
        same idempotency key as it did the first time.

        Raises:
            OctopoidError: what the server refused, as the class it was there.
            StoreBusy: the server does not answer.
            StoreBroken: the answer is not understood.
        """
        transport = await self._open()
        content = None if body is None else encode(body)
        keyed = {} if self._keys is None or method == "GET" else {"Idempotency-Key": next(self._keys)}
        request = self._sdk.Request(method, path, params, content, {**keyed, **(headers or {})})
        try:
            answer = await transport.send(request)
        except self._sdk.ServerUnreachable as error:
            raise self._unreachable(error) from error
        except self._sdk.ClientClosed as error:
            raise _closed() from error
        if len(answer.content) > LARGE:
            return await asyncio.to_thread(read_answer, answer)
        return read_answer(answer)

    async def carry(self, method: Method, path: str, content: bytes | None = None) -> bytes:
        """Send or fetch a whole file, which may take long; returns the answer as it came.

        Raises: what `call` raises.
        """
        await self._open()
        server = self._sdk.Server(self.base_url, self._api_key, self.socket_path, CARRY_S)
        transport = self._sdk.AsyncTransport(server, self._sdk.Retries(attempts=1))
        try:
            answer = await transport.send(self._sdk.Request(method, path, None, content, {}))
        except self._sdk.ServerUnreachable as error:
            raise self._unreachable(error) from error
        finally:
            await transport.close()
        if answer.status >= 300:
            read_answer(answer)
        whole: bytes = answer.content
        return whole

    async def follow(self, after: int, patience_s: float) -> AsyncGenerator[list[bytes]]:
        """The data of the events after `after` as they come, in batches; ends when this is closed.

        Raises:
            OctopoidError: the server refused.
            StoreBusy: it has not answered for `patience_s` seconds.
        """
        if after < 0:
            raise BadInput(f"no event comes after {after}", "begin at 0")
        transport = await self._open()
        batches = transport.follow(after, patience_s)
        try:
            async for frames in batches:
                yield [frame.data for frame in frames]
        except self._sdk.ApiError as error:
            raise as_ours(error) from error
        except self._sdk.ServerUnreachable as error:
            raise self._unreachable(error) from error
        except self._sdk.ClientClosed:
            return
        finally:
            await batches.aclose()

    async def close(self) -> None:
        self._closed = True
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def _open(self) -> octopoid_sdk.AsyncTransport:
        async with self._opening:
            if self._closed:
                raise _closed()
            if self._transport is None:
                self._sdk = await asyncio.to_thread(load_sdk)
                self._transport = self._make()
            return self._transport

    def _make(self) -> octopoid_sdk.AsyncTransport:
        timeout = {} if self._timeout_s is None else {"timeout_s": self._timeout_s}
        server = self._sdk.Server(self.base_url, self._api_key, self.socket_path, **timeout)
        near = self.socket_path is not None
        # Behind a socket that takes no connection there is no process any more.
        retries = self._sdk.Retries(
            attempts=2 if near else 3, first_pause_s=0.0 if near else 0.2, connecting=not near
        )
        return cast("octopoid_sdk.AsyncTransport", self._sdk.AsyncTransport(server, retries))

    def _unreachable(self, error: Any) -> Away:
        after = "; the change may have been made: look before you repeat it" if error.sent else ""
        step = f"is `octopoid serve` running there, and server.url right?{after}"
        if self.socket_path is not None:
            step = f"the process that owns the store has ended or hangs; try again{after}"
        away = Away(str(error), step)
        away.sent = bool(error.sent)
        return away


def _closed() -> StoreBusy:
    return StoreBusy("the connection to the store is closed", "open it again")


def read_answer(answer: octopoid_sdk.Answer) -> Any:
    """The data of an answer; raises the error that it stands for."""
    try:
        return _data(answer.status, answer.content)
    except (Away, Throttled) as error:
        with contextlib.suppress(ValueError):
            error.retry_after = float(answer.headers.get("retry-after", ""))
        raise


def _data(status: int, content: bytes) -> Any:
    if status == 204:
        return None
    if 300 <= status < 400:
        raise StoreBroken("the server redirects to another address", "set server.url to that one")
    try:
        data = decode(content)
    except ValueError as error:
        if status in (502, 503, 504):
            away = Away(f"the server's proxy answers {status}", "is the server behind it running?")
            away.sent = status != 503  # the proxy had passed it on
            raise away from error
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
    return _error(status, str(data.get("slug")), str(problem or ""), str(next_step or ""), details)


def as_ours(error: Any) -> OctopoidError:
    """The SDK's error as the class it was on the server."""
    return _error(error.status, error.slug, error.problem, error.next_step, error.details)


def _error(status: int, slug: str, problem: str, next_step: str, details: tuple[str, ...]) -> OctopoidError:
    kind = BY_SLUG.get(slug) or _by_status(status)
    if kind is KeyRefused:
        next_step = (
            "give a key as OCTOPOID_API_KEY or in .octopoid/api_key; on the server: octopoid keys create"
        )
    return kind(problem or f"the server answered {status}", next_step, details)


def _by_status(status: int) -> type[OctopoidError]:
    return STATUSES.get(status, BadInput if status < 500 else StoreBroken)
