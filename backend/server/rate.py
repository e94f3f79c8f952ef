"""Token buckets: how often somebody may come, with room for a burst."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second in the long run, and so many at once."""

    per_second: float
    burst: int


READS = Rate(200, 400)
CHANGES = Rate(50, 100)
FAILURES = Rate(2, 20)
"""Requests with a wrong key or none, by address."""


class Buckets:
    """One bucket each for whoever comes; the one not seen for longest is forgotten first."""

    def __init__(self, rate: Rate, now: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._now = now
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str) -> float:
        """Take one token; returns 0, or the seconds until there is one again."""
        now = self._now()
        tokens, at = self._filled.pop(who, (float(self._rate.burst), now))
        tokens = min(self._rate.burst, tokens + (now - at) * self._rate.per_second)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate.per_second
        self._filled[who] = (tokens - 1 if wait == 0 else tokens, now)
        while len(self._filled) > REMEMBERED:
            self._filled.popitem(last=False)
        return wait
