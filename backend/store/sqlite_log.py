"""The append-only log in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from backend.model import Event
from backend.store.interface import NewEvent
from backend.store.rows import dump_fields, event_of


class SqliteLog:
    """Thin methods, one statement each."""

    def __init__(self, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements
        self._insert = statements["insert_event"]

    def append(self, event: NewEvent, now: int) -> None:
        self._execute(self._insert, (now, *event[:-1], dump_fields(event.data)))

    def read(self, after: int, limit: int, entity_id: str | None) -> list[Event]:
        values: dict[str, object] = {"after": after, "limit": limit}
        name = "list_events"
        if entity_id is not None:
            name = "list_entity_events"
            values["entity_id"] = entity_id
        return [event_of(row) for row in self._execute(self._sql[name], values)]

    def of_messages(self, after: int, limit: int, task_id: str | None) -> list[Event]:
        name = "list_message_events" if task_id is None else "list_task_message_events"
        values: dict[str, object] = {"after": after, "limit": limit}
        if task_id is not None:
            values["task_id"] = task_id
        return [event_of(row) for row in self._execute(self._sql[name], values)]

    def last_seq(self) -> int:
        return int(self._execute(self._sql["last_seq"]).fetchone()[0])
