"""Changes that wait for the server, and those that it did not take: rows of `cache.db`."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from backend.clock import from_ms, to_ms
from backend.model import Json
from backend.offline.lanes import Place
from backend.offline.operations import Operation, named, read, write
from backend.sync import Conflict, Waiting
from backend.wire import decode, encode

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    task_id TEXT NOT NULL,
    made TEXT,
    after INTEGER,
    needs TEXT NOT NULL,
    before TEXT,
    tries INTEGER NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'conflict', 'rejected')),
    summary TEXT NOT NULL,
    problem TEXT,
    theirs TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_by_state ON outbox (state, seq);
CREATE INDEX IF NOT EXISTS outbox_by_task ON outbox (task_id, seq);
CREATE INDEX IF NOT EXISTS outbox_by_made ON outbox (made);
"""


class State(StrEnum):
    """How far a change has got; one that the server has taken leaves the outbox."""

    PENDING = "pending"
    CONFLICT = "conflict"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Entry:
    """One change in the outbox."""

    id: str
    key: str
    """The idempotency key it is sent under: the same for every attempt at the same request."""
    operation: Operation
    task_id: str
    after: int | None
    """The task's version here once it was made; later changes may be decided on that."""
    needs: tuple[str, ...]
    """The changes in the outbox without which it makes no sense."""
    before: Json | None
    """What an edit replaces: when others changed other fields, it still fits."""
    tries: int
    """How often it was sent; once it was, the server may have made it."""
    at: datetime
    summary: str
    state: State = State.PENDING
    problem: str | None = None
    """Why the server did not take it; of one that still waits, how the server last failed at it."""
    theirs: Json | None = None

    def on(self, version: int) -> Entry:
        """The same change, decided on another version: another request."""
        return replace(self, operation=self.operation.on(version), key=f"{self.id}-v{version}")

    def as_waiting(self, why: str) -> Waiting:
        kind, data = write(self.operation)
        return Waiting(
            id=self.id,
            task_id=self.task_id,
            operation=named(self.operation),
            summary=self.summary,
            by=str(self.operation.by),
            at=self.at,
            tries=self.tries,
            why=why,
            mine={"kind": kind, **data},
        )

    def as_conflict(self) -> Conflict:
        kind, data = write(self.operation)
        return Conflict(
            id=self.id,
            task_id=self.task_id,
            operation=named(self.operation),
            summary=self.summary,
            problem=self.problem or "",
            mine={"kind": kind, **data},
            theirs=self.theirs,
            at=self.at,
            rejected=self.state is State.REJECTED,
        )


class Outbox:
    """The table, used inside of a transaction of the one writer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def add(self, entry: Entry) -> None:
        row = _row(entry)
        names = ", ".join(row)
        self._execute(f"INSERT INTO outbox ({names}) VALUES ({', '.join(':' + name for name in row)})", row)

    def save(self, entry: Entry) -> None:
        """Store what has changed of an entry."""
        row = _row(entry)
        changes = ", ".join(f"{name} = :{name}" for name in row)
        self._execute(f"UPDATE outbox SET {changes} WHERE id = :id", row)

    def remove(self, entry_id: str) -> None:
        self._execute("DELETE FROM outbox WHERE id = ?", (entry_id,))

    def pending(self, limit: int | None = None) -> list[Entry]:
        """What waits, in the order it was made; the first so many."""
        return self._find("state = 'pending'", limit=limit)

    def places(self) -> list[Place]:
        """The order of what waits."""
        rows = self._execute("SELECT id, task_id, kind FROM outbox WHERE state = 'pending' ORDER BY seq")
        return [Place(row[0], row[1], row[2] == "create") for row in rows]

    def links(self) -> set[tuple[str, str]]:
        """The tasks with waiting changes of which one waits for another, or did before one of these.

        All tasks of which it was edited what they wait for are linked too: the server refuses an edit that
        closes a circle, and another edit may have opened that anywhere on the way.
        """
        rows = self._execute(
            "WITH waiting AS (SELECT DISTINCT task_id FROM outbox WHERE state = 'pending'),"
            " edited AS (SELECT task_id FROM outbox WHERE state = 'pending' AND kind = 'edit'"
            " AND json_extract(data, '$.patch.blocked_by') IS NOT NULL)"
            " SELECT task_id, blocker_id FROM task_dependencies"
            # Without the plus each of these tasks is tried with each.
            " WHERE task_id IN waiting AND +blocker_id IN waiting"
            " UNION SELECT task_id, named.value FROM outbox, json_each(json_array("
            "json_extract(data, '$.new.blocked_by'), json_extract(data, '$.patch.blocked_by'),"
            " json_extract(before, '$.blocked_by'))) AS lists, json_each(lists.value) AS named"
            " WHERE state = 'pending' AND kind IN ('create', 'edit') AND lists.value IS NOT NULL"
            " UNION SELECT task_id, (SELECT min(task_id) FROM edited) FROM edited"
        )
        return {(row[0], row[1]) for row in rows}

    def pending_of(self, task_id: str) -> list[Entry]:
        """What waits of one task, in the order it was made."""
        return self._find("state = 'pending' AND task_id = :task_id", {"task_id": task_id})

    def unsettled(self) -> list[Entry]:
        """What the server did not take, the oldest first."""
        return self._find("state <> 'pending'")

    def _find(
        self, condition: str, values: dict[str, Any] | None = None, limit: int | None = None
    ) -> list[Entry]:
        rows = self._execute(
            f"SELECT * FROM outbox WHERE {condition} ORDER BY seq LIMIT :limit",
            {"limit": -1 if limit is None else limit, **(values or {})},
        )
        return [_entry(row) for row in rows]

    def find(self, entry_id: str) -> Entry | None:
        row = self._execute("SELECT * FROM outbox WHERE id = ?", (entry_id,)).fetchone()
        return None if row is None else _entry(row)

    def count(self) -> tuple[int, int]:
        """How many wait, and how many are unsettled."""
        row = self._execute(
            "SELECT coalesce(sum(state = 'pending'), 0), coalesce(sum(state <> 'pending'), 0) FROM outbox"
        ).fetchone()
        return row[0], row[1]

    def first_summary(self, needs: tuple[str, ...]) -> str | None:
        """The first of some changes that still waits, in one line."""
        if not needs:
            return None
        row = self._execute(
            "SELECT summary FROM outbox WHERE state = 'pending' AND id IN (SELECT value FROM json_each(?))"
            " ORDER BY seq LIMIT 1",
            (encode(needs).decode(),),
        ).fetchone()
        return None if row is None else str(row[0])

    def needs_of(self, operation: Operation, task_id: str) -> tuple[str, ...]:
        """The waiting changes that one more would build on."""
        rows = self._execute(
            "SELECT id FROM outbox WHERE state = 'pending' AND"
            " (made IN (SELECT value FROM json_each(:uses)) OR (task_id = :task_id AND after = :base))"
            " ORDER BY seq",
            {
                "uses": encode([*operation.uses, f"task:{task_id}"]).decode(),
                "task_id": task_id,
                "base": operation.base,
            },
        )
        return tuple(row[0] for row in rows)

    def rechain(self, entry: Entry, version: int) -> None:
        """The version after an entry is another than it was here: what was decided on it goes along."""
        for later in self.pending_of(entry.task_id):
            if entry.id in later.needs and is_base(entry, later.operation, later.task_id):
                self.save(later.on(version))

    def dependants(self, entry: Entry) -> list[Entry]:
        """The waiting changes that make no sense without one, nor without what needs it."""
        lost = {entry.id}
        found = []
        for later in self.pending():
            if lost.intersection(later.needs):
                lost.add(later.id)
                found.append(later)
        return found


def is_base(entry: Entry, operation: Operation, task_id: str) -> bool:
    """Whether a change was decided on the version that a waiting one made here."""
    return entry.task_id == task_id and entry.after is not None and entry.after == operation.base


def _row(entry: Entry) -> dict[str, Any]:
    kind, data = write(entry.operation)
    return {
        "id": entry.id,
        "key": entry.key,
        "kind": kind,
        "data": encode(data).decode(),
        "task_id": entry.task_id,
        "made": entry.operation.makes,
        "after": entry.after,
        "needs": encode(entry.needs).decode(),
        "before": _text(entry.before),
        "tries": entry.tries,
        "at": to_ms(entry.at),
        "state": entry.state,
        "summary": entry.summary,
        "problem": entry.problem,
        "theirs": _text(entry.theirs),
    }


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        id=row["id"],
        key=row["key"],
        operation=read(row["kind"], decode(row["data"].encode())),
        task_id=row["task_id"],
        after=row["after"],
        needs=tuple(decode(row["needs"].encode())),
        before=_data(row["before"]),
        tries=row["tries"],
        at=from_ms(row["at"]),
        summary=row["summary"],
        state=State(row["state"]),
        problem=row["problem"],
        theirs=_data(row["theirs"]),
    )


def _text(data: Json | None) -> str | None:
    return None if data is None else encode(data).decode()


def _data(text: str | None) -> Json | None:
    return None if text is None else dict(decode(text.encode()))
