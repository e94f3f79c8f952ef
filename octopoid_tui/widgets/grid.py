"""The table of the control screen: as quick at 100,000 rows as at ten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from octopoid_tui.widgets.cursor_view import CursorView
from octopoid_tui.widgets.grid_model import TONES, Column, Row
from octopoid_tui.widgets.grid_painter import GridPainter, Look, State

_ROWS = Binding.Group("Rows")


def _binding(key: str, action: str, tooltip: str) -> Binding:
    return Binding(key, action, tooltip, id=f"grid.{action}", tooltip=tooltip, group=_ROWS, show=False)


class Grid(CursorView):
    """A virtual table: rows come sorted and filtered, the grid draws those on the screen.

    The cursor stays on the same row id when rows are set again; unchanged rows are not drawn again.
    """

    DEFAULT_CSS = """
    Grid {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        background: $surface;
        color: $foreground;

        & > .grid--header { background: $panel; color: $text-muted; text-style: bold; }
        & > .grid--sorted { background: $panel; color: $text-accent; text-style: bold; }
        & > .grid--cursor {
            background: $block-cursor-background;
            color: $block-cursor-foreground;
            text-style: bold;
        }
        & > .grid--cursor-blurred { background: $foreground 10%; }
        & > .grid--marked { background: $accent 20%; text-style: bold; }
        & > .grid--dim { color: $text-muted; }
        & > .grid--accent { color: $text-accent; }
        & > .grid--info { color: $text-primary; }
        & > .grid--ok { color: $text-success; }
        & > .grid--warning { color: $text-warning; }
        & > .grid--error { color: $text-error; }
        &.-stale { color: $text-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--header",
        "grid--sorted",
        "grid--cursor",
        "grid--cursor-blurred",
        "grid--marked",
        *(f"grid--{tone}" for tone in TONES),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        _binding("enter", "select", "Open the row under the cursor"),
        _binding("space", "mark", "Mark the row and go on"),
        _binding("v", "mark_range", "Mark from the last mark to here"),
        _binding("ctrl+a", "mark_all", "Mark every row, or none"),
    ]
    BINDING_GROUP_TITLE = "Table"
    ALLOW_SELECT = False
    HEADER_HEIGHT = 1

    stale: reactive[bool] = reactive(False, toggle_class="-stale", repaint=False)
    """Whether the rows are known to be out of date; they are greyed."""

    @dataclass
    class GridMessage(Message):
        """What every message of a grid has: the grid, for `@on(…, "#id")`."""

        grid: "Grid"

        @property
        def control(self) -> "Grid":
            return self.grid

    @dataclass
    class Highlighted(GridMessage):
        """The cursor is on another row, None when there is none."""

        row_id: str | None

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Grid.Highlighted) and message.grid is self.grid

    @dataclass
    class Selected(GridMessage):
        """A row was opened by enter or a double click."""

        row_id: str

    @dataclass
    class MarksChanged(GridMessage):
        """Rows were marked or are no longer."""

        marked: tuple[str, ...]

    @dataclass
    class SortRequested(GridMessage):
        """A header was clicked. The owner sorts, sets the rows, and calls `set_sort`."""

        key: str
        reverse: bool

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        id: str | None = None,  # noqa: A002  Textual's own name for it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._rows: Sequence[Row] = ()
        self._marked: dict[str, None] = {}
        self._mark_anchor: str | None = None
        self._sort: tuple[str, bool] | None = None
        self._placeholder: tuple[State, str] = ("empty", "Nothing here")
        self._painter = GridPainter(self)
        self._highlighted: str | None = None

    # What is shown

    @property
    def row_count(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Sequence[Row]:
        """The rows as they were set."""
        return self._rows

    @property
    def cursor_id(self) -> str | None:
        """Id of the row under the cursor."""
        return self._rows[self.cursor_row].id if self._rows else None

    @property
    def marked(self) -> tuple[str, ...]:
        """Ids of the marked rows, in the order of marking."""
        return tuple(self._marked)

    @property
    def targets(self) -> tuple[str, ...]:
        """What an action is about: the marked rows, or the one under the cursor."""
        if self._marked:
            return self.marked
        return () if self.cursor_id is None else (self.cursor_id,)

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows, with the cursor on the same id as before, at the same height if it can be."""
        old, self._rows = self._rows, rows
        kept_id = self._highlighted
        on_screen = self.cursor_row - self.scroll_offset.y
        was_visible = bool(old) and 0 <= on_screen < self.page_height
        found = self._index_of(kept_id)
        row = min(self.cursor_row, max(0, len(rows) - 1)) if found is None else found
        if len(rows) != len(old):
            self.virtual_size = Size(0, len(rows) + self.HEADER_HEIGHT)
        top = self.scroll_offset.y
        if row != self.cursor_row:
            self.set_reactive(Grid.cursor_row, row)
            if was_visible and found is not None:
                self.scroll_rows_to(row - on_screen)
            self.show_row(row)
        self._drop_lost_marks()
        if bool(old) != bool(rows) or self.scroll_offset.y != top:
            self.refresh()
        else:
            self._refresh_changed(old)
        self.cursor_moved()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns. Rows with as many cells have to follow."""
        self._columns = tuple(columns)
        self._painter.forget()
        self.refresh()

    def set_sort(self, key: str | None, *, reverse: bool = False) -> None:
        """Show by which column the rows are sorted."""
        self._sort = None if key is None else (key, reverse)
        self.refresh(Region(0, 0, self.size.width, self.HEADER_HEIGHT))

    def set_placeholder(self, state: State, text: str) -> None:
        """What stands in the place of rows when there are none: say what to do about it."""
        if (state, text) != self._placeholder:
            self._placeholder = (state, text)
            if not self._rows:
                self.refresh()

    def move_to(self, row_id: str) -> bool:
        """Put the cursor on a row; False if it is not there."""
        row = self._index_of(row_id)
        if row is None:
            return False
        self.cursor_row = row
        return True

    def clear_marks(self) -> None:
        """Unmark every row."""
        self._set_marks({})

    def _index_of(self, row_id: str | None) -> int | None:
        if row_id is None or not self._rows:
            return None
        if self.cursor_row < len(self._rows) and self._rows[self.cursor_row].id == row_id:
            return self.cursor_row
        return next((index for index, row in enumerate(self._rows) if row.id == row_id), None)

    def _drop_lost_marks(self) -> None:
        if self._marked:
            # A row that a filter hides must not be changed by the next action on "the marked ones".
            present = {row.id for row in self._rows}
            if not present.issuperset(self._marked):
                self._set_marks({row_id: None for row_id in self._marked if row_id in present})

    def _refresh_changed(self, old: Sequence[Row]) -> None:
        top = self.scroll_offset.y
        for index in range(top, top + self.page_height):
            before = old[index] if index < len(old) else None
            after = self._rows[index] if index < len(self._rows) else None
            if before is after or (before and after and before.looks_like(after)):
                continue
            self.refresh_row(index)

    def cursor_moved(self) -> None:
        row_id = self.cursor_id
        if row_id != self._highlighted:
            self._highlighted = row_id
            self.post_message(self.Highlighted(self, row_id))

    # Keys and mouse

    def action_select(self) -> None:
        if self.cursor_id is not None:
            self.post_message(self.Selected(self, self.cursor_id))

    def action_mark(self) -> None:
        row_id = self.cursor_id
        if row_id is None:
            return
        marks = dict(self._marked)
        if row_id in marks:
            del marks[row_id]
        else:
            marks[row_id] = None
        self._mark_anchor = row_id
        self._set_marks(marks)
        self.action_cursor_down()

    def action_mark_range(self) -> None:
        anchor = self._index_of(self._mark_anchor)
        first, last = sorted((self.cursor_row if anchor is None else anchor, self.cursor_row))
        self._mark_anchor = self.cursor_id
        added = {row.id: None for row in self._rows[first : last + 1]}
        self._set_marks({**self._marked, **added})

    def action_mark_all(self) -> None:
        everything = {row.id: None for row in self._rows}
        self._set_marks({} if len(everything) == len(self._marked) else everything)

    def _set_marks(self, marks: dict[str, None]) -> None:
        if marks != self._marked:
            self._marked = marks
            self.refresh()
            self.post_message(self.MarksChanged(self, self.marked))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y < self.HEADER_HEIGHT:
            self._click_header(offset.x)
            return
        row = self.row_at(event)
        if row is None:
            return
        self.cursor_row = row
        if event.chain == 2:
            self.action_select()
        elif event.ctrl:
            self.action_mark()

    def _click_header(self, x: int) -> None:
        column = self._painter.column_at(x)
        if column is not None and column.sortable:
            self.post_message(self.SortRequested(self, column.key, self._sort == (column.key, False)))

    # Drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painter.forget()

    def watch_stale(self) -> None:
        self._painter.forget()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.line_width
        if y < self.HEADER_HEIGHT:
            return self._painter.header(self._columns, self._sort, width)
        if not self._rows:
            return self._painter.placeholder(*self._placeholder, y, self.size)
        index = y - self.HEADER_HEIGHT + self.scroll_offset.y
        if index >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[index]
        on_cursor = index == self.cursor_row
        look = Look(on_cursor, on_cursor and self.has_focus, row.id in self._marked, self.stale)
        return self._painter.row(row, look, self._columns, width)


if __name__ == "__main__":
    from textual.app import App, ComposeResult

    class GridDemo(App[None]):
        def compose(self) -> ComposeResult:
            yield Grid(
                [Column("id", "Id", 8), Column("title", "Title", 20, flex=1), Column("state", "State", 9)]
            )

        def on_mount(self) -> None:
            rows = [Row(str(n), (f"{n:06}", f"Task {n}", "● ready"), tone="ok") for n in range(100_000)]
            self.query_one(Grid).set_rows(rows)

    GridDemo().run()
