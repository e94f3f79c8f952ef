"""One line for what has just happened; when nothing has, for what the selected row has to say."""

from __future__ import annotations

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from backend.clean import clean_line
from octopoid_tui.host import Flash

SECONDS = 6.0
_STYLES = {"information": "$text-success", "warning": "$text-warning", "error": "$text-error"}
_GLYPHS = {"information": "✓", "warning": "!", "error": "✗"}


class FlashLine(Static):
    """A flash stays for six seconds, an error twice as long."""

    DEFAULT_CSS = "FlashLine { height: 1; padding: 0 1; text-overflow: ellipsis; text-wrap: nowrap; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, markup=False)
        self._hint = Content("")
        self._flash: Flash | None = None
        self._timer: Timer | None = None

    @property
    def text(self) -> str:
        """What the line says now."""
        return str(self.content)

    def flash(self, flash: Flash) -> None:
        self._flash = flash
        style = _STYLES[flash.severity]
        self._say(Content.assemble((f"{_GLYPHS[flash.severity]} ", f"{style} bold"), (flash.text, style)))
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(SECONDS * (2 if flash.severity == "error" else 1), self.clear)

    def set_hint(self, text: str) -> None:
        """What to say while there is no flash."""
        hint = Content.styled(clean_line(text, 400), "$text-muted")
        if not hint.is_same(self._hint):
            self._hint = hint
            if self._flash is None:
                self._say(hint)

    def clear(self) -> None:
        self._flash = None
        self._say(self._hint)

    def _say(self, text: Content) -> None:
        # The line has one height: laying out the whole screen anew would cost each key 8 ms.
        self.update(text, layout=False)
