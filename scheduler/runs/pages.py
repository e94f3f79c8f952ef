"""A run's events in pages, from any place of the file: what is read is bounded, however long the file is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backend.clock import from_ms
from backend.errors import BadInput
from scheduler.agents.events import AgentEvent, decode
from scheduler.runs.tail import Line, Tail, read_block

PAGE = 128 << 10
"""Bytes of a page, when no line is longer."""

SPAN = 4 << 20
"""Bytes in which a line must end; what has no line end for longer is no record, and is passed over."""

SEARCHED = ("text", "name", "title", "input", "output", "question", "options", "reason", "raw")
"""What a search looks at, of the data of an event."""


@dataclass(frozen=True, slots=True)
class Page:
    """The whole lines of one stretch of the file."""

    start: int
    """Where its first line begins."""
    end: int
    """Where the line behind its last one begins."""
    events: tuple[tuple[int, AgentEvent], ...] = ()
    """Each with the byte at which its line begins."""


class Pages:
    """The events of one run. Every method blocks briefly and is for a thread; `find` may take long.

    Each raises `BadRunFile` if the file is no regular file, or has become shorter.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def last(self) -> Page:
        """The end of the record."""
        return self.before(read_block(self._path, 0, 0)[1] or 0)

    def before(self, end: int) -> Page:
        """What stands before `end`, the beginning of a line or the end of the file."""
        return self._page(self._line_start(end), end)

    def after(self, start: int) -> Page:
        """What stands from `start` on, the beginning of a line; no events if nothing is there yet."""
        return self._page(start, start + PAGE)

    def find(
        self, text: str, start: int, *, backwards: bool = False, stop: Callable[[], bool] = lambda: False
    ) -> int | None:
        """The beginning of the next event from `start` on, or of the last before it, that holds `text`.

        Upper and lower case count as the same.

        Args:
            stop: asked before each page whether to give up.
        """
        needle = text.lower()
        written = msgspec.json.encode(needle)[1:-1].decode()
        for lines in self._walk(start, backwards):
            if stop():
                return None
            for line in reversed(lines) if backwards else lines:
                # Reading the event is most of the work, so what cannot hold the text is passed over before.
                if written in line.data.decode("utf-8", "replace").lower() and holds(
                    read_event(line.data), needle
                ):
                    return line.offset
        return None

    def _walk(self, place: int, backwards: bool) -> Iterator[list[Line]]:
        while True:
            start = self._line_start(place) if backwards else place
            lines, end = self._lines(start, place if backwards else place + PAGE)
            yield lines
            following = start if backwards else end
            if following == place:
                return
            place = following

    def _line_start(self, end: int) -> int:
        """Where the first line begins that is wholly in the page before `end`."""
        upto = max(0, end - PAGE)
        if upto == 0:
            return 0
        # From one byte earlier on: a newline there makes `upto` itself the beginning of a line.
        found = read_block(self._path, upto - 1, end - upto)[0].find(b"\n")
        if found >= 0:
            return upto + found
        floor = max(0, end - SPAN)
        while upto > floor:
            begin = max(floor, upto - PAGE)
            found = read_block(self._path, begin, upto - begin)[0].rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            upto = begin
        return floor

    def _page(self, start: int, end: int) -> Page:
        lines, reached = self._lines(start, end)
        return Page(start, reached, tuple((line.offset, read_event(line.data)) for line in lines))

    def _lines(self, start: int, end: int) -> tuple[list[Line], int]:
        """The lines between two places, or the one that is longer; and where the next begins."""
        if start >= end:
            return [], start
        tail = Tail(self._path, start)
        lines, taken = tail.read(end - start), end - start
        while not lines and not tail.at_end and taken < SPAN:
            lines = tail.read(PAGE)
            taken += PAGE
        if lines or tail.at_end:
            return lines, tail.offset
        return [Line(start, start + taken, b"", truncated=True)], start + taken


def read_event(line: bytes) -> AgentEvent:
    """One line of the record; what is no event says so."""
    try:
        return decode(line)
    except BadInput as error:
        return AgentEvent(from_ms(0), "unknown", {"raw": str(error)}, "scheduler", 0)


def holds(event: AgentEvent, needle: str) -> bool:
    """Whether an event holds a text, given in lower case."""
    return any(needle in text.lower() for key in SEARCHED for text in _texts(event.data.get(key)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
