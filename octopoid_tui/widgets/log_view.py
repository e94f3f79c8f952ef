"""A log that takes any number of lines a second and draws those on the screen."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from backend.clean import clean
from octopoid_tui.formats import cells
from octopoid_tui.widgets.log_buffer import LOG_TONES, LogBuffer, LogTone

FLUSH_SECONDS: Final = 0.1
"""Time from the first line of a batch to its painting. Painting is the cost: 10 Hz takes 7 % of a core
at 1000 lines a second, 30 Hz 17 %."""

_SIDE_STEP: Final = 8
_LOG_GROUP: Final = Binding.Group("Log")


def _binding(keys: str, action: str, tooltip: str) -> Binding:
    return Binding(keys, action, tooltip, id=f"log.{action}", tooltip=tooltip, group=_LOG_GROUP, show=False)


class LogView(ScrollView, can_focus=True):
    """A ring of plain lines. It follows the end unless one has scrolled away from it."""

    DEFAULT_CSS = """
    LogView {
        overflow: auto;
        scrollbar-size: 0 1;
        background: $surface;
        color: $foreground;

        & > .log-view--dim { color: $text-muted; }
        & > .log-view--info { color: $text-primary; }
        & > .log-view--tool { color: $text-secondary; }
        & > .log-view--you { color: $text-accent; text-style: bold; }
        & > .log-view--ok { color: $text-success; }
        & > .log-view--warning { color: $text-warning; }
        & > .log-view--error { color: $text-error; }
        & > .log-view--match { background: $warning 40%; text-style: underline; }
        & > .log-view--current-match { background: $warning; color: $background; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log-view--match",
        "log-view--current-match",
        *(f"log-view--{tone}" for tone in LOG_TONES),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        _binding("up,k", "line_up", "One line up"),
        _binding("down,j", "line_down", "One line down"),
        _binding("pageup,ctrl+u", "page_up", "One page up"),
        _binding("pagedown,ctrl+d", "page_down", "One page down"),
        _binding("left,h", "left", "To the left"),
        _binding("right,l", "right", "To the right"),
        _binding("home,g", "first", "First line"),
        _binding("end,G", "follow", "Last line, and follow"),
        _binding("n", "next_match", "Next match"),
        _binding("N", "previous_match", "Previous match"),
    ]
    BINDING_GROUP_TITLE = "Log"
    ALLOW_SELECT = True

    follow: reactive[bool] = reactive(True, repaint=False)
    """Whether the view moves to lines as they come."""

    @dataclass
    class FollowChanged(Message):
        """The view follows, or no longer does."""

        log_view: "LogView"
        follow: bool

        @property
        def control(self) -> "LogView":
            return self.log_view

    @dataclass
    class Searched(Message):
        """The result of a search or of a step to another match."""

        log_view: "LogView"
        text: str
        position: int
        """Number of the current match, from 1; 0 when there is none."""
        total: int
        """Lines that match."""

        @property
        def control(self) -> "LogView":
            return self.log_view

    def __init__(
        self,
        *,
        max_lines: int = 50_000,
        id: str | None = None,  # noqa: A002  Textual's own name for it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._buffer = LogBuffer(max_lines)
        self._flushing = False
        self._flush_pending = False
        self._widest = 0
        self._needle = ""
        self._pattern: re.Pattern[str] | None = None
        self._current_match: int | None = None

    # Lines in

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines that are held, oldest first, without those of the last tenth of a second."""
        return tuple(self._buffer.texts)

    @property
    def dropped(self) -> int:
        """How many lines have left at the top of the ring."""
        return self._buffer.first

    def write(self, text: str, tone: LogTone = "") -> None:
        """Append text, split at newlines, in one tone. It is cleaned and never read as markup."""
        self.extend(clean(text).removesuffix("\n").split("\n"), tone)

    def extend(self, lines: Iterable[str], tone: LogTone = "") -> None:
        """Append lines in one tone; they are painted together with what else comes in a tenth of a second."""
        self._buffer.append(lines, tone)
        if not self._flush_pending and self.is_attached:
            self._flush_pending = True
            self.set_timer(FLUSH_SECONDS, self.flush)

    def on_mount(self) -> None:
        self.flush()

    def clear(self) -> None:
        """Forget every line."""
        self._buffer.clear()
        self._current_match = None
        self._widest = 0
        self.virtual_size = Size(0, 0)
        self.refresh()

    def flush(self) -> None:
        """Take in and paint what has been appended."""
        self._flush_pending = False
        batch = self._buffer.commit(self._widest)
        if not batch.added:
            return
        self._widest = batch.widest
        top = self.scroll_offset.y
        self._flushing = True
        try:
            self.virtual_size = Size(self._widest, len(self._buffer.texts))
            if self.follow:
                self._go_to(self.max_scroll_y)
            elif batch.removed:
                self._go_to(top - batch.removed)
        finally:
            self._flushing = False
        self.refresh()

    # Moving

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._flushing and self.size:
            self.follow = new_value >= self.max_scroll_y

    def watch_follow(self, follow: bool) -> None:
        self.post_message(self.FollowChanged(self, follow))

    def on_resize(self) -> None:
        if self.follow:
            self._go_to(self.max_scroll_y)

    def _go_to(self, line: int) -> None:
        # Forced, since the scroll bar that otherwise allows it comes only with the next layout.
        self.scroll_to(y=max(0, line), animate=False, force=True)

    def action_follow(self) -> None:
        self.follow = True
        self._go_to(self.max_scroll_y)

    def action_first(self) -> None:
        self._go_to(0)

    def action_line_up(self) -> None:
        self._go_to(self.scroll_offset.y - 1)

    def action_line_down(self) -> None:
        self._go_to(self.scroll_offset.y + 1)

    def action_page_up(self) -> None:
        self._go_to(self.scroll_offset.y - self.size.height)

    def action_page_down(self) -> None:
        self._go_to(self.scroll_offset.y + self.size.height)

    def action_left(self) -> None:
        self.scroll_to(x=self.scroll_offset.x - _SIDE_STEP, animate=False)

    def action_right(self) -> None:
        self.scroll_to(x=self.scroll_offset.x + _SIDE_STEP, animate=False)

    # Search

    def search(self, text: str) -> bool:
        """Go to the last line above the bottom of the screen that holds `text`; False if none does.

        Case counts only if the text has an upper case letter. An empty text ends the search.
        """
        self._needle = text
        flags = re.NOFLAG if text != text.lower() else re.IGNORECASE
        self._pattern = re.compile(re.escape(text), flags) if text else None
        self._current_match = self._buffer.first + self.scroll_offset.y + self.size.height
        found = self._step(-1) or self._step(1)
        if not found:
            self._current_match = None
            self.refresh()
            self.post_message(self.Searched(self, text, 0, 0))
        return found

    def action_next_match(self) -> None:
        self._step(1, wrap=True)

    def action_previous_match(self) -> None:
        self._step(-1, wrap=True)

    def _step(self, direction: int, *, wrap: bool = False) -> bool:
        if self._pattern is None:
            return False
        first = self._buffer.first
        hits = self._buffer.find(self._pattern)
        current = self._current_match if self._current_match is not None else first
        if direction > 0:
            chosen = next((hit for hit in hits if hit > current), hits[0] if hits and wrap else None)
        else:
            chosen = next(
                (hit for hit in reversed(hits) if hit < current), hits[-1] if hits and wrap else None
            )
        if chosen is None:
            return False
        self._current_match = chosen
        self._show_line(chosen - first)
        self.refresh()
        self.post_message(self.Searched(self, self._needle, hits.index(chosen) + 1, len(hits)))
        return True

    def _show_line(self, index: int) -> None:
        height = self.scrollable_content_region.height
        if not self.scroll_offset.y <= index < self.scroll_offset.y + height:
            self._go_to(index - height // 2)

    # Drawing

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width = self.size.width
        index = top + y
        base = self.rich_style
        if index >= len(self._buffer.texts):
            return Strip.blank(width, base)
        text = self._buffer.texts[index]
        tone = self._buffer.tones[index]
        style = base + self.get_component_rich_style(f"log-view--{tone}", partial=True) if tone else base
        strip = Strip(self._segments(index, text, style), cells(text))
        return strip.crop_extend(left, left + width, base).apply_offsets(left, index)

    def _segments(self, index: int, text: str, style: Style) -> list[Segment]:
        spans: list[tuple[int, int, Style]] = []
        if self._pattern is not None:
            current = index + self._buffer.first == self._current_match
            found = self.get_component_rich_style("log-view--current-match" if current else "log-view--match")
            spans += [(match.start(), match.end(), found) for match in self._pattern.finditer(text)]
        selection = self.text_selection
        if selection is not None and (selected := selection.get_span(index)) is not None:
            start, end = selected
            chosen = self.screen.get_component_rich_style("screen--selection")
            spans = [(start, len(text) if end == -1 else end, chosen)]
        segments: list[Segment] = []
        at = 0
        for start, end, used in spans:
            segments += [Segment(text[at:start], style), Segment(text[start:end], style + used)]
            at = end
        segments.append(Segment(text[at:], style))
        return segments

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract("\n".join(self._buffer.texts)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()


if __name__ == "__main__":
    from textual.app import App, ComposeResult

    class LogDemo(App[None]):
        def compose(self) -> ComposeResult:
            yield LogView()

        def on_mount(self) -> None:
            self.set_interval(
                0.1, lambda: self.query_one(LogView).extend(["one line of output"] * 100, "tool")
            )

    LogDemo().run()
