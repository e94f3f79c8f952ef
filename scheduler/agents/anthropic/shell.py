"""Running commands for the model: a time limit, a bounded result, and none of our keys."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HEAD, TAIL = 20_000, 10_000
"""Bytes of a command's output that are kept of its beginning and of its end."""

LEFT_OPEN_S = 1.0
"""How long output is waited for that a command's own children may still write."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended; `status` is None when it took too long."""

    status: int | None
    output: str


class Kept:
    """The beginning and the end of what is written."""

    def __init__(self) -> None:
        self._head, self._tail, self._all = b"", b"", 0

    def take(self, data: bytes) -> None:
        self._all += len(data)
        room = HEAD - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data[max(room, 0) :])[-TAIL:]

    def text(self) -> str:
        left_out = self._all - len(self._head) - len(self._tail)
        between = f"\n… {left_out} bytes left out …\n".encode() if left_out else b""
        return (self._head + between + self._tail).decode("utf-8", "replace")


async def run(argv: Sequence[str], cwd: Path, env: Mapping[str, str], limit_s: float) -> Ran:
    """Run a program to its end. Cancelled, or out of time, it and its group are killed.

    Raises:
        OSError: it cannot be started.
    """
    kept = Kept()
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=cwd, env=dict(env), start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=writing, stderr=writing,
        )  # fmt: skip
    except (OSError, ValueError):
        os.close(reading)
        raise
    finally:
        os.close(writing)
    drained = asyncio.ensure_future(_drain(reading, kept))
    try:
        status: int | None = await asyncio.wait_for(process.wait(), limit_s)
    except TimeoutError:
        status = None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        await asyncio.wait([drained], timeout=LEFT_OPEN_S)
        drained.cancel()
    return Ran(status, kept.text())


async def _drain(fd: int, kept: Kept) -> None:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(fd, "rb", 0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while chunk := await reader.read(1 << 16):
            kept.take(chunk)
    finally:
        transport.close()
