"""Server-sent events: reading them, and going on where a lost connection left off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from octopoid_sdk.errors import OctopoidError

SILENCE_S = 40.0
"""A stream that is silent for longer is lost: the server sends something every 15 seconds."""

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
EVENTS = "v1/events"


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it was sent: its sequence number, and its data as JSON text."""

    seq: int
    data: bytes


class Feed:
    """What is known of one event stream across its connections: no gap, no repeat.

    Args:
        after: the sequence number after which events are wanted.
        patience_s: how long the server may be away before the feed ends with its error; None for ever.
    """

    def __init__(
        self, after: int, patience_s: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if after < 0:
            raise ValueError(f"no event comes after {after}: begin at 0")
        self.seen = after
        self._patience_s = patience_s
        self._clock = clock
        self._lost_at: float | None = None
        self._pause = FIRST_PAUSE_S
        self._rest = b""

    def headers(self) -> dict[str, str]:
        """What a connection is opened with; it begins after the last event seen."""
        self._rest = b""
        return {"Accept": "text/event-stream", "Last-Event-ID": str(self.seen)}

    def take(self, chunk: bytes) -> list[Frame]:
        """The new events that a chunk completes."""
        *parts, self._rest = (self._rest + chunk).split(b"\n\n")
        if parts:
            self._lost_at, self._pause = None, FIRST_PAUSE_S
        fresh = []
        for part in parts:
            frame = _parse(part)
            if frame is not None and frame.seq > self.seen:
                self.seen = frame.seq
                fresh.append(frame)
        return fresh

    def lost(self, error: OctopoidError) -> None:
        """Note that the connection is lost; raises `error` once patience has run out."""
        now = self._clock()
        self._lost_at = now if self._lost_at is None else self._lost_at
        if self._patience_s is not None and now - self._lost_at > self._patience_s:
            raise error

    def next_pause(self) -> float:
        """Seconds to wait before the next connection."""
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE_S)
        return pause


def _parse(part: bytes) -> Frame | None:
    seq, data = None, []
    for line in part.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line.startswith(b"id:") and line[3:].strip().isdigit():
            seq = int(line[3:])
    return Frame(seq, b"\n".join(data)) if seq is not None and data else None
