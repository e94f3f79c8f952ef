"""The server's records as rows of `cache.db`, which has the tables of any store.

Everything is written as the server has it: no rule of ours is asked, and references may lead nowhere.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Sequence, Set
from datetime import datetime
from enum import Enum
from typing import Any

from backend.clock import to_ms
from backend.model import (
    Actor,
    Agent,
    Alert,
    Event,
    Evidence,
    Message,
    Orchestrator,
    Pause,
    Rule,
    Run,
    Task,
)
from backend.offline.positions import Positions
from backend.planning import Draft, Project
from backend.sessions import Session
from backend.store.rows import dump

SCHEMA = """
DROP TRIGGER IF EXISTS events_are_kept;
DROP TRIGGER IF EXISTS events_stay;
CREATE TRIGGER IF NOT EXISTS count_deleted AFTER DELETE ON tasks BEGIN
    UPDATE queue_counts SET tasks = tasks - 1 WHERE queue = OLD.queue;
END;
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """Where a kind of record is kept, and what else than its key must be unique there."""

    name: str
    key: tuple[str, ...] = ("id",)
    unique: tuple[str, ...] = ()


TABLES: dict[type, Table] = {
    Task: Table("tasks", unique=("file_path",)),
    Run: Table("runs", unique=("task_id", "fence")),
    Message: Table("messages", unique=("run_id", "request_id")),
    Evidence: Table("evidence"),
    Orchestrator: Table("orchestrators"),
    Agent: Table("agents", ("orchestrator_id", "name")),
    Project: Table("projects"),
    Draft: Table("drafts"),
    Session: Table("sessions", unique=("session_id",)),
    Rule: Table("rules"),
    Alert: Table("alerts", ("key",)),
}
BY_TASK = {Run: "task_id", Message: "conversation_id", Evidence: "task_id"}


class Mirror:
    """The tables, used inside of a transaction of the one writer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._columns = {
            table.name: frozenset(row[1] for row in connection.execute(f"PRAGMA table_info({table.name})"))
            for table in TABLES.values()
        }
        self._upserts: dict[type, str] = {}

    def put(self, records: Iterable[Any]) -> None:
        """Write records as they are, each over the one of its key."""
        tasks = []
        for record in records:
            self._put(record)
            if isinstance(record, Task):
                tasks.append(record)
                self._execute("DELETE FROM task_dependencies WHERE task_id = ?", (record.id,))
                for blocker in record.blocked_by:
                    self._execute("INSERT INTO task_dependencies VALUES (?, ?)", (record.id, blocker))
        for task in tasks:
            self._count_blockers(task.id)
            for row in self._execute(
                "SELECT task_id FROM task_dependencies WHERE blocker_id = ?", (task.id,)
            ).fetchall():
                self._count_blockers(row[0])

    def put_newer(self, records: Iterable[Any]) -> None:
        """Write records that came as answers, but for those of which a newer one is there."""
        for record in records:
            name = TABLES[type(record)].name
            stored = self._execute(f"SELECT * FROM {name} WHERE id = ?", (record.id,)).fetchone()
            if stored is None or not _is_newer(stored, record):
                self.put([record])

    def replace_all(self, kind: type, records: Sequence[Any]) -> None:
        """Make a table hold these records and no others."""
        self._execute(f"DELETE FROM {TABLES[kind].name}")
        self.put(records)

    def replace_of_task(self, kind: type, task_id: str, records: Sequence[Any]) -> None:
        """The same for what belongs to one task."""
        self._execute(f"DELETE FROM {TABLES[kind].name} WHERE {BY_TASK[kind]} = ?", (task_id,))
        self.put(records)

    def delete_task(self, task_id: str) -> None:
        """Forget a task that the server does not have, with all that belongs to it."""
        for kind in BY_TASK:
            self.replace_of_task(kind, task_id, ())
        self._execute("DELETE FROM task_dependencies WHERE task_id = ?", (task_id,))
        self._execute("DELETE FROM tasks WHERE id = ?", (task_id,))

    def put_pause(self, pause: Pause) -> None:
        row = {name: _plain(getattr(pause, name)) for name in ("paused", "by", "reason", "at", "until")}
        changes = ", ".join(f"{name} = :{name}" for name in row)
        self._execute(f"UPDATE intake SET {changes}", row)

    def clear(self) -> None:
        """Forget everything the server ever said."""
        self._execute("DELETE FROM task_dependencies")
        for table in TABLES.values():
            self._execute(f"DELETE FROM {table.name}")
        self._execute("DELETE FROM events")

    # The log

    def put_events(self, events: Iterable[Event], positions: Positions) -> None:
        """Write the server's events at their places."""
        for event in events:
            self._execute(
                "INSERT OR REPLACE INTO events (seq, at, actor, entity, entity_id, kind, from_state,"
                " to_state, version, reason, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    positions.here(event.seq), to_ms(event.at), event.actor, event.entity, event.entity_id,
                    event.kind, event.from_state, event.to_state, event.version, event.reason,
                    dump(event.data),
                ),
            )  # fmt: skip

    def delete_events(self, after: int) -> None:
        """Forget the changes made here, whose events the server has by now under numbers of its own."""
        self._execute("DELETE FROM events WHERE seq > ?", (after,))

    def last_place(self) -> int:
        """The last place ever given away in the log."""
        row = self._execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return 0 if row is None else int(row[0])

    # How

    def _put(self, record: Any) -> None:
        table = TABLES[type(record)]
        row = _row(record, self._columns[table.name])
        if table.unique and all(row[name] is not None for name in table.unique):
            same = " AND ".join(f"{name} = :{name}" for name in table.unique)
            self._execute(f"DELETE FROM {table.name} WHERE {same} AND id <> :id", row)
        upsert = self._upserts.get(type(record)) or self._upserts.setdefault(
            type(record), _upsert(table, list(row))
        )
        self._execute(upsert, row)

    def _count_blockers(self, task_id: str) -> None:
        self._execute(
            "UPDATE tasks SET open_blockers = CASE queue WHEN 'incoming' THEN 0 ELSE max(queue = 'blocked',"
            " (SELECT count(*) FROM task_dependencies JOIN tasks AS blocker ON blocker.id = blocker_id"
            " WHERE task_id = tasks.id AND blocker.queue <> 'done')) END WHERE id = ?",
            (task_id,),
        )


def _upsert(table: Table, names: Sequence[str]) -> str:
    """The statement that writes a row of these columns: the same for every record of a kind."""
    values = ", ".join(f":{name}" for name in names)
    changes = ", ".join(
        f"{name} = excluded.{name}" for name in names if name not in (*table.key, "created_as")
    )
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})"
        f" ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {changes}"
    )


def _row(record: Any, columns: Set[str]) -> dict[str, Any]:
    """A record by column name; what has no column is not kept."""
    row = {name: _plain(getattr(record, name)) for name in type(record).__dataclass_fields__}
    if isinstance(record, Message):
        row |= {"sender_type": record.sender.type.value, "sender_id": record.sender.id}
    if isinstance(record, Evidence):
        row["name"] = record.check
    if isinstance(record, Task):
        row["open_blockers"] = int(record.queue == "blocked")
    if isinstance(record, Orchestrator):
        gone = record.status == "offline"
        row["offline_at"] = to_ms(record.last_heartbeat_at) if gone else None
    row["created_as"] = ""
    return {name: value for name, value in row.items() if name in columns}


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, int, float):
        return value
    match value:
        case Enum():
            return value.value
        case bool():
            return int(value)
        case datetime():
            return to_ms(value)
        case Actor():
            return str(value)
        case tuple() | dict():
            return dump(value)
        case _:
            return value


def _is_newer(stored: sqlite3.Row, record: Any) -> bool:
    match record:
        case Task():
            return bool(stored["version"] > record.version)
        case Run():
            return stored["status"] == "ended" and record.ended_at is None
        case Message():
            times = ("answered_at", "withdrawn_at", "delivered_at")
            return any(stored[name] is not None and getattr(record, name) is None for name in times)
        case _:
            return False
