"""One line for what has just happened; when nothing has, for what the selected row has to say."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from backend.clean import clean_line
from octopoid_tui.host import Flash

SECONDS = 6.0
LEAST_SECONDS = 2.5
"""So long a flash stands at least before news takes its place."""
WAITING = 10
"""So many pieces of news wait at most; the rest is in the log of what was said."""
_RANK = {"information": 0, "warning": 1, "error": 2}
_STYLES = {"information": "$text-success", "warning": "$text-warning", "error": "$text-error"}
_GLYPHS = {"information": "✓", "warning": "!", "error": "✗"}


class FlashLine(Static):
    """A flash stays for six seconds, an error twice as long.

    What a person's own key has done is said at once. News waits until what is said has been there to read,
    and, when it matters less than an error, until that has had its whole time. Of what waits, what matters
    most comes first; information gives way to newer information, an error or a warning to nothing.
    """

    DEFAULT_CSS = "FlashLine { height: 1; padding: 0 1; text-overflow: ellipsis; text-wrap: nowrap; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, markup=False)
        self._hint = Content("")
        self._flash: Flash | None = None
        self._waiting: list[Flash] = []
        self._fresh = False
        self._timer: Timer | None = None

    @property
    def text(self) -> str:
        """What the line says now."""
        return str(self.content)

    def flash(self, flash: Flash) -> None:
        if flash.news and (self._fresh or not self._gives_way_to(flash)):
            self._wait(flash)
        else:
            self._show(flash)

    def _gives_way_to(self, news: Flash) -> bool:
        """Whether what is said, once it could be read, is replaced by this news before its time is over."""
        return self._flash is None or self._flash.severity != "error" or news.severity == "error"

    def _wait(self, news: Flash) -> None:
        waiting = self._waiting
        if news.severity == "information":
            waiting = [one for one in waiting if one.severity != "information"]
        # The sort is stable: of two errors, the one that came first is said first.
        self._waiting = sorted([*waiting, news], key=lambda one: -_RANK[one.severity])[:WAITING]

    def _show(self, flash: Flash) -> None:
        self._flash, self._fresh = flash, True
        style = _STYLES[flash.severity]
        self._say(Content.assemble((f"{_GLYPHS[flash.severity]} ", f"{style} bold"), (flash.text, style)))
        self._after(LEAST_SECONDS, self._read)

    def _read(self) -> None:
        """What is said could be read by now."""
        self._fresh = False
        if self._waiting and self._gives_way_to(self._waiting[0]):
            self._show(self._waiting.pop(0))
        elif self._flash is not None:
            whole = SECONDS * (2 if self._flash.severity == "error" else 1)
            self._after(whole - LEAST_SECONDS, self._over)

    def _over(self) -> None:
        """What is said has had its whole time."""
        if self._waiting:
            self._show(self._waiting.pop(0))
        else:
            self.clear()

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do this then, and nothing else that was to be done."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(seconds, do)

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
