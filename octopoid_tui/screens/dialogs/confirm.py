"""Asks before what is hard to reverse, and names what will happen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from backend.clean import clean, clean_line
from octopoid_tui.screens.dialogs.base import Dialog, keys_line

LISTED = 8


class Confirm(Dialog[bool]):
    """Yes or no. Enter is no: only `y` does it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n,enter,escape", "answer(False)", "No", show=False),
    ]

    def __init__(self, title: str, text: str, things: tuple[str, ...] = (), *, yes: str = "do it") -> None:
        super().__init__()
        self._heading = title
        self._text = text
        self._things = things
        self._yes = yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -small") as box:
            box.border_title = Content(clean_line(self._heading, 200))
            with VerticalScroll(classes="dialog-body", can_focus=False):
                yield Static(Content(clean(self._text)), classes="dialog-text")
                if self._things:
                    yield Static(self._list(), classes="dialog-list")
            yield keys_line(("y", self._yes), ("n", "no, go back"))

    def _list(self) -> Content:
        lines = [Content(f"· {clean_line(thing, 200)}") for thing in self._things[:LISTED]]
        if len(self._things) > LISTED:
            lines.append(Content.styled(f"and {len(self._things) - LISTED} more", "$text-muted"))
        return Content("\n").join(lines)

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)
