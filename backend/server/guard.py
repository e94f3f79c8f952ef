"""What every request passes first: a bound on its body, and on the time that it may take to come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from backend.server.problems import TooLarge, TooSlow, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 1024 * 1024
BODY_S = 30.0
LARGER = {("POST", "/api/admin/import"): (256 * 1024 * 1024, 600.0)}
"""Bodies that may be larger, and take longer to come: bytes and seconds."""
BODY_NAME = "octopoid.body"
READ_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})


class ClientGone(Exception):
    """The client has gone before its request was whole: nobody may act on half of one."""


class BodyLimit:
    """Reads the body before the application does, and refuses one of more than `limit` bytes."""

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READ_ONLY:
            await self.app(scope, receive, send)
            return
        limit, seconds = LARGER.get((scope["method"], scope["path"]), (self.limit, BODY_S))
        try:
            async with asyncio.timeout(seconds):
                body = await self._read(scope, receive, limit)
        except ClientGone:
            return
        except TimeoutError:
            late = TooSlow(
                f"the body did not come within {seconds:g} s", "send the whole body without a pause"
            )
            await problem(late, {"Connection": "close"})(scope, receive, send)
            return
        if body is None:
            trouble = TooLarge(f"the body is larger than {limit} bytes", "send it in several requests")
            await problem(trouble, {"Connection": "close"})(scope, receive, send)
            return
        scope[BODY_NAME] = body
        await self.app(scope, replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive, limit: int) -> bytes | None:
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            return None
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                return None
            more = message.get("more_body", False)
        return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, then whatever comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
