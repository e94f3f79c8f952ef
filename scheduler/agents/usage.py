"""What a run has used, from totals that programs keep per session."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

from backend.model import Json


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens (input without what came from a cache) and cost; `cost_usd` counts what is told, 0 else."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def plain(self) -> Json:
        """As data of an event or a file."""
        return {
            "input": self.input,
            "output": self.output,
            "cache_read": self.cache_read,
            "cache_write": self.cache_write,
            "cost_usd": self.cost_usd,
        }

    @classmethod
    def of(cls, values: Json) -> Usage:
        """From `plain`, or what a program wrote; what is no number counts 0."""
        return cls(
            input=int(_number(values.get("input"))),
            output=int(_number(values.get("output"))),
            cache_read=int(_number(values.get("cache_read"))),
            cache_write=int(_number(values.get("cache_write"))),
            cost_usd=_number(values.get("cost_usd")),
        )


NOTHING_USED = Usage()
LARGEST = 2.0**53


def _number(value: Any) -> float:
    """A believable count, or 0."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST
    return value if good else 0


class Meter:
    """What one run has used, from running totals of its session, which earlier runs may have begun."""

    def __init__(self, before: Usage) -> None:
        self._last = before
        self._booked = NOTHING_USED

    def book(self, total: Usage) -> Usage:
        """Take in the session's newest total; returns what the run has used by now.

        A total below the last one means that the program began to count anew.
        """
        grown = total - self._last
        anew = any(value < 0 for value in astuple(grown)[:4]) or grown.cost_usd < -1e-9
        self._booked += total if anew else grown
        self._last = total
        return self._booked
