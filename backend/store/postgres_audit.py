"""Is what is stored in PostgreSQL sound? Each invariant is a query for what breaks it."""

from __future__ import annotations

import psycopg

from backend.store.audit import SHOWN
from backend.store.postgres_session import SESSION, PostgresSession, Row
from backend.store.sql import load, load_like

INVARIANTS = load_like("postgres_audit", load("sqlite_audit"))


def audit(connection: psycopg.Connection[Row]) -> list[str]:
    """What is wrong with a store, a line for each broken invariant; empty when it is sound."""
    session = PostgresSession(connection)
    session.execute(SESSION["begin_read"])
    try:
        return broken(session)
    finally:
        session.rollback()


def broken(session: PostgresSession) -> list[str]:
    """The same, as a transaction sees it that has begun already."""
    found = []
    for name, statement in INVARIANTS.items():
        rows = [dict(zip(row.keys(), row, strict=True)) for row in session.execute(statement).fetchall()]
        if rows:
            more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
            found.append(f"{name}: {', '.join(map(str, rows[:SHOWN]))}{more}")
    return found
