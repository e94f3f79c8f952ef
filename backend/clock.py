"""Time, in one place: aware UTC datetimes above, integer milliseconds in the store, ISO 8601 on the wire."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
EARLIEST_YEAR, LATEST_YEAR = 2, 9998
"""Beyond them a time has no equal in every zone."""


class Clock(Protocol):
    """Source of the current time, in whole milliseconds since the epoch, UTC."""

    def now_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's wall clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


@dataclass(slots=True)
class ManualClock:
    """A clock that moves only when told to."""

    at_ms: int = field(default=1_767_225_600_000)

    def now_ms(self) -> int:
        return self.at_ms

    def advance(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)


def from_ms(ms: int) -> datetime:
    """Milliseconds since the epoch as an aware UTC datetime."""
    return EPOCH + ms * MILLISECOND


def to_ms(at: datetime) -> int:
    """An aware datetime as milliseconds since the epoch.

    Raises:
        ValueError: if the datetime is naive.
    """
    if at.tzinfo is None:
        raise ValueError(f"naive datetime {at!r}: times need a zone")
    return round(at.timestamp() * 1000)


def to_iso(at: datetime) -> str:
    """ISO 8601 with milliseconds and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """Parse ISO 8601 with a zone.

    Raises:
        ValueError: if the text is no date or has no zone.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"time {text!r} has no zone: write it with Z or an offset")
    if not EARLIEST_YEAR <= at.year <= LATEST_YEAR:
        raise ValueError(f"time {text!r} is out of range")
    return at.astimezone(UTC)


def day_of(at: datetime) -> tuple[datetime, datetime]:
    """When the day that a time lies in begins and ends where this machine is, in UTC."""
    local = time.localtime(at.timestamp())

    def midnight(days: int) -> datetime:
        # The C library finds the right offset also where the clock is put forward or back that day.
        day = (local.tm_year, local.tm_mon, local.tm_mday + days, 0, 0, 0, 0, 0, -1)
        return from_ms(round(time.mktime(day) * 1000))

    return midnight(0), midnight(1)
