"""Every key of a screen, from the table of actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from octopoid_tui.actions import Where, actions_of
from octopoid_tui.keys import GRID_KEYS, labels_of
from octopoid_tui.screens.dialogs.base import Dialog, keys_line

KEY_WIDTH = 12


class Help(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,q", "leave", "Back", show=False)]

    def __init__(self, where: Where, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self._where = where
        self._user_keymap = keymap

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -large") as box:
            box.border_title = Content(f"Keys of the {self._where} screen")
            with VerticalScroll(classes="dialog-body") as body:
                body.can_focus = True
                yield Static(help_text(self._where, self._user_keymap), id="help-text", markup=False)
            yield keys_line(("↑ ↓", "scroll"), ("esc", "back"))

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()


def help_text(where: Where, keymap: Mapping[str, str]) -> Content:
    """The actions of a screen by group, and how lists are moved in."""
    parts: list[Content] = []
    actions = list(actions_of(where))
    for group in dict.fromkeys(action.group for action in actions):
        parts.append(Content.styled(f"{group}\n", "bold $text-primary"))
        for action in actions:
            if action.group == group:
                parts += _line(labels_of(action, keymap), action.title, action.tip)
        parts.append(Content("\n"))
    parts.append(Content.styled("Lists\n", "bold $text-primary"))
    for keys, what in (*GRID_KEYS, ("v", "mark from the last mark to here"), ("ctrl+a", "mark all, or none")):
        parts += _line(keys, what, "")
    return Content.assemble(*parts)


def _line(keys: str, title: str, tip: str) -> list[Content]:
    shown = f"  {keys:<{KEY_WIDTH}} "
    return [
        Content.styled(shown, "$text-accent bold"),
        Content(f"{title:<30}"),
        Content.styled(f" {tip}\n" if tip else "\n", "$text-muted"),
    ]
