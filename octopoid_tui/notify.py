"""Tells a person that something has come up that waits for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from backend.clean import clean_line
from octopoid_tui.host import Severity
from octopoid_tui.snapshot import Snapshot

COOL_DOWN = timedelta(seconds=20)  # between two that call a person; what comes in between is only shown


class Notifier:
    """Rings and flashes for new questions and for work that newly waits for review."""

    def __init__(
        self,
        flash: Callable[[str, Severity], None],
        bell: Callable[[], None],
        desktop: Callable[[str], None],
    ) -> None:
        self._flash = flash
        self._bell = bell
        self._desktop = desktop
        self._known: frozenset[str] | None = None
        self._rung_at: datetime | None = None

    def look(self, snapshot: Snapshot, now: datetime) -> None:
        """Compare with what was there before; the first picture is news to nobody."""
        asked = {f"q:{q.message.id}": q for q in snapshot.questions}
        to_review = {f"t:{task.id}:{task.submitted_at}": task for task in snapshot.to_review()}
        before, self._known = self._known, frozenset(asked) | frozenset(to_review)
        if before is None:
            return
        questions = [asked[key] for key in asked if key not in before]
        tasks = [to_review[key] for key in to_review if key not in before]
        if questions:
            first = questions[0].message
            text = f"{first.sender.id} asks: {clean_line(first.body, 120)}"
            self._tell(text if len(questions) == 1 else f"{len(questions)} new questions; {text}", now)
        elif tasks:
            text = f"{tasks[0].id} waits for your review: {clean_line(tasks[0].title, 120)}"
            self._tell(text if len(tasks) == 1 else f"{len(tasks)} tasks wait for your review", now)

    def _tell(self, text: str, now: datetime) -> None:
        self._flash(text, "warning")
        if self._rung_at is None or now - self._rung_at >= COOL_DOWN:
            self._rung_at = now
            self._bell()
            self._desktop(text)
