"""A session with PostgreSQL: statements whose answer nobody reads yet travel together with the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import RowMaker
from psycopg.types.numeric import Int8Dumper

from backend.store.sql import load

SESSION = load("postgres_session")
PREPARED = 500
"""Statements kept prepared: every statement there is, several times over for values that are NULL."""
NETWORK: dict[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "octopoid",
}
"""A server that is gone without a word is noticed within about ten seconds. What the URL says goes first."""

DISMISSALS = ("57P", "08")
"""How an error's code begins when the server ends the session."""


class Row:
    """A row whose values are read by column name or place."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: Mapping[str, int], values: Sequence[Any]) -> None:
        self._places = places
        self._values = values

    def __getitem__(self, name: str | int, /) -> Any:
        return self._values[name if isinstance(name, int) else self._places[name]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def keys(self) -> Mapping[str, int]:
        return self._places


def row_maker(cursor: psycopg.Cursor[Any]) -> RowMaker[Row]:
    # Not from `cursor.description`, which makes an object for each column and asks for its type.
    result = cursor.pgresult
    names = [] if result is None else [result.fname(place) or b"" for place in range(result.nfields)]
    places = {name.decode(): place for place, name in enumerate(names)}
    return lambda values: Row(places, values)


class Answer:
    """What a statement gives: it is sent, with all before it, when this is first looked at."""

    __slots__ = ("_cursor", "_flush", "statement", "values")

    def __init__(
        self, statement: str, values: Mapping[str, object] | None, flush: Callable[[], None]
    ) -> None:
        self.statement = statement
        self.values = values
        self._flush = flush
        self._cursor: psycopg.Cursor[Row] | None = None

    def give(self, cursor: psycopg.Cursor[Row]) -> None:
        self._cursor = cursor

    def _given(self) -> psycopg.Cursor[Row]:
        if self._cursor is None:
            self._flush()
        if self._cursor is None:
            raise RuntimeError("the transaction of this statement is over")
        return self._cursor

    @property
    def rowcount(self) -> int:
        return self._given().rowcount

    def fetchone(self) -> Row | None:
        return self._given().fetchone()

    def fetchall(self) -> list[Row]:
        return self._given().fetchall()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.fetchall())


class PostgresSession:
    """One connection, its waiting statements, and its transaction. Used by one thread at a time."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self.connection = connection
        self._waiting: list[Answer] = []
        self._dismissed = False

    def execute(self, statement: str, values: Mapping[str, object] | None = None, /) -> Answer:
        answer = Answer(statement, None if values is None else storable(values), self.flush)
        self._waiting.append(answer)
        return answer

    def executemany(self, statement: str, values: Sequence[Mapping[str, object]], /) -> None:
        for each in values:
            self.execute(statement, each)

    def flush(self) -> None:
        """Send what is waiting, in one round trip, and take the answers."""
        waiting, self._waiting = self._waiting, []
        try:
            if len(waiting) == 1:
                self._send(waiting[0])
                return
            with self.connection.pipeline():
                for answer in waiting:
                    self._send(answer)
        except psycopg.Error as error:
            self._dismissed = (error.sqlstate or "").startswith(DISMISSALS)
            raise

    def _send(self, answer: Answer) -> None:
        answer.give(self.connection.execute(answer.statement, answer.values))

    def rollback(self) -> None:
        self._waiting.clear()
        if self.connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            self.connection.execute("ROLLBACK")

    @property
    def lost(self) -> bool:
        """Whether the connection is gone; a server that shuts down says so before it is."""
        return self.connection.closed or self._dismissed


def connect(url: str) -> psycopg.Connection[Row]:
    """A connection with the settings the store relies on.

    Raises:
        psycopg.Error: the server cannot be reached, or does not let us in.
    """
    given: dict[str, Any] = {**NETWORK, **conninfo_to_dict(url), "client_encoding": "utf8"}
    connection = psycopg.Connection[Row].connect(
        make_conninfo(**given), autocommit=True, row_factory=row_maker
    )
    connection.prepare_threshold = 0
    connection.prepared_max = PREPARED
    # One type for every number, whatever its size: else each size is a statement of its own to prepare.
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.execute(SESSION["settings"])
    return connection


def storable(values: Mapping[str, object]) -> dict[str, object]:
    """Values as PostgreSQL takes them: it has no character NUL, which becomes U+FFFD."""
    return {name: clean(value) if isinstance(value, str) else value for name, value in values.items()}


def clean(text: str) -> str:
    return text.replace("\x00", "\ufffd") if "\x00" in text else text
