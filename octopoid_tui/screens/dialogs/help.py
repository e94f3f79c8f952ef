"""Every key of a screen, from the table of actions."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
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
TITLE_WIDTH = 30
TIP_WIDTH = 24  # with less room than this beside the title, the tip goes below it


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
                yield Static("", id="help-text", markup=False)
            yield keys_line(("↑ ↓", "scroll"), ("esc", "back"))

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self.call_after_refresh(self._tell)

    def on_resize(self) -> None:
        self.call_after_refresh(self._tell)

    def _tell(self) -> None:
        width = self.query_one(VerticalScroll).scrollable_content_region.width
        self.query_one("#help-text", Static).update(help_text(self._where, self._user_keymap, width))


def help_text(where: Where, keymap: Mapping[str, str], width: int) -> Content:
    """The actions of a screen by group, and how lists are moved in, for so many columns."""
    parts: list[Content] = []
    actions = list(actions_of(where))
    for group in dict.fromkeys(action.group for action in actions):
        parts.append(Content.styled(f"{group}\n", "bold $text-primary"))
        for action in actions:
            if action.group == group:
                parts += _line(labels_of(action, keymap), action.title, action.tip, width)
        parts.append(Content("\n"))
    parts.append(Content.styled("Lists\n", "bold $text-primary"))
    for keys, what in (*GRID_KEYS, ("v", "mark from the last mark to here"), ("ctrl+a", "mark all, or none")):
        parts += _line(keys, what, "", width)
    return Content.assemble(*parts)


def _line(keys: str, title: str, tip: str, width: int) -> list[Content]:
    """One key; what it does stands beside it, or below it where that has no room."""
    shown = f"  {keys:<{KEY_WIDTH}} "
    indent = len(shown) + TITLE_WIDTH + 1
    below = width - indent < TIP_WIDTH
    if below:
        indent = len(shown) + 2
    margin = "\n" + " " * indent
    lines = wrap(tip, max(10, width - indent))
    told = (margin if below and lines else " ") + margin.join(lines)
    return [
        Content.styled(shown, "$text-accent bold"),
        Content(title if below else f"{title:<{TITLE_WIDTH}}"),
        Content.styled(f"{told}\n", "$text-muted"),
    ]
