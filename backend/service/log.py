"""Read the log."""

from __future__ import annotations

from backend.model import Event
from backend.service.context import Context


class Log:
    """Every change of anything, in commit order."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def events(self, after: int, limit: int, entity_id: str | None) -> list[Event]:
        return self._context.store.log.read(after, limit, entity_id)

    def of_messages(self, after: int, limit: int, task_id: str | None) -> list[Event]:
        return self._context.store.log.of_messages(after, limit, task_id)

    def last_seq(self) -> int:
        return self._context.store.log.last_seq()
