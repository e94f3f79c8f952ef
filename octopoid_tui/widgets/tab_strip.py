"""A line of tabs with counts that fits its width: empty ones give way first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from octopoid_tui.formats import cells, count


@dataclass(frozen=True, slots=True)
class Tab:
    key: str
    label: str
    number: int | None = None
    """How many things it holds; None for tabs that hold no list."""
    alert: bool = False
    """Whether what it holds waits for a person."""

    @property
    def text(self) -> str:
        return self.label if self.number is None else f"{self.label} {count(self.number)}"


class TabStrip(Static):
    """Shows the tabs and which is active; says which was clicked."""

    DEFAULT_CSS = "TabStrip { height: 1; width: 1fr; }"
    ALLOW_SELECT = False

    @dataclass
    class Chosen(Message):
        strip: TabStrip
        key: str

        @property
        def control(self) -> TabStrip:
            return self.strip

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, classes=classes, markup=False)
        self._tabs: tuple[Tab, ...] = ()
        self._active = ""
        self._spans: list[tuple[int, int, str]] = []

    @property
    def active(self) -> str:
        return self._active

    def set_tabs(self, tabs: Sequence[Tab], active: str) -> None:
        if (tuple(tabs), active) != (self._tabs, self._active):
            self._tabs, self._active = tuple(tabs), active
            self._draw()

    def neighbour(self, step: int) -> str:
        """The key of the tab that many places from the active one, round the end."""
        keys = [tab.key for tab in self._tabs]
        return keys[(keys.index(self._active) + step) % len(keys)] if keys else self._active

    def on_resize(self) -> None:
        self._draw()

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._spans:
            if start <= event.x < end:
                self.post_message(self.Chosen(self, key))

    def _draw(self) -> None:
        parts: list[Content] = []
        self._spans = []
        x = 0
        for tab in self._fitting():
            text = f" {tab.text} "
            parts.append(Content.styled(text, self._style(tab)))
            self._spans.append((x, x + cells(text), tab.key))
            x += cells(text)
        self.update(Content.assemble(*parts), layout=False)

    def _style(self, tab: Tab) -> str:
        if tab.key == self._active:
            return "bold reverse"
        if tab.number == 0:
            return "$text-muted"
        return "$text-warning" if tab.alert else ""

    def _fitting(self) -> list[Tab]:
        shown = list(self._tabs)
        droppable = [t for t in reversed(shown) if t.key != self._active and t.number == 0]
        droppable += [t for t in reversed(shown) if t.key != self._active and t.number and not t.alert]
        for tab in droppable:
            if sum(cells(t.text) + 2 for t in shown) <= self.size.width:
                break
            shown.remove(tab)
        return shown
