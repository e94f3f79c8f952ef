"""One key after the other: a key is handed on only when the one before it has done all that it does.

A key goes to the widget with the focus and up to the app, in steps; the next one would be sent to the same
widget meanwhile, and not to where the first one has moved the focus.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from textual.app import App
from textual.events import Key
from textual.message import Message

LOST_AFTER = 0.3
"""Seconds to wait for a key whose widget has gone while it was on its way."""


class KeyDone(Message):
    """Follows a key on its way up; where it arrives, the key has been dealt with."""


class Typeahead:
    def __init__(self, app: App[None], deliver: Callable[[Key], Awaitable[None]]) -> None:
        self._app = app
        self._deliver = deliver
        self._waiting: deque[Key] = deque()
        self._under_way = False
        self._number = 0

    async def take(self, key: Key) -> None:
        """Deliver a key now, or when those before it are done."""
        if not self._under_way:
            await self._send(key)
            return
        self._waiting.append(key)
        number = self._number

        async def lost() -> None:
            if number == self._number:
                await self.done()

        self._app.set_timer(LOST_AFTER, lost)

    async def done(self) -> None:
        """The key under way has been dealt with."""
        self._under_way = False
        if self._waiting:
            await self._send(self._waiting.popleft())

    async def _send(self, key: Key) -> None:
        self._under_way = True
        self._number += 1
        target = self._app.focused or self._app.screen
        await self._deliver(key)
        if not target.post_message(KeyDone()):
            self._under_way = False
