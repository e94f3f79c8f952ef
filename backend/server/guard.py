"""What every request passes first: a bound on its body, and a memory of the changes already made."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from backend.server.caller import SCOPE_NAME, Caller
from backend.server.problems import KeyReused, TooLarge, TooSlow, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 1024 * 1024
BODY_S = 30.0
REMEMBERED = 2048
REMEMBERED_BYTES = 16 * 1024 * 1024
KEY_LIMIT = 128
READ_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})


class BodyLimit:
    """Reads the body before the application does, and refuses one of more than `limit` bytes."""

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READ_ONLY:
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_S):
                body = await self._read(scope, receive)
        except TimeoutError:
            late = TooSlow(f"the body did not come within {BODY_S:g} s", "send it at once")
            await problem(late, {"Connection": "close"})(scope, receive, send)
            return
        if body is None:
            trouble = TooLarge(f"the body is larger than {self.limit} bytes", "send less at once")
            await problem(trouble, {"Connection": "close"})(scope, receive, send)
            return
        scope["octopoid.body"] = body
        await self.app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > self.limit:
            return None
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.limit:
                return None
            more = message.get("more_body", False)
        return b"".join(parts)


@dataclass(slots=True)
class _Reply:
    """What was answered to one key; `done` once it is complete."""

    fingerprint: bytes
    done: asyncio.Event = field(default_factory=asyncio.Event)
    messages: list[Message] = field(default_factory=list)
    size: int = 0

    @property
    def failed(self) -> bool:
        return not self.messages or self.messages[0]["status"] >= 500


class Idempotency:
    """Answers a change that comes again under the same `Idempotency-Key` as it was answered before.

    The memory is this process's and bounded: it serves a client that lost its connection, not one that comes
    back another day. What ended in a server error is not remembered.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.replies: OrderedDict[str, _Reply] = OrderedDict()
        self.size = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get("idempotency-key") if scope["type"] == "http" else None
        if key is None or scope["method"] in READ_ONLY:
            await self.app(scope, receive, send)
            return
        if not 0 < len(key) <= KEY_LIMIT:
            trouble = KeyReused("the idempotency key is not usable", f"give 1 to {KEY_LIMIT} characters")
            await problem(trouble)(scope, receive, send)
            return
        caller: Caller | None = scope.get(SCOPE_NAME)
        if caller is not None:
            key = f"{caller.key_id} {key}"
        fingerprint = _fingerprint(scope)
        while (known := self.replies.get(key)) is not None:
            if known.fingerprint != fingerprint:
                trouble = KeyReused("the idempotency key was used for another request", "make a new one")
                await problem(trouble)(scope, receive, send)
                return
            await known.done.wait()
            if not known.failed:
                await _repeat(known, send)
                return
        await self._first(key, fingerprint, (scope, receive, send))

    async def _first(self, key: str, fingerprint: bytes, call: tuple[Scope, Receive, Send]) -> None:
        scope, receive, send = call
        reply = self.replies[key] = _Reply(fingerprint)

        async def keep(message: Message) -> None:
            reply.messages.append(message)
            reply.size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, keep)
        finally:
            complete = bool(reply.messages) and not reply.messages[-1].get("more_body", False)
            if reply.failed or not complete:
                reply.messages.clear()
                del self.replies[key]
            else:
                self._remember(reply)
            reply.done.set()

    def _remember(self, reply: _Reply) -> None:
        self.size += reply.size
        while len(self.replies) > REMEMBERED or self.size > REMEMBERED_BYTES:
            oldest = next((key for key, known in self.replies.items() if known.done.is_set()), None)
            if oldest is None:
                return
            self.size -= self.replies.pop(oldest).size


def _fingerprint(scope: Scope) -> bytes:
    digest = hashlib.sha256()
    for part in (scope["method"].encode(), scope["raw_path"], scope["query_string"], scope["octopoid.body"]):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


async def _repeat(reply: _Reply, send: Send) -> None:
    start, *rest = reply.messages
    again: Message = {**start, "headers": list(start["headers"])}
    MutableHeaders(scope=again)["Idempotency-Replayed"] = "true"
    await send(again)
    for message in rest:
        await send(message)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, then whatever comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
