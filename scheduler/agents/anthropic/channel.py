"""The program's input and output: orders come in at any time, and what is asked waits for its reply."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from itertools import count
from typing import Any, Literal

import msgspec

from scheduler.agents.anthropic.wire import CLOSED, REQUEST, Asked, AskedOne, Order

LINE_LIMIT = 32 << 20


class Channel:
    """One line is one message, each way."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._seen: set[str] = set()
        self._arrived = asyncio.Event()
        self._replies: dict[str, asyncio.Future[tuple[str, ...]]] = {}
        self._numbers = count(1)
        self.closed = False
        self.on_interrupt: Callable[[], object] = lambda: None

    def emit(self, kind: str, /, **data: Any) -> None:
        """Say one thing; a reader that is slow holds us up, and that is wanted."""
        sys.stdout.buffer.write(msgspec.json.encode({"kind": kind, "data": data}) + b"\n")
        sys.stdout.buffer.flush()

    async def listen(self) -> None:
        """Take in orders until the input ends."""
        reader = asyncio.StreamReader(limit=LINE_LIMIT)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
        )
        try:
            while line := await reader.readline():
                self._take(line)
        finally:
            self.closed = True
            self._arrived.set()
            self.on_interrupt()

    def _take(self, line: bytes) -> None:
        try:
            order = msgspec.json.decode(line, type=Order)
        except msgspec.DecodeError as error:
            self.emit("log", stream="err", text=f"a line of input cannot be read: {error}")
            return
        if order.do == "reply":
            waiting = self._replies.get(order.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(order.answers)
        elif order.id not in self._seen:  # after a restart the scheduler may say it again
            self._seen.add(order.id)
            if order.do == "interrupt":
                self.on_interrupt()
            else:
                self._words[order.id] = order.text
                self._arrived.set()

    async def wait_for_words(self) -> bool:
        """Wait until somebody says something; False when the input has ended, which ends the work too."""
        await self._arrived.wait()
        return not self.closed

    def take_words(self) -> dict[str, str]:
        """What was said and not taken yet, by message."""
        words, self._words = self._words, {}
        if not self.closed:
            self._arrived.clear()
        return words

    async def ask(
        self, kind: Literal["question", "permission", "progress"], text: str, options: tuple[str, ...] = (),
        *, tool: str = "", given: dict[str, Any] | None = None,
    ) -> str:  # fmt: skip
        """Ask people, and wait for the answer; cancelled, the question is taken back."""
        request_id = f"r{next(self._numbers)}"
        self._replies[request_id] = asyncio.get_running_loop().create_future()
        asked = Asked(request_id, kind, AskedOne(text, options), tool, given or {})
        self.emit(REQUEST, **msgspec.to_builtins(asked))
        try:
            return "\n".join(await self._replies[request_id])
        except asyncio.CancelledError:
            self.emit(CLOSED, id=request_id)
            raise
        finally:
            del self._replies[request_id]
