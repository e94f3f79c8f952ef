"""How the scheduler's recurring jobs fare: when each last went well, and what went wrong since."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from backend.clock import Clock, from_ms

log = logging.getLogger(__name__)

ALARM_AFTER = 3
"""Failures in a row after which a job is reported to the person."""


@dataclass(slots=True)
class JobHealth:
    """The record of one job."""

    name: str
    last_ok: datetime | None = None
    last_error: str | None = None
    failures: int = 0

    @property
    def alarming(self) -> bool:
        return self.failures >= ALARM_AFTER


class Jobs:
    """Runs each job and keeps its record; a job that fails is logged and tried again next time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.health: dict[str, JobHealth] = {}

    async def run(self, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Run one job; returns whether it went well."""
        health = self.health.setdefault(name, JobHealth(name))
        try:
            await work()
        except Exception as error:
            health.failures += 1
            health.last_error = f"{type(error).__name__}: {error}"
            log.exception("job %s failed, %d in a row", name, health.failures)
            return False
        health.last_ok = from_ms(self._clock.now_ms())
        health.failures = 0
        return True
