"""Columns and rows of a table, and which columns fit. Pure, but for the type of styled cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from textual.content import Content

Tone = Literal["", "dim", "accent", "info", "ok", "warning", "error"]
"""What a text means, as a colour of the theme. It never carries a meaning alone."""

TONES: Final[tuple[Tone, ...]] = ("dim", "accent", "info", "ok", "warning", "error")

COLUMN_GAP: Final = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. Widths are in terminal cells."""

    key: str
    title: str
    width: int
    """Width, or least width when `flex` is set."""
    flex: int = 0
    """Share of the spare width."""
    priority: int = 0
    """0 always stays; of the others the highest number is dropped first where space is short."""
    right: bool = False
    """Aligned to the right."""
    sortable: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One row. Cells that are `str` are plain text, whatever they contain."""

    id: str
    cells: tuple[str | Content, ...]
    tone: Tone = ""
    cell_tones: tuple[Tone, ...] = ()
    """Tones of single cells, by position; an empty or missing one is the row's."""

    def looks_like(self, other: "Row") -> bool:
        """Whether both are drawn the same. (Contents compare equal by their text alone.)"""
        if self is other:
            return True
        if (self.id, self.tone, self.cell_tones) != (other.id, other.tone, other.cell_tones):
            return False
        return len(self.cells) == len(other.cells) and all(map(_same_cell, self.cells, other.cells))


def _same_cell(one: str | Content, other: str | Content) -> bool:
    if isinstance(one, Content) and isinstance(other, Content):
        return one.is_same(other)
    return type(one) is type(other) and one == other


@dataclass(frozen=True, slots=True)
class Placed:
    """A column that has a place on the screen."""

    index: int
    column: Column
    x: int
    width: int


def plan_columns(columns: Sequence[Column], width: int, left: int = 0) -> tuple[Placed, ...]:
    """The columns that fit between cell `left` and cell `width`, with their places."""
    kept = list(enumerate(columns))
    room = max(0, width - left)

    def need() -> int:
        return sum(column.width for _, column in kept) + COLUMN_GAP * (len(kept) - 1)

    while need() > room:
        index, droppable = max(kept, key=lambda item: (item[1].priority, item[0]), default=(0, None))
        if droppable is None or droppable.priority <= 0:
            break
        kept.remove((index, droppable))

    spare = max(0, room - need())
    shares = sum(column.flex for _, column in kept)
    placed: list[Placed] = []
    x = left
    for index, column in kept:
        extra = spare * column.flex // shares if shares else 0
        spare, shares = spare - extra, shares - column.flex
        if x >= width:
            break
        cells = min(column.width + extra, width - x)
        placed.append(Placed(index, column, x, cells))
        x += cells + COLUMN_GAP
    return tuple(placed)
