"""The store in a PostgreSQL database: any number of processes may have it open.

A change reads with locks what it is about to write, so that whoever changes the same task waits; the order of
locks is blockers before dependents. The statements have the names and values of the embedded store's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict

from backend.errors import OctopoidError, StoreBroken, StoreBusy, StoreFull
from backend.model import Run, Task
from backend.store.interface import StoredTask
from backend.store.postgres_log import PostgresLog
from backend.store.postgres_session import DISMISSALS, SESSION, PostgresSession, Row, connect, storable
from backend.store.rows import run_of, task_of
from backend.store.sql import load, load_like
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

STATEMENTS = load_like("postgres", load("sqlite"))
KEY_STATEMENTS = load_like("postgres_keys", load("sqlite_keys"))
SESSION_STATEMENTS = load_like("postgres_sessions", load("sqlite_sessions"))
PLANNING_STATEMENTS = load_like("postgres_planning", load("sqlite_planning"))
TRANSFER_STATEMENTS = load_like("postgres_transfer", load("sqlite_transfer"))
OPERATION_STATEMENTS = load_like("postgres_operations", load("sqlite_operations"))
PAGE_STATEMENTS = load_like("postgres_pages", load("sqlite_pages"))
RULE_STATEMENTS = load_like("postgres_rules", load("sqlite_rules"))
IN_USE = (pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected, pg.SerializationFailure)
SCHEMES = ("postgresql://", "postgres://")


class PostgresTasks(SqlTasks):
    """Tasks, locked when they are read to be changed.

    A change of a task that this transaction has locked can not miss it, so nobody waits to hear that: it
    travels with what comes next.
    """

    def __init__(self, session: PostgresSession, statements: Mapping[str, str]) -> None:
        super().__init__(session, statements)
        self._session = session
        self._locking = f"{statements['read_task']} {SESSION['lock_task']}"
        self.changing = False
        self._locked: dict[str, int] = {}

    def begin(self, changing: bool) -> None:
        self.changing = changing
        self._locked.clear()

    def read(self, task_id: str) -> StoredTask | None:
        if not self.changing:
            return super().read(task_id)
        row = self._session.execute(self._locking, {"id": task_id}).fetchone()
        if row is None:
            return None
        stored = StoredTask(task_of(row), row["open_blockers"])
        self._locked[task_id] = stored.task.version
        return stored

    def _insert(self, values: dict[str, object]) -> dict[str, object]:
        return super()._insert(storable(values))

    def _save(self, name: str, values: dict[str, object], task: Task, open_blockers: int) -> bool:
        answer = self._session.execute(self._sql[name], values | {"open_blockers": open_blockers})
        if self._locked.get(task.id) != task.version - 1:
            return answer.rowcount == 1
        self._locked[task.id] = task.version
        return True

    def find_cycle(self, task_id: str, blockers: Sequence[str]) -> str | None:
        row = self._session.execute(SESSION["lock_dependencies"]).fetchone()
        if row is None or not row[0]:
            raise pg.SerializationFailure("somebody else is adding dependencies")
        return super().find_cycle(task_id, blockers)


class PostgresRuns(SqlRuns):
    """Runs, locked when they are read to be changed."""

    def read_to_change(self, run_id: str) -> Run | None:
        row = self._execute(f"{self._sql['read_run']} {SESSION['lock_run']}", {"id": run_id}).fetchone()
        return None if row is None else run_of(row)


class PostgresStore:
    """A connection to a migrated database. Not thread-safe, though it may move from thread to thread."""

    def __init__(self, connection: psycopg.Connection[Row], name: str) -> None:
        self.session = PostgresSession(connection)
        self.name = name
        self.tasks = PostgresTasks(self.session, STATEMENTS)
        self.pages = SqlPages(self.session, PAGE_STATEMENTS, STATEMENTS)
        self.runs = PostgresRuns(self.session, STATEMENTS)
        self.messages = SqlMessages(self.session, STATEMENTS)
        self.machines = SqlMachines(self.session, STATEMENTS)
        self.keys = SqlKeys(self.session, KEY_STATEMENTS)
        self.sessions = SqlSessions(self.session, SESSION_STATEMENTS)
        self.projects = SqlProjects(self.session, PLANNING_STATEMENTS)
        self.drafts = SqlDrafts(self.session, PLANNING_STATEMENTS)
        self.operations = SqlOperations(self.session, OPERATION_STATEMENTS)
        self.rules = SqlRules(self.session, RULE_STATEMENTS)
        self.alerts = SqlAlerts(self.session, RULE_STATEMENTS)
        self.log = PostgresLog(self.session, STATEMENTS)
        self.transfer = SqlTransfer(self.session, TRANSFER_STATEMENTS, "%({})s", self.settle_log, self.audit)

    def begin(self) -> None:
        self.log.forget()
        self.tasks.begin(changing=True)
        self.session.execute(SESSION["begin_write"])

    def begin_read(self) -> None:
        self.log.forget()
        self.tasks.begin(changing=False)
        self.session.execute(SESSION["begin_read"])

    def commit(self) -> None:
        self.log.write()
        self.session.execute("COMMIT")
        self.session.flush()

    def audit(self) -> list[str]:
        # Only an import asks, and this brings a package along that nothing else needs.
        from backend.store.postgres_audit import broken

        return broken(self.session)

    def settle_log(self) -> None:
        """Write what waits for the log before the transaction ends; nobody else writes there until then."""
        self.log.write()
        self.log.forget()
        self.session.flush()

    def rollback(self) -> None:
        self.session.rollback()

    def explain(self, error: Exception) -> OctopoidError | None:
        """The database's error as ours; None for what is no fault of the database."""
        return explain(error, self.name)

    def close(self) -> None:
        self.session.connection.close()


class DatabaseClock:
    """The database's clock, which all replicas share, carried by this machine's between two looks at it."""

    def __init__(self) -> None:
        self._ahead_ms = 0

    def look(self, connection: psycopg.Connection[Row]) -> None:
        before = time.time_ns()
        row = PostgresSession(connection).execute(SESSION["read_time"]).fetchone()
        if row is not None:
            self._ahead_ms = int(row[0]) - (before + time.time_ns()) // 2_000_000

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._ahead_ms


def is_database(place: object) -> bool:
    """Whether a place to keep the state is the URL of a PostgreSQL database."""
    return isinstance(place, str) and place.startswith(SCHEMES)


def name_of(url: str) -> str:
    """A database's URL without its password, for people to read.

    Raises:
        StoreBroken: it is no URL of a database.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise StoreBroken(
            "the database's URL is not understood", "write it as postgresql://user@host/database"
        ) from error
    user, host, port = given.get("user"), given.get("host") or "", given.get("port")
    place = f"{host}:{port}" if port else host
    return f"postgresql://{f'{user}@' if user else ''}{place}/{given.get('dbname') or ''}"


def open_connection(url: str) -> psycopg.Connection[Row]:
    """
    Raises:
        StoreBusy: the database cannot be reached.
    """
    name = name_of(url)
    try:
        return connect(url)
    except psycopg.Error as error:
        raise unreachable(name, error) from error


def unreachable(name: str, error: psycopg.Error) -> StoreBusy:
    said = " ".join(str(error).split()) or type(error).__name__
    return StoreBusy(
        f"the database {name} can not be reached ({said})",
        "check that it runs, its address, user and password; nothing of this change was kept",
    )


def is_away(error: Exception) -> bool:
    """Whether an error says that the server, or the way to it, is gone for now."""
    state = getattr(error, "sqlstate", None)
    return isinstance(error, psycopg.OperationalError) and (state is None or state.startswith(DISMISSALS))


def explain(error: Exception, name: str) -> OctopoidError | None:
    """A `psycopg` error as ours, naming the database and the next step; None for a fault of our own."""
    if not isinstance(error, psycopg.OperationalError | pg.InsufficientPrivilege | pg.ReadOnlySqlTransaction):
        return None
    said = " ".join(str(error).split())
    if isinstance(error, pg.DiskFull):
        return StoreFull(
            f"the disk of the database {name} is full: it took nothing of this change",
            "free some space and do it again",
        )
    if isinstance(error, pg.InsufficientPrivilege | pg.ReadOnlySqlTransaction):
        return StoreBroken(
            f"the database {name} can not be written ({said})",
            "give its user the rights on its tables, and connect to the primary",
        )
    if isinstance(error, IN_USE):
        return StoreBusy(
            f"the database {name} is busy ({said})", "nothing of this change was kept: do it again"
        )
    return unreachable(name, error)
