"""The footer: what works here, now, the most useful first, as much as fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from octopoid_tui.formats import cells


@dataclass(frozen=True, slots=True)
class Hint:
    """One key and what it does. A disabled one is dimmed, and the first to go."""

    action_id: str
    key: str
    text: str
    enabled: bool = True
    keep: bool = False
    """Stays however narrow it gets: how to get help, and out."""

    @property
    def width(self) -> int:
        return cells(self.key) + cells(self.text) + 3


class KeyFooter(Static):
    """A line of keys; a click on one does the same as the key."""

    DEFAULT_CSS = "KeyFooter { height: 1; dock: bottom; padding: 0 1; background: $panel; }"
    ALLOW_SELECT = False

    @dataclass
    class Pressed(Message):
        action_id: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, markup=False)
        self._hints: tuple[Hint, ...] = ()
        self._spans: list[tuple[int, int, str]] = []

    def set_hints(self, hints: Sequence[Hint]) -> None:
        if tuple(hints) != self._hints:
            self._hints = tuple(hints)
            self._draw()

    @property
    def shown(self) -> tuple[Hint, ...]:
        """The hints that fit."""
        return tuple(fit_hints(self._hints, self.content_size.width))

    def on_resize(self) -> None:
        self._draw()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        for start, end, action_id in self._spans:
            if offset is not None and start <= offset.x < end:
                self.post_message(self.Pressed(action_id))

    def _draw(self) -> None:
        parts: list[Content] = []
        self._spans = []
        x = 0
        for hint in self.shown:
            if hint.enabled:
                parts += [Content.styled(hint.key, "$text-accent bold"), Content(f" {hint.text}  ")]
            else:
                parts.append(Content.styled(f"{hint.key} {hint.text}  ", "$text-disabled"))
            self._spans.append((x, x + hint.width, hint.action_id))
            x += hint.width
        self.update(Content.assemble(*parts), layout=False)


def fit_hints(hints: Sequence[Hint], width: int) -> list[Hint]:
    """As many as fit, in order; disabled ones go first, then the last ones, those to keep never."""
    shown = list(hints)
    leaving = [h for h in reversed(shown) if not h.enabled and not h.keep]
    leaving += [h for h in reversed(shown) if h.enabled and not h.keep]
    for hint in leaving:
        if sum(h.width for h in shown) - 2 <= width:
            break
        shown.remove(hint)
    return shown
