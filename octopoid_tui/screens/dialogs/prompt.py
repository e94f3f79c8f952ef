"""Asks for a text of one or more lines."""

from __future__ import annotations

from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static, TextArea

from backend.clean import clean, clean_line
from octopoid_tui.screens.dialogs.base import Dialog, keys_line


class Prompt(Dialog[str | None]):
    """A multi-line text, or None. Its opener reads `text` after leaving, so that nothing typed is lost."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter,ctrl+j", "send", "Send", show=False, priority=True)
    ]

    area = getters.query_one("#prompt-text", TextArea)
    complaint = getters.query_one("#prompt-complaint", Static)

    def __init__(self, title: str, text: str, *, initial: str = "", send: str = "send") -> None:
        super().__init__()
        self._heading = title
        self._text = text
        self._initial = initial
        self._send = send
        self.text = initial
        """What was typed; its opener reads it after the dialog was left."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -medium") as box:
            box.border_title = Content(clean_line(self._heading, 200))
            yield Static(Content(clean(self._text)), classes="dialog-text")
            yield TextArea(self._initial, id="prompt-text", compact=True)
            yield Static("", id="prompt-complaint", classes="dialog-complaint")
            yield keys_line(("ctrl+s", self._send), ("esc", "back, the text is kept"))

    def on_mount(self) -> None:
        self.area.focus()
        self.area.move_cursor(self.area.document.end)

    @on(TextArea.Changed)
    def _changed(self) -> None:
        self.complaint.update("")

    def action_leave(self) -> None:
        self.text = self.area.text
        super().action_leave()

    def action_send(self) -> None:
        self.text = self.area.text
        text = self.text.strip()
        if text:
            self.dismiss(text)
        else:
            self.complaint.update(Content("write something first: it is what the agent will read"))
