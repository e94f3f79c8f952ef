"""Contact with the server: noticing that it has gone away, and what is due when it is back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from backend.clock import Clock, from_ms
from backend.interface import Backend
from backend.sync import SyncMode

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=60)
"""How long a server that is away is waited for before nothing more counts as to be done."""


class Contact:
    """What the scheduler knows of its server. Over a store of its own there is always contact."""

    def __init__(self, backend: Backend, clock: Clock, on_return: Callable[[], Awaitable[None]]) -> None:
        """`on_return` is awaited once the server is back, before anything new is done."""
        self._backend = backend
        self._clock = clock
        self._on_return = on_return
        self.away_since: datetime | None = None

    @property
    def away(self) -> bool:
        return self.away_since is not None

    @property
    def due(self) -> datetime | None:
        """Until when its return is waited for; None while it is there."""
        return None if self.away_since is None else self.away_since + PATIENCE

    async def begin(self) -> None:
        """Ask for the first time."""
        self.away_since = await self._ask()

    async def keep(self) -> None:
        """Take note of the state of now. What is due on the server's return is repeated until it succeeds."""
        away_since = await self._ask()
        if away_since is not None and not self.away:
            log.warning("the server is away: agents go on, and no new task is claimed")
        elif away_since is None and self.away:
            await self._on_return()
            log.info("the server is back")
        self.away_since = away_since

    async def _ask(self) -> datetime | None:
        sync = await self._backend.sync_state()
        if sync.mode is not SyncMode.OFFLINE:
            return None
        return sync.since or from_ms(self._clock.now_ms())
