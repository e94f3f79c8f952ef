"""What all dialogs share: a titled box in the middle, keys at its foot, escape to leave."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A modal whose answer is data; escape answers with nothing."""

    CSS_PATH = "dialogs.tcss"
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", show=False)]

    def action_leave(self) -> None:
        self.dismiss(None)


def keys_line(*pairs: tuple[str, str]) -> Static:
    """The line that tells a dialog's keys."""
    parts: list[Content] = []
    for key, what in pairs:
        parts += [Content.styled(key, "$accent bold"), Content(f" {what}   ")]
    return Static(Content.assemble(*parts), classes="dialog-keys")
