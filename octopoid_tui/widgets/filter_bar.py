"""The line that `/` opens: what is typed filters at once, with the count of what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from octopoid_tui.widgets.line_input import LineInput

TASK_FILTER = "words, !not, queue:failed, p:p0, agent:impl-1, role:docs"


class FilterBar(Horizontal):
    """Hidden until opened. Enter keeps the filter and leaves the line, escape clears it."""

    DEFAULT_CSS = """
    FilterBar { height: 1; display: none; }
    FilterBar.-open { display: block; }
    FilterBar Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    FilterBar Input:focus { border: none; }
    FilterBar .sign { width: 2; color: $text-accent; background: $panel; }
    FilterBar .found { width: auto; padding: 0 1; color: $text-muted; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear", "Clear the filter", show=False)]

    input = getters.query_one(Input)
    found = getters.query_one(".found", Static)

    @dataclass
    class Changed(Message):
        bar: FilterBar
        text: str

    def __init__(self, left: Callable[[], None], placeholder: str = TASK_FILTER) -> None:
        """`left` is called at once when the line is left: the list wants the focus back."""
        super().__init__()
        self._left = left
        self._placeholder = placeholder

    def compose(self) -> ComposeResult:
        yield Static("/", classes="sign", markup=False)
        yield LineInput(
            lambda _text: self._leave(),
            placeholder=self._placeholder,
        )
        yield Static("", classes="found", markup=False)

    @property
    def text(self) -> str:
        return self.input.value

    def open(self) -> None:
        self.add_class("-open")
        self.screen.set_focus(self.input)

    def set_found(self, text: str) -> None:
        self.found.update(text)

    def action_clear(self) -> None:
        self.input.value = ""
        self._leave()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self, event.value))

    def _leave(self) -> None:
        self.set_class(bool(self.text), "-open")
        self._left()
