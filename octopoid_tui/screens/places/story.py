"""The part of the event log that tells what happened since a time, read by pages and bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from backend.interface import Backend
from backend.model import Event

PAGE = 1000
MOST = 20_000
"""Events that are read at most: the newest ones."""


@dataclass(slots=True)
class Story:
    """What is read so far, oldest first; reading again reads only what is new."""

    since: datetime
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=MOST))
    read_to: int | None = None
    whole_from: datetime | None = None
    """When what is read begins, where older events are left out."""

    async def read_on(self, backend: Backend) -> None:
        """Read what is in the log by now."""
        last = await backend.last_seq()
        if self.read_to is None or last - self.read_to > MOST:
            await self._begin(backend, last)
        while self.read_to is not None and self.read_to < last:
            page = await backend.events(after=self.read_to, limit=PAGE)
            if not page:
                break
            self.read_to = page[-1].seq
            self.events.extend(event for event in page if event.at >= self.since and _matters(event))

    async def _begin(self, backend: Backend, last: int) -> None:
        """Find the place from which to read, by halves: the log is in the order of time."""
        self.events.clear()
        low, high = max(0, last - MOST), last
        first = await backend.events(after=low, limit=1)
        left_out = low > 0 and bool(first) and first[0].at >= self.since
        self.whole_from = first[0].at if left_out else None
        while low < high and not left_out:
            middle = (low + high) // 2
            found = await backend.events(after=middle, limit=1)
            if not found or found[0].at >= self.since:
                high = middle
            else:
                low = found[0].seq
        self.read_to = low

    def snapshot(self) -> Sequence[Event]:
        """What is read, as it is now: for a thread, while reading may go on."""
        return tuple(self.events)


def _matters(event: Event) -> bool:
    if event.entity == "task":
        return event.kind != "renew"
    return event.entity == "alert" or (event.entity == "rule" and event.kind == "use")
