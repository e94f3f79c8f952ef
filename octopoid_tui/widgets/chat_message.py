"""One finished message of a conversation."""

from dataclasses import dataclass
from typing import Final, Literal

from rich.console import Group
from rich.text import Text
from textual.content import Content
from textual.widgets import Static

from backend.clean import clean
from octopoid_tui.widgets.safe_markdown import SafeMarkdown

MessageTone = Literal["", "you", "agent", "system", "warning", "error"]
"""Whose message it is, or how grave, as a colour of the theme."""

BODY_LIMIT: Final = 20_000
"""Characters of a body that are drawn; a terminal page has about 4,000."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message as it is shown. No part of it is read as markup."""

    id: str
    sender: str
    time: str
    """When it was sent, ready to be shown."""
    body: str
    tone: MessageTone = ""
    markdown: bool = False
    """Whether the body is drawn as Markdown, without links."""
    question: bool = False
    """Whether it is a question that nobody has answered yet."""
    note: str = ""
    """A word about its state beside the time: "delivered", "answered by ann"."""


class MessageView(Static):
    """A message on the screen, drawn when it is mounted and when it changes."""

    DEFAULT_CSS = """
    MessageView {
        height: auto;
        padding: 0 1;
        margin: 0 0 1 0;
        border-left: outer $foreground 20%;

        &.-you { border-left: outer $accent; }
        &.-agent { border-left: outer $primary; }
        &.-system { color: $text-muted; }
        &.-warning { border-left: outer $warning; }
        &.-error { border-left: outer $error; color: $text-error; }
        &.-question { border-left: outer $warning; background: $warning 10%; }
        &.-highlighted { background: $accent 25%; border-left: thick $accent; }
    }
    """

    def __init__(self, message: ChatMessage, *, highlighted: bool = False) -> None:
        super().__init__(markup=False)
        self.message = message
        self._highlighted = highlighted
        self._apply_classes()

    def on_mount(self) -> None:
        self._draw()

    def show(self, message: ChatMessage) -> None:
        """Draw another version of the message."""
        self.remove_class(f"-{self.message.tone}")
        self.message = message
        self._apply_classes()
        self._draw()

    def set_highlighted(self, highlighted: bool) -> None:
        """Draw it as the one that enter answers, or not."""
        if highlighted != self._highlighted:
            self._highlighted = highlighted
            self._apply_classes()
            self._draw()

    def _apply_classes(self) -> None:
        if self.message.tone:
            self.add_class(f"-{self.message.tone}")
        self.set_class(self.message.question, "-question")
        self.set_class(self._highlighted, "-highlighted")

    def _draw(self) -> None:
        header, body = self._header(), _shown_body(self.message.body)
        if self.message.markdown:
            theme = "monokai" if self.app.current_theme.dark else "default"
            self.update(Group(Text(header, "bold"), SafeMarkdown(body, code_theme=theme)))
        else:
            self.update(Content.assemble((header, "bold"), "\n", clean(body).expandtabs(4)))

    def _header(self) -> str:
        message = self.message
        sign = ("› " if self._highlighted else "") + ("? question  " if message.question else "")
        parts = (message.sender, message.time, message.note)
        return sign + "  ".join(clean(part, newlines=False) for part in parts if part)


def _shown_body(body: str) -> str:
    if len(body) <= BODY_LIMIT:
        return body
    return f"{body[:BODY_LIMIT]}\n… {len(body) - BODY_LIMIT:,} more characters"
