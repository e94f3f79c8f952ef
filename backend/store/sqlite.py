"""The embedded store: one SQLite connection, its settings, and its transactions."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from backend.errors import OctopoidError, StoreBroken, StoreBusy, StoreFull
from backend.store.sql import load
from backend.store.sql_keys import SqlKeys
from backend.store.sql_machines import SqlMachines
from backend.store.sql_messages import SqlMessages
from backend.store.sql_operations import SqlOperations
from backend.store.sql_pages import SqlPages
from backend.store.sql_planning import SqlDrafts, SqlProjects
from backend.store.sql_rules import SqlAlerts, SqlRules
from backend.store.sql_runs import SqlRuns
from backend.store.sql_sessions import SqlSessions
from backend.store.sql_tasks import SqlTasks
from backend.store.sql_transfer import SqlTransfer
from backend.store.sqlite_log import SqliteLog

OLDEST = (3, 37, 0)
"""The first SQLite with strict tables."""
BUSY_MS = 10_000
STATEMENTS = load("sqlite")
KEY_STATEMENTS = load("sqlite_keys")
SESSION_STATEMENTS = load("sqlite_sessions")
PLANNING_STATEMENTS = load("sqlite_planning")
TRANSFER_STATEMENTS = load("sqlite_transfer")
OPERATION_STATEMENTS = load("sqlite_operations")
PAGE_STATEMENTS = load("sqlite_pages")
RULE_STATEMENTS = load("sqlite_rules")


class SqliteStore:
    """A connection to a migrated database. Not thread-safe, though it may move from thread to thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path
        self.tasks = SqlTasks(connection, STATEMENTS)
        self.pages = SqlPages(connection, PAGE_STATEMENTS, STATEMENTS)
        self.runs = SqlRuns(connection, STATEMENTS)
        self.messages = SqlMessages(connection, STATEMENTS)
        self.machines = SqlMachines(connection, STATEMENTS)
        self.keys = SqlKeys(connection, KEY_STATEMENTS)
        self.sessions = SqlSessions(connection, SESSION_STATEMENTS)
        self.projects = SqlProjects(connection, PLANNING_STATEMENTS)
        self.drafts = SqlDrafts(connection, PLANNING_STATEMENTS)
        self.transfer = SqlTransfer(connection, TRANSFER_STATEMENTS, ":{}", lambda: None, self.audit)
        self.operations = SqlOperations(connection, OPERATION_STATEMENTS)
        self.rules = SqlRules(connection, RULE_STATEMENTS)
        self.alerts = SqlAlerts(connection, RULE_STATEMENTS)
        self.log = SqliteLog(connection, STATEMENTS)

    def audit(self) -> list[str]:
        # Only an import asks, and this brings a package along that nothing else needs.
        from backend.store.audit import audit

        return audit(self.connection)

    def begin(self) -> None:
        # At once, not at the first write: a deferred transaction can fail half-way with "busy".
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def begin_read(self) -> None:
        """Begin a transaction that sees one state of the store throughout."""
        self.connection.execute("BEGIN")

    def mark(self) -> None:
        self.connection.execute("SAVEPOINT part")

    def keep(self) -> None:
        self.connection.execute("RELEASE part")

    def undo(self) -> None:
        if self.connection.in_transaction:  # a full disk may have ended the whole transaction already
            self.connection.execute("ROLLBACK TO part")
            self.connection.execute("RELEASE part")

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    def explain(self, error: Exception) -> OctopoidError | None:
        """The database's error as ours; None for what is no fault of the database."""
        return explain(error, self.path)

    def close(self) -> None:
        self.connection.close()


def connect(path: Path, *, read_only: bool = False, synchronous: str = "FULL") -> sqlite3.Connection:
    """A connection with the settings the store relies on; creates the file, for its owner only.

    Raises:
        StoreBroken: the SQLite library is too old.
        sqlite3.Error: the file cannot be opened.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreBroken(
            f"SQLite {sqlite3.sqlite_version} is too old",
            f"use a Python that carries SQLite {'.'.join(map(str, OLDEST))} or newer",
        )
    if not path.exists():
        # Before any connection is open: closing a descriptor drops this process's locks on the file.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        timeout=BUSY_MS / 1000,
    )
    connection.row_factory = sqlite3.Row
    try:
        configure(connection, read_only=read_only, synchronous=synchronous)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def configure(connection: sqlite3.Connection, *, read_only: bool, synchronous: str) -> None:
    """Durable to the last acknowledged write; nothing in the file's schema is trusted to run code."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA mmap_size = 0")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")


def explain(error: Exception, path: Path) -> OctopoidError | None:
    """A `sqlite3` error as ours, naming the file and the next step; None for any other error."""
    if not isinstance(error, sqlite3.Error) or isinstance(
        error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)
    ):
        return None
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"the store {path} is in use by another program", "close it, or wait for it to end")
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(
            f"the disk is full: the store {path} took nothing of this change",
            "free some space and do it again",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    if code == sqlite3.SQLITE_READONLY:
        return StoreBroken(f"the store {path} can not be written", "check its owner and permissions")
    return StoreBroken(
        f"the store {path} can not be used ({error})",
        "check that its folder exists, its permissions, and the disk",
    )


def damaged(path: Path, how: str) -> StoreBroken:
    """The file is no database any more."""
    return StoreBroken(
        f"the store {path} is damaged ({how})",
        f"it was left as it is; restore the newest copy named {path.name}.backup-*, "
        "or move it away to begin with an empty one",
    )
