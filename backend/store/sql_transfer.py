"""Whole records out of a store and into an empty one, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backend.store.rows import Row, evidence_of, message_of, run_of, task_of
from backend.store.sql import Session

PAGE = 500


class SqlTransfer:
    """What only an export and an import need.

    Args:
        mark: how the dialect writes a value's place in a statement, as `:{}`.
        settle: writes what waits to be written to the log.
        audit: what the store finds wrong with itself.
    """

    def __init__(
        self,
        session: Session,
        statements: Mapping[str, str],
        mark: str,
        settle: Callable[[], object],
        audit: Callable[[], list[str]],
    ) -> None:
        self._execute = session.execute
        self._sql = statements
        self._mark = mark
        self.settle = settle
        self.audit = audit

    def be_patient(self) -> None:
        self._execute(self._sql["be_patient"], {}).fetchone()

    def is_empty(self) -> bool:
        return int(self._execute(self._sql["count_state"], {}).fetchone()[0]) == 0

    def tasks(self) -> Iterator[tuple[Any, str]]:
        for row in self._rows("page_tasks"):
            yield task_of(row), row["created_as"]

    def runs(self) -> Iterator[Any]:
        return map(run_of, self._rows("page_runs"))

    def evidence(self) -> Iterator[Any]:
        return map(evidence_of, self._rows("page_evidence"))

    def messages(self) -> Iterator[Any]:
        return map(message_of, self._rows("page_messages"))

    def insert(self, table: str, values: Mapping[str, object], *, unless_known: bool = False) -> None:
        """Store a row; table and columns are ours, never a caller's text."""
        columns = ", ".join(values)
        places = ", ".join(self._mark.format(name) for name in values)
        end = " ON CONFLICT DO NOTHING" if unless_known else ""
        self._execute(f"INSERT INTO {table} ({columns}) VALUES ({places}){end}", values)

    def _rows(self, name: str) -> Iterator[Row]:
        after = 0
        while True:
            page = self._execute(self._sql[name], {"after": after, "limit": PAGE}).fetchall()
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1]["seq"]
