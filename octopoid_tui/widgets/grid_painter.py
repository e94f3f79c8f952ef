"""Rows of a table as strips of styled cells, drawn once and kept."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip
from textual.style import Style as VisualStyle

from backend.clean import clean
from octopoid_tui.formats import cells, fit
from octopoid_tui.widgets.grid_model import COLUMN_GAP, Column, Placed, Row, Tone, plan_columns

if TYPE_CHECKING:
    from octopoid_tui.widgets.grid import Grid

GUTTER: Final = 2
"""Cells at the left for the signs of cursor and mark, which have to be seen without colour too."""

CURSOR_SIGN: Final = "›"
MARK_SIGN: Final = "✓"
_CACHED_STRIPS: Final = 1000
_CELL_LIMIT: Final = 512

State = Literal["empty", "loading", "error"]
_STATES: Final[dict[State, tuple[str, Tone]]] = {
    "empty": ("", "dim"),
    "loading": ("… ", "dim"),
    "error": ("✗ ", "error"),
}


class Look(NamedTuple):
    """What decides, beside its data, how a row is drawn."""

    cursor: bool
    focused: bool
    marked: bool
    stale: bool

    @property
    def sign(self) -> str:
        return (CURSOR_SIGN if self.cursor else " ") + (MARK_SIGN if self.marked else " ")

    @property
    def component(self) -> str | None:
        """Component class of the whole row."""
        if self.cursor:
            return "grid--cursor" if self.focused else "grid--cursor-blurred"
        return "grid--marked" if self.marked else None


class GridPainter:
    """Draws for one grid, in its styles."""

    def __init__(self, grid: "Grid") -> None:
        self._grid = grid
        self._plan: tuple[Placed, ...] = ()
        self._planned_width = -1
        self._strips: dict[str, tuple[Row, Look, Strip]] = {}

    def forget(self) -> None:
        """Draw everything again: columns or styles are others."""
        self._strips.clear()
        self._planned_width = -1

    def column_at(self, x: int) -> Column | None:
        """The column drawn at cell `x`."""
        for placed in self._plan:
            if placed.x <= x < placed.x + placed.width + COLUMN_GAP:
                return placed.column
        return None

    def header(self, columns: Sequence[Column], sort: tuple[str, bool] | None, width: int) -> Strip:
        """The titles, with an arrow at the sorted column."""
        self._fit_columns(columns, width)
        style = self._grid.get_component_rich_style("grid--header")
        sorted_style = self._grid.get_component_rich_style("grid--sorted")
        segments = [Segment(" " * GUTTER, style)]
        for placed in self._plan:
            column = placed.column
            title, used = column.title, style
            if sort is not None and sort[0] == column.key:
                title, used = f"{title}{'↓' if sort[1] else '↑'}", sorted_style
            segments.append(Segment(fit(title, placed.width, right=column.right), used))
            segments.append(Segment(" " * COLUMN_GAP, style))
        return Strip(segments).adjust_cell_length(width, style)

    def placeholder(self, state: State, text: str, y: int, size: Size) -> Strip:
        """Line `y` of the centred text that stands in the place of rows."""
        sign, tone = _STATES[state]
        lines = (sign + clean(text)).expandtabs().split("\n")
        base = self._grid.rich_style
        line = y - max(2, (size.height - len(lines)) // 2)
        if not 0 <= line < len(lines):
            return Strip.blank(size.width, base)
        shown = fit(lines[line], max(0, size.width - 2 * GUTTER)).rstrip()
        centred = " " * ((size.width - cells(shown)) // 2) + shown
        return Strip([Segment(fit(centred, size.width), base + self._tone(tone))], size.width)

    def row(self, row: Row, look: Look, columns: Sequence[Column], width: int) -> Strip:
        """One row, from the cache if it looked the same before."""
        self._fit_columns(columns, width)
        cached = self._strips.get(row.id)
        if cached is not None and cached[1] == look and cached[0].looks_like(row):
            return cached[2]
        if len(self._strips) >= _CACHED_STRIPS:
            self._strips.clear()
        component = look.component
        base = self._grid.get_component_rich_style(component) if component else self._grid.rich_style
        strip = Strip(self._segments(row, look, base)).adjust_cell_length(width, base)
        self._strips[row.id] = (row, look, strip)
        return strip

    def _fit_columns(self, columns: Sequence[Column], width: int) -> None:
        if width != self._planned_width:
            self._strips.clear()
            self._plan = plan_columns(columns, width, GUTTER)
            self._planned_width = width

    def _segments(self, row: Row, look: Look, base: Style) -> list[Segment]:
        # Under the focused cursor tones give way to contrast, in stale rows to grey.
        toneless = look.focused or look.stale
        segments = [Segment(look.sign, base)]
        for placed in self._plan:
            cell = row.cells[placed.index] if placed.index < len(row.cells) else ""
            tone = row.cell_tones[placed.index] if placed.index < len(row.cell_tones) else ""
            style = base if toneless else base + self._tone(tone or row.tone)
            segments += _cell_segments(cell, placed, style, toneless)
            segments.append(Segment(" " * COLUMN_GAP, base))
        return segments

    def _tone(self, tone: Tone) -> Style:
        return self._grid.get_component_rich_style(f"grid--{tone}", partial=True) if tone else Style.null()


def _cell_segments(cell: str | Content, placed: Placed, style: Style, toneless: bool) -> list[Segment]:
    if isinstance(cell, Content):
        if not toneless and clean(cell.plain, newlines=False) == cell.plain:
            return _content_segments(cell, placed, style)
        cell = cell.plain
    text = clean(cell[:_CELL_LIMIT], newlines=False)
    return [Segment(fit(text, placed.width, right=placed.column.right), style)]


def _content_segments(cell: Content, placed: Placed, style: Style) -> list[Segment]:
    if cell.cell_length > placed.width:
        cell = cell.truncate(placed.width, ellipsis=True)
    padding = [Segment(" " * (placed.width - cell.cell_length), style)]
    # No cell is a link: what a click does is decided by the row, never by what stands in it.
    segments = [
        Segment(text, used and used.clear_meta_and_links(), control)
        for text, used, control in cell.render_segments(VisualStyle.from_rich_style(style))
    ]
    return [*padding, *segments] if placed.column.right else [*segments, *padding]
