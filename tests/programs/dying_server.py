"""`octopoid` that kills itself at any point of a transaction.

The first argument is a file. The transaction that begins once it is there is counted: every statement of
SQLite, every packet to and from PostgreSQL, and the commit. At the point whose number is in the file, counted
from 0, the process dies. Whoever outlives its transaction removes the file.
"""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

from backend.server import jobs
from backend.store.postgres import PostgresStore
from backend.store.postgres_session import PostgresSession
from backend.store.sqlite import SqliteStore
from octopoid_tui.__main__ import main


class Points:
    """How far the transaction that is counted has come."""

    def __init__(self, order: Path) -> None:
        self.order = order
        self.left: int | None = None
        self.thread = 0

    def begin(self) -> None:
        if self.left is None and self.order.exists():
            self.left, self.thread = int(self.order.read_text()), threading.get_ident()

    def reach(self) -> None:
        if self.left is None or self.thread != threading.get_ident():
            return
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def end(self) -> None:
        self.reach()
        if self.left is not None and self.thread == threading.get_ident():
            self.left = None
            self.order.unlink()


points = Points(Path(sys.argv.pop(1)))
sqlite_begin, sqlite_commit = SqliteStore.begin, SqliteStore.commit
postgres_begin, postgres_commit, flush = PostgresStore.begin, PostgresStore.commit, PostgresSession.flush


def begin(store: SqliteStore) -> None:
    points.begin()
    store.connection.set_trace_callback(lambda statement: points.reach())
    sqlite_begin(store)


def commit(store: SqliteStore) -> None:
    sqlite_commit(store)
    points.end()


def begin_far(store: PostgresStore) -> None:
    points.begin()
    postgres_begin(store)


def flush_far(session: PostgresSession) -> None:
    points.reach()
    flush(session)
    points.reach()


def commit_far(store: PostgresStore) -> None:
    postgres_commit(store)
    points.end()


async def no_sweep(backend: object) -> None:
    """No change but those that are asked for."""
    await asyncio.Event().wait()


jobs.sweep = no_sweep  # type: ignore[assignment]
SqliteStore.begin, SqliteStore.commit = begin, commit  # type: ignore[method-assign]
PostgresStore.begin, PostgresStore.commit = begin_far, commit_far  # type: ignore[method-assign]
PostgresSession.flush = flush_far  # type: ignore[method-assign]
main()
