"""The line that `/` opens: what is typed filters at once, with the count of what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


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

    @dataclass
    class Left(Message):
        """The line was left; the list wants the focus back."""

        bar: FilterBar

    def compose(self) -> ComposeResult:
        yield Static("/", classes="sign", markup=False)
        field = Input(placeholder="words, !not, queue:failed, p:p0, agent:impl-1, role:docs", compact=True)
        field.cursor_blink = False
        yield field
        yield Static("", classes="found", markup=False)

    @property
    def text(self) -> str:
        return self.input.value

    def open(self) -> None:
        self.add_class("-open")
        self.input.focus()

    def set_found(self, text: str) -> None:
        self.found.update(text)

    def action_clear(self) -> None:
        self.input.value = ""
        self._leave()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._leave()

    def _leave(self) -> None:
        self.set_class(bool(self.text), "-open")
        self.post_message(self.Left(self))
