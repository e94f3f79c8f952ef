"""What the four panes share: a numbered title with a count, and one list that holds the focus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, getters
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.worker import Worker

from backend.model import Task
from backend.ranking import Question
from octopoid_tui.host import Host, Picture


@dataclass(frozen=True, slots=True)
class Selection:
    """What stands under a pane's cursor."""

    task: Task | None = None
    question: Question | None = None
    hint: str = ""
    """One line about it: why it waits, what it last did."""


class Pane(Vertical):
    """A region of the control screen. It shows pictures, and says when its selection is another."""

    KEY: ClassVar[str]
    NUMBER: ClassVar[int]
    TITLE: ClassVar[str]

    app = getters.app(Host)

    @dataclass
    class SelectionChanged(Message):
        pane: Pane

    @dataclass
    class Opened(Message):
        """Enter or a double click on a row."""

        pane: Pane

    def __init__(self) -> None:
        super().__init__(id=f"pane-{self.KEY}", classes="pane")
        self._count: int | str = 0
        self._heading = ""

    @property
    def title(self) -> str:
        return f"{self.NUMBER} {self.TITLE} {self._count}"

    @property
    def count(self) -> int | str:
        return self._count

    def set_count(self, count: int | str) -> None:
        self._count = count
        # The focused pane is told by a sign, not by its colour alone.
        heading = f" {'▸ ' if self.has_focus_within else ''}{self.title} "
        if heading != self._heading:
            # Setting a title paints the whole pane again, be it the same or not.
            self._heading = heading
            self.border_title = Content(heading)

    def show(self, picture: Picture) -> None:
        """Show the part of the picture that is this pane's."""
        raise NotImplementedError

    @property
    def selection(self) -> Selection:
        raise NotImplementedError

    def focus_list(self) -> None:
        """Give the focus to the pane's main list."""
        raise NotImplementedError

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.set_class(True, "-focused")
        self.call_later(self._retitle)

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        self.call_later(self._retitle)

    def _retitle(self) -> None:
        self.set_class(self.has_focus_within, "-focused")
        self.set_count(self._count)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        self.app.report_worker(event)

    def changed(self) -> None:
        self.post_message(self.SelectionChanged(self))
