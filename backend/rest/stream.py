"""The server's event stream as records, through lost connections, without a gap and without repeats."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from backend.errors import BadInput, StoreBroken
from backend.model import Event
from backend.rest.connection import Connection
from backend.wire import decode, from_json

PATIENCE_S = 10.0


async def follow(
    connection: Connection, after: int, patience_s: float = PATIENCE_S
) -> AsyncIterator[list[Event]]:
    """Batches of events after `after` as they come; ends when the connection is closed.

    Raises:
        StoreBusy: the server has not answered for `patience_s` seconds.
    """
    async with aclosing(connection.follow(after, patience_s)) as batches:
        async for batch in batches:
            yield [_read(data) for data in batch]


def _read(data: bytes) -> Event:
    try:
        return from_json(Event, decode(data))
    except (ValueError, BadInput) as error:
        raise StoreBroken("the server's event stream is not understood", str(error)) from error
