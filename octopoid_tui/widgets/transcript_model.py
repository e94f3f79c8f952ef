"""What an agent did as entries: calls with their results, questions with their answers, turns with their use.

Pure. It is built from pages of the record, of which only some are held at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from octopoid_tui.ports import AgentEvent, Page

HIDDEN: Final = frozenset({"state", "turn.started"})
"""Kinds that say nothing to a reader."""

MERGE_BYTES: Final = 128 << 10
"""Pages smaller than this are grown by what is appended, so that few pages are many events."""


@dataclass(slots=True, eq=False)
class Entry:
    """One thing that happened, with what followed of it."""

    offset: int
    """Where the line of its event begins in the record."""
    event: AgentEvent
    outcome: AgentEvent | None = None
    """The end of a tool's call, the closing of a question."""
    progress: str = ""
    """The last that a running tool said."""
    used: dict[str, Any] | None = None
    """For the end of a turn: what the run had used by then."""
    used_before: dict[str, Any] | None = None
    """For the end of a turn: what it had used by the end of the turn before, where that is known."""

    @property
    def kind(self) -> str:
        return self.event.kind

    @property
    def foldable(self) -> bool:
        """Whether only its first line is shown until it is opened."""
        if self.kind == "request.opened":
            return self.event.data.get("kind") == "permission"
        return self.kind in ("tool.started", "tool.finished")


@dataclass(slots=True)
class Story:
    """The entries of a stretch of the record."""

    pages: list[Page] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    _by_offset: dict[int, Entry] = field(default_factory=dict)
    _calls: dict[str, Entry] = field(default_factory=dict)
    _requests: dict[str, Entry] = field(default_factory=dict)
    _used: dict[str, Any] | None = None
    _turn: Entry | None = None

    @property
    def start(self) -> int:
        return self.pages[0].start if self.pages else 0

    @property
    def end(self) -> int:
        return self.pages[-1].end if self.pages else 0

    def show(self, pages: list[Page]) -> None:
        """Make the entries of these pages, which follow each other."""
        self.pages = pages
        self.entries, self._by_offset, self._calls, self._requests = [], {}, {}, {}
        self._used = self._turn = None
        for page in pages:
            self._take(page)

    def extend(self, page: Page) -> list[Entry]:
        """Add what follows; returns the entries that were there before and have changed."""
        last = self.pages[-1] if self.pages else None
        if last is not None and page.end - last.start <= MERGE_BYTES:
            self.pages[-1] = type(page)(last.start, page.end, (*last.events, *page.events))
        else:
            self.pages.append(page)
        known = len(self.entries)
        changed = self._take(page)
        fresh = set(map(id, self.entries[known:]))
        return [entry for entry in changed if id(entry) not in fresh]

    def entry_at(self, offset: int) -> Entry | None:
        """The entry that tells of the event whose line begins at `offset`, or of the nearest before it."""
        if offset in self._by_offset:
            return self._by_offset[offset]
        place = bisect_right(self.entries, offset, key=lambda entry: entry.offset)
        return self.entries[max(0, place - 1)] if self.entries else None

    def _take(self, page: Page) -> list[Entry]:
        changed = []
        for offset, event in page.events:
            entry = self._joined(event)
            if entry is None and event.kind not in HIDDEN and _says_something(event):
                entry = self._added(Entry(offset, event))
            if entry is not None:
                self._by_offset[offset] = entry
                changed.append(entry)
        return changed

    def _joined(self, event: AgentEvent) -> Entry | None:
        """The entry that an event adds to, if it is not one of its own."""
        data = event.data
        if event.kind in ("tool.finished", "tool.progress"):
            entry = self._calls.get(str(data.get("tool_id")))
            if entry is not None and event.kind == "tool.progress":
                entry.progress = str(data.get("text") or "")
            elif entry is not None:
                entry.outcome = event
                del self._calls[str(data.get("tool_id"))]
            return entry
        if event.kind == "request.closed":
            entry = self._requests.pop(str(data.get("request_id")), None)
            if entry is not None:
                entry.outcome = event
            return entry
        if event.kind == "usage":
            self._used = data
            if self._turn is not None and self._turn is self.entries[-1] and self._turn.used is None:
                self._turn.used = data
                return self._turn
        return None

    def _added(self, entry: Entry) -> Entry:
        data = entry.event.data
        if entry.kind == "tool.started":
            self._calls[str(data.get("tool_id"))] = entry
        elif entry.kind == "request.opened":
            self._requests[str(data.get("request_id"))] = entry
        elif entry.kind == "turn.finished":
            before = self._turn.used if self._turn is not None else None
            entry.used_before = before
            entry.used = self._used if self._used is not before else None
            self._turn = entry
        self.entries.append(entry)
        return entry


def _says_something(event: AgentEvent) -> bool:
    if event.kind == "sent":
        return bool(event.data.get("text"))
    return event.kind not in ("usage", "tool.progress", "request.closed")
