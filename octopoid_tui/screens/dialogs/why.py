"""Why a task does or does not run: every gate, and what it says."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from backend.clean import clean_line
from backend.model import Task
from octopoid_tui.formats import age, cells
from octopoid_tui.panes.glyphs import styled
from octopoid_tui.screens.dialogs.base import Dialog, keys_line

if TYPE_CHECKING:
    from octopoid_tui.ports import Explanation


class Why(Dialog[None]):
    def __init__(self, task: Task, explanation: Explanation, now: datetime) -> None:
        super().__init__()
        self._about = task
        self._explanation = explanation
        self._now = now

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -medium") as box:
            box.border_title = Content(f"Why {self._about.id}?")
            with VerticalScroll(classes="dialog-body"):
                yield Static(Content(clean_line(self._about.title, 200)), classes="dialog-text")
                yield Static(explained(self._explanation, self._now), classes="dialog-text", markup=False)
            yield keys_line(("esc", "back"))


def explained(explanation: Explanation, now: datetime) -> Content:
    """The summary, and each gate with its verdict, its reason and when it may open."""
    lines = [Content.styled(clean_line(explanation.summary, 300), "bold"), Content("")]
    width = max((cells(gate.gate) for gate in explanation.gates), default=0)
    for gate in explanation.gates:
        sign = styled("✓ open  ", "ok") if gate.passes else styled("✗ closed", "error")
        when = ""
        if gate.clears_at is not None:
            when = f" (for {age((gate.clears_at - now).total_seconds())} more)"
        reason = clean_line(gate.reason, 300)
        lines.append(Content.assemble(sign, f"  {gate.gate:<{width}}  ", f"{reason}{when}"))
    return Content("\n").join(lines)
