"""Asks for one of a few things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content

from backend.clean import clean_line
from octopoid_tui.screens.dialogs.base import Dialog, keys_line
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row


class Choose(Dialog[str | None]):
    """The chosen one's name, or None. The cursor begins on what is the case now."""

    BINDINGS: ClassVar[list[BindingType]] = []

    grid = getters.query_one(Grid)

    def __init__(self, title: str, things: Sequence[tuple[str, str]], now: str) -> None:
        """`things` are names, each with what it means."""
        super().__init__()
        self._heading = title
        self._things = tuple(things)
        self._now = now

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -small") as box:
            box.border_title = Content(clean_line(self._heading, 200))
            width = max(len(name) for name, _ in self._things)
            columns = (
                Column("name", "", width, sortable=False),
                Column("meaning", "", 20, flex=1, sortable=False),
            )
            grid = Grid(columns, classes="dialog-choice")
            grid.styles.height = len(self._things) + Grid.HEADER_HEIGHT
            yield grid
            yield keys_line(("↑ ↓ enter", "choose"), ("esc", "back"))

    def on_mount(self) -> None:
        self.grid.set_rows([Row(name, (name, meaning)) for name, meaning in self._things])
        self.grid.move_to(self._now)
        self.grid.focus()

    @on(Grid.Selected)
    def _chosen(self, event: Grid.Selected) -> None:
        event.stop()
        self.dismiss(event.row_id)
