"""Rows drawn by the line API under a cursor: what the table and the diff have in common."""

from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.reactive import reactive
from textual.scroll_view import ScrollView

MOVE_GROUP: Final = Binding.Group("Move")
_SCROLL_MARGIN: Final = 2
"""Rows kept visible beyond the cursor, so that one sees what comes next."""


def move_binding(keys: str, action: str, tooltip: str) -> Binding:
    """A key that moves the cursor; remapped under the id `list.<action>`."""
    return Binding(keys, action, tooltip, id=f"list.{action}", tooltip=tooltip, group=MOVE_GROUP, show=False)


class CursorView(ScrollView, can_focus=True):
    """A scrolling list of one-line rows with a cursor. Subclasses draw the rows and count them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        move_binding("up,k", "cursor_up", "One row up"),
        move_binding("down,j", "cursor_down", "One row down"),
        move_binding("pageup", "page_up", "One page up"),
        move_binding("pagedown", "page_down", "One page down"),
        move_binding("ctrl+u", "half_up", "Half a page up"),
        move_binding("ctrl+d", "half_down", "Half a page down"),
        move_binding("home,g", "first", "First row"),
        move_binding("end,G", "last", "Last row"),
    ]

    HEADER_HEIGHT: ClassVar[int] = 0
    """Lines at the top that do not scroll."""

    cursor_row: reactive[int] = reactive(0, repaint=False)
    """Index of the row under the cursor; 0 when there are none."""

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    @property
    def line_width(self) -> int:
        """The columns of a line that can be seen: the scrollbar covers the last one."""
        covered = self.scrollbar_size_vertical if self.show_vertical_scrollbar else 0
        return max(0, self.size.width - covered)

    @property
    def page_height(self) -> int:
        """Rows that fit on the screen."""
        return max(1, self.scrollable_content_region.height - self.HEADER_HEIGHT)

    @property
    def visible_rows(self) -> range:
        """Indices of the rows on the screen."""
        first = min(self.scroll_offset.y, self.row_count)
        return range(first, min(first + self.page_height, self.row_count))

    def validate_cursor_row(self, row: int) -> int:
        return max(0, min(row, self.row_count - 1))

    def watch_cursor_row(self, old: int, new: int) -> None:
        self.refresh_row(old)
        self.refresh_row(new)
        self.show_row(new)
        self.cursor_moved()

    def cursor_moved(self) -> None:
        """Called after the cursor went to another row."""

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.refresh_row(self.cursor_row)

    def refresh_row(self, row: int) -> None:
        """Repaint one row, if it is on the screen."""
        line = row - self.scroll_offset.y + self.HEADER_HEIGHT
        if self.HEADER_HEIGHT <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))

    def show_row(self, row: int) -> None:
        """Scroll as little as brings a row and its margin onto the screen."""
        if not self.size:
            return
        height = self.page_height
        margin = min(_SCROLL_MARGIN, (height - 1) // 2)
        top = self.scroll_offset.y
        if row - margin < top:
            self.scroll_rows_to(row - margin)
        elif row + margin >= top + height:
            self.scroll_rows_to(row + margin + 1 - height)

    def scroll_rows_to(self, top: int) -> None:
        """Make `top` the first row on the screen, as far as there are rows for it."""
        self.scroll_to(y=max(0, min(top, self.max_scroll_y)), animate=False, force=True)

    def row_at(self, event: events.MouseEvent) -> int | None:
        """The row under the pointer, None outside of the rows."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y < self.HEADER_HEIGHT:
            return None
        row = offset.y - self.HEADER_HEIGHT + self.scroll_offset.y
        return row if row < self.row_count else None

    def on_resize(self) -> None:
        self.show_row(self.cursor_row)

    def action_cursor_up(self) -> None:
        self.cursor_row -= 1

    def action_cursor_down(self) -> None:
        self.cursor_row += 1

    def action_page_up(self) -> None:
        self._move_page(-self.page_height)

    def action_page_down(self) -> None:
        self._move_page(self.page_height)

    def action_half_up(self) -> None:
        self._move_page(-(self.page_height // 2))

    def action_half_down(self) -> None:
        self._move_page(self.page_height // 2)

    def action_first(self) -> None:
        self.cursor_row = 0

    def action_last(self) -> None:
        self.cursor_row = self.row_count - 1

    def _move_page(self, rows: int) -> None:
        self.scroll_rows_to(self.scroll_offset.y + rows)
        self.cursor_row += rows
