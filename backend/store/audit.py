"""Is what is stored sound? Each invariant is a query for what breaks it."""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database

from backend.store.migrate import quick_check
from backend.store.sql import load

SHOWN = 5
"""Rows named for each broken invariant."""


def audit(connection: sqlite3.Connection) -> list[str]:
    """What is wrong with a store, a line for each broken invariant; empty when it is sound."""
    damage = quick_check(connection)
    if damage is not None:
        return [f"the file is damaged: {damage}"]
    database = Database(connection)
    found = []
    for name, statement in load("sqlite_audit").items():
        rows = list(database.query(statement))
        if rows:
            more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
            found.append(f"{name}: {', '.join(map(str, rows[:SHOWN]))}{more}")
    broken = list(database.query("PRAGMA foreign_key_check"))
    if broken:
        found.append(f"dangling references: {broken[:SHOWN]}")
    return found
