"""The append-only log in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping

from backend.model import Event
from backend.store.interface import NewEvent
from backend.store.postgres_session import SESSION, PostgresSession, clean
from backend.store.rows import dump, dump_fields, event_of

COLUMNS = (
    "at", "actor", "entity", "entity_id", "kind", "from_state", "to_state", "version", "reason", "data",
)  # fmt: skip


class PostgresLog:
    """Events wait until their transaction ends: only then may they take their places in the log."""

    def __init__(self, session: PostgresSession, statements: Mapping[str, str]) -> None:
        self._session = session
        self._sql = statements
        self._waiting: list[tuple[object, ...]] = []

    def append(self, event: NewEvent, now: int) -> None:
        row = (now, *event[:-1], dump_fields(event.data))
        self._waiting.append(tuple(clean(str(value)) if isinstance(value, str) else value for value in row))

    def write(self) -> None:
        """Write what waits; nobody else can write to the log from now until the transaction ends."""
        if not self._waiting:
            return
        # One text: the driver takes longer over an array for each column than over all the rest of a claim.
        entries = dump([dict(zip(COLUMNS, row, strict=True)) for row in self._waiting])
        self._session.execute(self._sql["insert_event"], {"count": len(self._waiting), "entries": entries})

    def forget(self) -> None:
        self._waiting.clear()

    def last_waiting(self) -> dict[str, object] | None:
        """The last event of this transaction, by column; None when it writes none."""
        return dict(zip(COLUMNS, self._waiting[-1], strict=True)) if self._waiting else None

    def holds(self, event: Mapping[str, object]) -> bool:
        """Whether the log has exactly this event, once those who are writing to it now have ended."""
        self._session.execute(SESSION["lock_log"])
        row = self._session.execute(SESSION["find_event"], event).fetchone()
        return row is not None and bool(row[0])

    def read(self, after: int, limit: int, entity_id: str | None) -> list[Event]:
        values: dict[str, object] = {"after": after, "limit": limit}
        name = "list_events"
        if entity_id is not None:
            name = "list_entity_events"
            values["entity_id"] = entity_id
        return [event_of(row) for row in self._session.execute(self._sql[name], values)]

    def of_messages(self, after: int, limit: int, task_id: str | None) -> list[Event]:
        name = "list_message_events" if task_id is None else "list_task_message_events"
        values: dict[str, object] = {"after": after, "limit": limit}
        if task_id is not None:
            values["task_id"] = task_id
        return [event_of(row) for row in self._session.execute(self._sql[name], values)]

    def last_seq(self) -> int:
        row = self._session.execute(self._sql["last_seq"]).fetchone()
        return 0 if row is None else int(row[0])
