"""A line to a server that can be cut, that loses answers, and that delivers requests twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HEAD_END = b"\r\n\r\n"
FAILURE = (
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/problem+json\r\n"
    b"content-length: 42\r\nconnection: close\r\n\r\n"
    b'{"slug":"unexpected","error":"it failed."}'
)


@dataclass(slots=True)
class Line:
    """A proxy on a UNIX socket for one server on another; speaks HTTP/1.1 as far as it has to."""

    socket: Path
    server: Path
    lose: int = 0
    """The answers to so many changes are thrown away, after the server has made them."""
    fail: bytes = b"\0"
    """A change with this in its body is not passed on: it is answered as by a server that fails at it."""
    double: bool = False
    """Every change is delivered twice."""
    changes: int = 0
    """Changes that came to the server over this line."""
    seen: list[str] = field(default_factory=list)
    """What they were: method and path of each, in the order in which they came."""
    _listener: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def mend(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_unix_server(self._serve, str(self.socket))

    async def cut(self) -> None:
        """End every connection; from now on nobody answers."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            self.socket.unlink(missing_ok=True)
        ending = list(self._open)
        for writer in ending:
            writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in ending), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self._open.add(writer)
        away = None
        try:
            far, away = await asyncio.open_unix_connection(str(self.server))
            self._open.add(away)
            while await self._exchange(reader, writer, far, away):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two has gone
        finally:
            for one in (writer, away):
                if one is not None:
                    self._open.discard(one)
                    one.transport.abort()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far: asyncio.StreamReader,
        away: asyncio.StreamWriter,
    ) -> bool:
        """One request and its answer; False when the connection is over."""
        head, body = await _message(reader)
        is_change = not head.startswith(b"GET")
        if is_change:
            self.changes += 1
            self.seen.append(" ".join(head.decode("latin-1").split(" ", 2)[:2]))
        if is_change and self.fail in body:
            writer.write(FAILURE)
            await writer.drain()
            return False
        if is_change and self.double:
            await self._deliver(head + body)
        away.write(head + body)
        await away.drain()
        head = await far.readuntil(HEAD_END)
        length = _length(head)
        if length is None and b" 204 " not in head.partition(b"\r\n")[0]:
            writer.write(head)
            while chunk := await far.read(65536):
                writer.write(chunk)
                await writer.drain()
            return False
        body = await far.readexactly(length or 0)
        if is_change and self.lose > 0:
            self.lose -= 1
            return False
        writer.write(head + body)
        await writer.drain()
        return True

    async def _deliver(self, request: bytes) -> None:
        far, away = await asyncio.open_unix_connection(str(self.server))
        away.write(request)
        await away.drain()
        head = await far.readuntil(HEAD_END)
        await far.readexactly(_length(head) or 0)
        away.close()
        await away.wait_closed()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(HEAD_END)
    return head, await reader.readexactly(_length(head) or 0)


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return None


@asynccontextmanager
async def line_to(server: Path, socket: Path) -> AsyncIterator[Line]:
    """A whole line; cut when the block ends. Who opens a cache over it waits long for the server."""
    line = Line(socket, server)
    await line.mend()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("backend.offline.sync.BEGIN_S", 60.0)
            yield line
    finally:
        with contextlib.suppress(OSError):
            await line.cut()
