"""Following the server's event stream, through lost connections, without a gap and without repeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from backend.errors import BadInput, StoreBroken, StoreBusy
from backend.model import Event
from backend.rest.connection import Connection
from backend.wire import decode, from_json

SILENCE_S = 40.0
"""The server sends something at least every 15 seconds."""

PATIENCE_S = 10.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


async def follow(connection: Connection, after: int) -> AsyncIterator[list[Event]]:
    """Batches of events after `after` as they come; ends when the connection is closed.

    Raises:
        StoreBusy: the server has not answered for `PATIENCE_S` seconds.
    """
    if after < 0:
        raise BadInput(f"no event comes after {after}", "begin at 0")
    seen = after
    lost_at: float | None = None
    pause = FIRST_PAUSE_S
    while not connection.is_closed():
        try:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(seen)}
            async with (
                connection.stream("v1/events", headers, SILENCE_S) as chunks,
                aclosing(read_events(chunks)) as batches,
            ):
                async for batch in batches:
                    lost_at, pause = None, FIRST_PAUSE_S
                    fresh = [event for event in batch if event.seq > seen]
                    if fresh:
                        seen = fresh[-1].seq
                        yield fresh
        except StoreBusy:
            if connection.is_closed():
                return
            now = time.monotonic()
            lost_at = now if lost_at is None else lost_at
            if now - lost_at > PATIENCE_S:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[Event], None]:
    """Parse server-sent events; each chunk that ends events, or keeps the line alive, gives one batch."""
    rest = b""
    async for chunk in chunks:
        *frames, rest = (rest + chunk).split(b"\n\n")
        if frames:
            yield [event for frame in frames for event in _parse(frame)]


def _parse(frame: bytes) -> list[Event]:
    lines = frame.split(b"\n")
    data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
    if not data:
        return []
    try:
        return [from_json(Event, decode(data))]
    except (ValueError, BadInput) as error:
        raise StoreBroken("the server's event stream is not understood", str(error)) from error
