"""What a run's agent did, to read: folded calls, turns with their use, search; the record may be huge.

Only some pages of the record are held, around what is on the screen. They are read in threads.
"""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.selection import Selection
from textual.strip import Strip

from octopoid_tui.formats import cells
from octopoid_tui.host import Work, begin
from octopoid_tui.widgets.cursor_view import CursorView
from octopoid_tui.widgets.transcript_model import Entry, Story
from octopoid_tui.widgets.transcript_rows import TONES, Row, rows_of

if TYPE_CHECKING:
    from octopoid_tui.ports import Page, PagesPort

PAGES_HELD: Final = 8
NEAR: Final = 2
"""Screens from the edge of what is held at which more is read."""

GROUP: Final = "transcript"
_KEYS: Final = Binding.Group("Transcript")


def _binding(keys: str, action: str, tooltip: str) -> Binding:
    return Binding(keys, action, tooltip, id=f"transcript.{action}", tooltip=tooltip, group=_KEYS, show=False)


class TranscriptView(CursorView):
    """The entries of one run. It follows the end unless one has moved away from it."""

    DEFAULT_CSS = """
    TranscriptView {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size: 0 1;
        background: $surface;
        color: $foreground;

        & > .transcript--dim { color: $text-muted; }
        & > .transcript--info { color: $text-primary; }
        & > .transcript--tool { color: $text-secondary; }
        & > .transcript--you { color: $text-accent; text-style: bold; }
        & > .transcript--ok { color: $text-success; }
        & > .transcript--warning { color: $text-warning; }
        & > .transcript--question { color: $text-warning; text-style: bold; }
        & > .transcript--error { color: $text-error; }
        & > .transcript--added { background: $success 15%; }
        & > .transcript--removed { background: $error 15%; }
        & > .transcript--hunk { color: $text-secondary; text-style: italic; }
        & > .transcript--match { background: $warning; color: $background; text-style: underline; }
        & > .transcript--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
        & > .transcript--cursor-blurred { background: $foreground 15%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"transcript--{tone}" for tone in TONES),
        *(f"transcript--{part}" for part in ("match", "cursor", "cursor-blurred")),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        _binding("enter", "fold", "Unfold or fold the call"),
        _binding("n", "next_match", "Next match"),
        _binding("N", "previous_match", "Previous match"),
    ]
    BINDING_GROUP_TITLE = "Transcript"
    ALLOW_SELECT = True

    follow: reactive[bool] = reactive(True, repaint=False)
    """Whether the view moves to what comes."""

    @dataclass
    class Searched(Message):
        """A search has ended."""

        transcript_view: TranscriptView
        text: str
        found: bool

        @property
        def control(self) -> TranscriptView:
            return self.transcript_view

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002  Textual's own name for it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.zone: tzinfo | None = None
        self.placeholder = "Nothing is recorded yet."
        self._pages: PagesPort | None = None
        self._story = Story()
        self._loaded = self._at_tail = False
        self._answers: Mapping[str, str] = MappingProxyType({})
        self._opened: set[int] = set()
        self._rows: list[Row] = []
        self._starts: list[int] = []
        self._cache: dict[int, list[Row]] = {}
        self._placing = self._busy = False
        self._lock = asyncio.Lock()
        self._pattern: re.Pattern[str] | None = None
        self._needle = ""
        self._hit: int | None = None
        self._searches = 0

    # What is shown

    def show(self, pages: PagesPort | None) -> None:
        """Show another record from its end; None shows the placeholder."""
        self._pages = pages
        self._story, self._loaded, self._at_tail = Story(), False, False
        self._opened.clear()
        self._hit = None
        self.follow = True
        self._relayout()
        self.poll()

    def set_answers(self, answers: Mapping[str, str]) -> None:
        """What was answered to the questions, by the request's id."""
        if answers != self._answers:
            self._answers = answers
            for entry in self._story.entries:
                if entry.kind == "request.opened":
                    self._cache.pop(entry.offset, None)
            self._relayout(keep_cache=True)

    @property
    def row_count(self) -> int:
        return len(self._rows)

    @property
    def texts(self) -> list[str]:
        """The rows that are held."""
        return [row.text for row in self._rows]

    @property
    def bytes_held(self) -> int:
        """Bytes of the record that are held as entries."""
        return self._story.end - self._story.start

    def entry_of(self, row: int) -> Entry | None:
        """The entry that a row belongs to."""
        number = bisect_right(self._starts, row) - 1
        return self._story.entries[number] if 0 <= number < len(self._story.entries) else None

    # Reading

    def poll(self) -> None:
        """Read what is new or comes near; returns at once."""
        if self._pages is not None and self.is_attached and self.size.width and not self._busy:
            self._busy = True
            self._start(self._read_on)

    def _start(self, work: Work) -> None:
        # In the screen's name: it is told of failures and shows them.
        begin(self.screen, work, "Read the transcript", GROUP, exclusive=False)

    @property
    def stopped(self) -> bool:
        """Whether nothing is read: nothing was to be shown, or it could not be read."""
        return self._pages is None

    async def _read_on(self) -> None:
        pages = self._pages
        try:
            async with self._lock:
                while (pages := self._pages) is not None and await self._read_one(pages):
                    pass
        except BaseException:
            if self._pages is pages:
                self._pages = None
            raise
        finally:
            self._busy = False

    async def _read_one(self, pages: PagesPort) -> bool:
        """Read one page where one is wanted; returns whether to look again."""
        story = self._story
        if not self._loaded:
            page = await asyncio.to_thread(pages.last)
            if pages is self._pages:
                self._loaded = self._at_tail = True
                self._show_pages([page])
            return True
        full = len(story.pages) >= PAGES_HELD
        if story.start > 0 and self._near_top() and not (full and (self.follow or self._near_bottom())):
            page = await asyncio.to_thread(pages.before, story.start)
            if pages is not self._pages:
                return True
            kept = [page, *story.pages]
            self._at_tail = self._at_tail and len(kept) <= PAGES_HELD
            self._show_pages(kept[:PAGES_HELD])
            return page.start < page.end
        if not (self.follow or self._near_bottom() or self._at_tail):
            return False
        page = await asyncio.to_thread(pages.after, story.end)
        if pages is not self._pages:
            return True
        if page.start == page.end:
            self._at_tail = True
            return False
        if self._at_tail and not (self.follow or self._near_bottom()) and full:
            self._at_tail = False  # what is read there will be read again when one gets there
            return False
        self._append(page)
        return self.follow or self._near_bottom()

    def _append(self, page: Page) -> None:
        for entry in self._story.extend(page):
            self._cache.pop(entry.offset, None)
        if len(self._story.pages) > PAGES_HELD:
            self._show_pages(self._story.pages[-PAGES_HELD:])
        else:
            self._relayout(keep_cache=True)

    def _show_pages(self, pages: list[Page]) -> None:
        with self._in_place():
            self._story.show(pages)
            # What a turn used is told from the turn before, which may be held now or no longer.
            kept = {e.offset for e in self._story.entries if e.kind != "turn.finished"}
            self._cache = {offset: rows for offset, rows in self._cache.items() if offset in kept}
            self._lay_out()

    def _near_top(self) -> bool:
        return self.scroll_offset.y < NEAR * self.page_height

    def _near_bottom(self) -> bool:
        return self.scroll_offset.y + (NEAR + 1) * self.page_height >= self.row_count

    # Rows

    def _relayout(self, *, keep_cache: bool = False) -> None:
        with self._in_place():
            if not keep_cache:
                self._cache.clear()
            self._lay_out()

    def _lay_out(self) -> None:
        width = self.size.width - 1  # the scrollbar may cover the last one
        self._rows, self._starts = [], []
        if width <= 0:
            return
        for entry in self._story.entries:
            rows = self._cache.get(entry.offset)
            if rows is None:
                opened = entry.offset in self._opened
                rows = rows_of(entry, width, opened=opened, zone=self.zone, answers=self._answers)
                self._cache[entry.offset] = rows
            self._starts.append(len(self._rows))
            self._rows += rows
        self.virtual_size = Size(width, len(self._rows))

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Keep the cursor on its entry and on its line of the screen; at the end, when it follows."""
        entry = self.entry_of(self.cursor_row)
        offset = entry.offset if entry is not None else 0
        inside = self.cursor_row - (self._row_of(offset) if entry is not None else 0)
        line = self.cursor_row - self.scroll_offset.y
        follow, self._placing = self.follow, True
        try:
            yield
            self.virtual_size = Size(max(0, self.size.width - 1), len(self._rows))
            if follow:
                self.cursor_row = self.row_count - 1
                self.scroll_rows_to(self.row_count)
            else:
                self.cursor_row = self._row_of(offset, inside)
                self.scroll_rows_to(self.cursor_row - line)
        finally:
            self._placing = False
        self.refresh()

    def _row_of(self, offset: int, inside: int = 0) -> int:
        """The row of the entry that tells of what stands at `offset`."""
        entry = self._story.entry_at(offset)
        if entry is None or not self._starts:
            return 0
        number = bisect_right(self._story.entries, entry.offset, key=lambda one: one.offset) - 1
        last = self._starts[number + 1] if number + 1 < len(self._starts) else len(self._rows)
        return max(0, min(self._starts[number] + inside, last - 1))

    # Moving

    def on_resize(self) -> None:
        self._relayout()
        self.poll()

    def cursor_moved(self) -> None:
        if not self._placing:
            self.follow = self.cursor_row >= self.row_count - 1 and self._at_tail
            self.poll()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._placing and self.size and self._loaded:
            self.follow = new_value >= self.max_scroll_y and self._at_tail
            self.poll()

    def action_first(self) -> None:
        self._start(partial(self._go_to, 0))

    def action_last(self) -> None:
        if self._at_tail:
            super().action_last()
            self.follow = True
        elif self._pages is not None:
            self._loaded, self.follow = False, True
            self.poll()

    async def _go_to(self, offset: int) -> None:
        """Put the cursor where the record tells of `offset`, reading what is there."""
        async with self._lock:
            pages, story = self._pages, self._story
            if pages is None:
                return
            if not story.start <= offset < max(story.end, 1):
                behind = await asyncio.to_thread(pages.after, offset)
                around = [behind] if offset == 0 else [await asyncio.to_thread(pages.before, offset), behind]
                if pages is not self._pages:
                    return
                self.follow = self._at_tail = False
                self._show_pages(around)
            self.follow = False
            entry = story.entry_at(offset)
            if entry is not None and self._pattern is not None and self._hit == offset:
                self._unfold_match(entry)
            self.cursor_row = self._match_row(offset)
        self.poll()

    def on_click(self, event: events.Click) -> None:
        row = self.row_at(event)
        if row is not None:
            self.cursor_row = row
            if event.chain == 2:
                self.action_fold()

    def action_fold(self) -> None:
        entry = self.entry_of(self.cursor_row)
        if entry is not None and entry.foldable:
            self._opened ^= {entry.offset}
            self._cache.pop(entry.offset, None)
            self.follow = False
            self._relayout(keep_cache=True)
            self.cursor_row = self._row_of(entry.offset)

    # Searching

    def search(self, text: str) -> None:
        """Look for a text, upwards first. An empty one ends the search."""
        self._needle = text
        self._pattern = re.compile(re.escape(text), re.IGNORECASE) if text else None
        self._hit = None
        self.refresh()
        if text:
            self._seek(backwards=True)

    def action_next_match(self) -> None:
        self._seek(backwards=False)

    def action_previous_match(self) -> None:
        self._seek(backwards=True)

    def _seek(self, *, backwards: bool) -> None:
        self._searches += 1
        if self._needle and self._pages is not None:
            self._start(partial(self._find, self._pages, self._needle, backwards, self._searches))

    async def _find(self, pages: PagesPort, needle: str, backwards: bool, number: int) -> None:
        """Go to the next match from the cursor on, and round at the end."""

        def stop() -> bool:
            return number != self._searches or not self.is_attached

        here = self._here(backwards)
        find = partial(pages.find, needle, backwards=backwards, stop=stop)
        found = await asyncio.to_thread(find, here)
        if found is None and not stop():
            end = (await asyncio.to_thread(pages.last)).end
            found = await asyncio.to_thread(find, end if backwards else 0)
        if stop():
            return
        self._hit = found
        if found is not None:
            await self._go_to(found)
        self.post_message(self.Searched(self, needle, found is not None))

    def _here(self, backwards: bool) -> int:
        """Where the search goes on: at the last match while the cursor is on it, else at the cursor."""
        entry = self.entry_of(self.cursor_row)
        if entry is None:
            return self._story.end
        if self._hit is not None and self._story.entry_at(self._hit) is entry:
            return self._hit if backwards else self._hit + 1
        # Upwards from the entry's own end: the first search finds what is under the cursor, too.
        return entry.offset + (1 if backwards and self._hit is None else 0)

    def _unfold_match(self, entry: Entry) -> None:
        assert self._pattern is not None
        head = self._rows[self._row_of(entry.offset)].text
        if entry.foldable and entry.offset not in self._opened and not self._pattern.search(head):
            self._opened.add(entry.offset)
            self._cache.pop(entry.offset, None)
            self._relayout(keep_cache=True)

    def _match_row(self, offset: int) -> int:
        entry, first = self._story.entry_at(offset), self._row_of(offset)
        if entry is None or self._pattern is None or self._hit != offset:
            return first
        rows = self._cache.get(entry.offset, [])
        return first + next((n for n, row in enumerate(rows) if self._pattern.search(row.text)), 0)

    # Drawing

    def render_line(self, y: int) -> Strip:
        index, width, base = self.scroll_offset.y + y, self.size.width, self.rich_style
        if not self._rows and (self._loaded or self._pages is None) and y == 0:
            dim = base + self.get_component_rich_style("transcript--dim", partial=True)
            return Strip([Segment(self.placeholder, dim)]).adjust_cell_length(width, base)
        if index >= len(self._rows):
            return Strip.blank(width, base)
        text, tone = self._rows[index]
        style = base + self._part(tone) if tone else base
        if index == self.cursor_row:
            style += self._part("cursor" if self.has_focus else "cursor-blurred")
        strip = Strip(self._segments(index, text, style), cells(text))
        return strip.adjust_cell_length(width, style).apply_offsets(0, index)

    def _part(self, name: str) -> Style:
        return self.get_component_rich_style(f"transcript--{name}", partial=True)

    def _segments(self, index: int, text: str, style: Style) -> list[Segment]:
        spans: list[tuple[int, int, Style]] = []
        if self._pattern is not None:
            spans = [(*match.span(), self._part("match")) for match in self._pattern.finditer(text)]
        selection = self.text_selection
        if selection is not None and (selected := selection.get_span(index)) is not None:
            start, end = selected
            chosen = self.screen.get_component_rich_style("screen--selection")
            spans = [(start, len(text) if end == -1 else end, chosen)]
        segments, at = list[Segment](), 0
        for start, end, used in spans:
            segments += [Segment(text[at:start], style), Segment(text[start:end], style + used)]
            at = end
        return [*segments, Segment(text[at:], style)]

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract("\n".join(self.texts)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
