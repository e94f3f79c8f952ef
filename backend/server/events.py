"""The event log as a live feed: server-sent events that a client can take up again where it left off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import Response

from backend.interface import Backend
from backend.model import Event
from backend.server.problems import TooManyStreams
from backend.wire import encode, event_json

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

KEEP_ALIVE_S = 15.0
RETRY_MS = 1000
MAX_STREAMS = 64


@dataclass(slots=True)
class Streams:
    """The open streams of one server; `closing` tells them to end."""

    closing: asyncio.Event = field(default_factory=asyncio.Event)
    count: int = 0


class EventStream(Response):
    """Sends the events after `after` as they are committed, until the client leaves or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, backend: Backend, after: int, streams: Streams) -> None:
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self.backend = backend
        self.after = after
        self.streams = streams
        if streams.count >= MAX_STREAMS:
            raise TooManyStreams(f"{MAX_STREAMS} event streams are open", "close one, or try again later")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.streams.count += 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _send(send, f"retry: {RETRY_MS}\n\n".encode())
            await self._feed(receive, send)
            await _send(send, b"", more=False)
        finally:
            self.streams.count -= 1

    async def _feed(self, receive: Receive, send: Send) -> None:
        feed = self.backend.watch(self.after)
        endings = [
            asyncio.create_task(_disconnected(receive)),
            asyncio.create_task(_set(self.streams.closing)),
        ]
        batch = asyncio.create_task(_next(feed))
        try:
            while True:
                done, _ = await asyncio.wait(
                    {batch, *endings}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    await _send(send, b": still here\n\n")
                elif batch not in done or (events := batch.result()) is None:
                    return
                else:
                    await _send(send, b"".join(_frame(event) for event in events))
                    batch = asyncio.create_task(_next(feed))
        finally:
            await end_tasks(batch, *endings)
            await end_feed(feed)


async def wait_for_events(backend: Backend, after: int, seconds: float, streams: Streams) -> None:
    """Return once there are events after `after`, the time is over, or the server stops."""
    feed = backend.watch(after)
    waits = [asyncio.create_task(_next(feed)), asyncio.create_task(_set(streams.closing))]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(*waits)
        await end_feed(feed)


async def end_tasks(*tasks: asyncio.Task[object]) -> None:
    """Cancel what still runs; what has failed has been seen, or does not matter any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def end_feed(feed: AsyncIterator[list[Event]]) -> None:
    close = getattr(feed, "aclose", None)
    if close is not None:
        await close()


def _frame(event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, b"change", encode(event_json(event)))


async def _send(send: Send, body: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _next(feed: AsyncIterator[list[Event]]) -> list[Event] | None:
    return await anext(feed, None)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _set(event: asyncio.Event) -> None:
    await event.wait()
