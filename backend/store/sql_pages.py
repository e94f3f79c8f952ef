"""Pages of lists, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from backend.clock import from_ms
from backend.model import Evidence, Message, Queue, Run, Task, TaskFilter
from backend.pages import MessageFilter, Page, RunFilter, SessionFilter
from backend.sessions import Session
from backend.store.rows import Row, dump, evidence_of, message_of, run_of, task_of
from backend.store.sql import Session as Connection
from backend.store.sql_sessions import session_of
from backend.store.sql_tasks import filter_queues, filters

T = TypeVar("T")


class SqlPages:
    """Statements put together from blocks: what is not on the page is not read."""

    def __init__(
        self, connection: Connection, statements: Mapping[str, str], filter_statements: Mapping[str, str]
    ) -> None:
        self._execute = connection.execute
        self._sql = {**filter_statements, **statements}

    def find(self, wanted: TaskFilter, page: Page) -> list[Task]:
        statement, values = page_statement(self._sql, wanted, page)
        return [task_of(row) for row in self._execute(statement, values)]

    def count(self, wanted: TaskFilter) -> int:
        queue_names, queue_values = filter_queues(wanted)
        names, values = filters(wanted)
        statement = "\n".join(self._sql[name] for name in ("count_tasks", *queue_names, *names))
        return int(self._execute(statement, queue_values | values).fetchone()[0])

    def place(self, noun: str, its_id: str) -> int | None:
        """Where a row is among all of its kind; None when there is none with this id."""
        row = self._execute(self._sql[f"place_of_{noun}"], {"id": its_id}).fetchone()
        return None if row is None else int(row[0])

    def runs(self, wanted: RunFilter, after: int, limit: int) -> list[Run]:
        names = ["only_task"] * (wanted.task_id is not None) + ["only_live_runs"] * wanted.live
        return self._rows("runs", names, {"task_id": wanted.task_id}, run_of, after, limit)

    def sessions(self, wanted: SessionFilter, after: int, limit: int, now: int) -> list[Session]:
        names = ["only_task"] * (wanted.task_id is not None)
        names += ["only_machine"] * (wanted.orchestrator_id is not None)
        names += ["only_open_sessions"] * wanted.live
        values = {"task_id": wanted.task_id, "orchestrator_id": wanted.orchestrator_id}
        at = from_ms(now)
        return self._rows("sessions", names, values, lambda row: session_of(row, at), after, limit)

    def messages(self, wanted: MessageFilter, after: int, limit: int) -> list[Message]:
        names = ["only_conversation"] * (wanted.conversation_id is not None)
        names += ["only_of_unfinished"] * wanted.unfinished
        names += ["only_open_messages"] * wanted.open
        names += ["only_undelivered"] * (wanted.undelivered is not None)
        values = {
            "conversation_id": wanted.conversation_id,
            "run_ids": dump(list(wanted.undelivered or ())),
        }
        return self._rows("messages", names, values, message_of, after, limit)

    def evidence(self, after: int, limit: int) -> list[Evidence]:
        return self._rows("evidence", [], {}, evidence_of, after, limit)

    def _rows(
        self,
        noun: str,
        names: list[str],
        values: Mapping[str, object],
        read: Callable[[Row], T],
        after: int,
        limit: int,
    ) -> list[T]:
        blocks = (f"page_of_{noun}", *names, "page_rows_end")
        statement = "\n".join(self._sql[name] for name in blocks)
        return [read(row) for row in self._execute(statement, {**values, "after": after, "limit": limit})]


def page_statement(sql: Mapping[str, str], wanted: TaskFilter, page: Page) -> tuple[str, dict[str, object]]:
    """The statement for a page, and its values.

    The states are few and their own, so they stand in it as they are: each is walked through its own part of
    the index, and only as far as the page reaches.
    """
    names, values = filters(wanted)
    values |= {"limit": page.limit, "offset": page.offset, "reach": page.offset + page.limit}
    if page.after is not None:
        names = (*names, "page_after")
        place = page.after
        values |= {"priority": place.priority, "fresh": int(not place.rejected), "after_id": place.task_id}
    rest = "\n".join(sql[name] for name in (*names, "page_of_queue_end"))
    queues = sorted(wanted.queues or Queue)
    states = (f"{sql['page_of_queue'].format(queue=queue.value)}\n{rest}" for queue in queues)
    return "\n".join((sql["page_begin"], "\nUNION ALL\n".join(states), sql["page_end"])), values
