"""Bring a PostgreSQL database to the newest schema: the steps of `migrate`, all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from backend.store.migrate import Migration, available, check_history
from backend.store.postgres_session import SESSION, PostgresSession, Row

FOLDER = Path(__file__).parent / "migrations" / "postgres"
VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at bigint NOT NULL
)
"""
INSERT = "INSERT INTO schema_migrations VALUES (%(number)s, %(name)s, %(checksum)s, %(now)s)"


def migrate(
    connection: psycopg.Connection[Row], name: str, now: int, steps: Sequence[Migration] | None = None
) -> None:
    """Apply what is missing, all or nothing; of several that start at once, one does and the others wait.

    Raises:
        StoreBroken: the database has a newer schema, or one that was made by other steps.
    """
    ours = available(FOLDER) if steps is None else steps
    with connection.transaction():
        session = PostgresSession(connection)
        session.execute(SESSION["patience_of_migrations"])
        session.execute(SESSION["lock_migrations"])
        session.execute(VERSIONS)
        done = {row[0]: row[1] for row in session.execute("SELECT number, checksum FROM schema_migrations")}
        check_history(done, ours, name)
        for step in ours:
            if step.number not in done:
                # Many statements in one text, which no session that prepares its statements would take.
                connection.execute(step.text, prepare=False)
                values = {"number": step.number, "name": step.name, "checksum": step.checksum, "now": now}
                session.execute(INSERT, values)
        session.flush()
