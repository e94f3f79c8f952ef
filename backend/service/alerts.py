"""What everybody should know for a while, kept over restarts: a provider's limit, a budget nearly spent."""

from __future__ import annotations

from datetime import datetime

from backend.clock import from_ms, to_ms
from backend.errors import BadInput
from backend.model import SYSTEM, Alert
from backend.service.context import Context

KEY_LIMIT = 200
REASON_LIMIT = 500
KEPT_MS = 7 * 86_400_000
"""An alert that is over is kept for so long: nobody reads it any more, but it costs nothing."""


class Alerts:
    """One for each key; only what differs from before becomes an event."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def put(self, key: str, reason: str, until: datetime | None) -> Alert:
        """
        Raises:
            BadInput: the key or the reason is empty or too long.
        """
        if not 0 < len(key) <= KEY_LIMIT or not reason.strip():
            raise BadInput("an alert needs a key and a reason", "say what it is about, and why")
        now = self._context.now()
        said = reason[:REASON_LIMIT]
        known = next((alert for alert in self.find_all() if alert.key == key), None)
        if known is not None and (known.reason, known.until) == (said, until):
            return known
        ends = None if until is None else to_ms(until)
        self._context.store.alerts.save(key, said, ends, now)
        self._context.store.alerts.delete_old(now - KEPT_MS)
        data = {} if ends is None else {"until": ends}
        self._context.note(now, SYSTEM, "alert", key, "raise", reason=said, data=data)
        return Alert(key, said, from_ms(now), until)

    def clear(self, key: str) -> None:
        """Take an alert back; when there is none, nothing happens."""
        if self._context.store.alerts.delete(key):
            self._context.note(self._context.now(), SYSTEM, "alert", key, "clear")

    def find_all(self) -> list[Alert]:
        """What holds now, oldest first."""
        return self._context.store.alerts.in_force(self._context.now())
