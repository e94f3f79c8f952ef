"""Pages of tasks, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping

from backend.model import Queue, Task, TaskFilter
from backend.pages import Page
from backend.store.rows import task_of
from backend.store.sql import Session
from backend.store.sql_tasks import filter_queues, filters


class SqlPages:
    """Statements put together from blocks: what is not on the page is not read."""

    def __init__(
        self, connection: Session, statements: Mapping[str, str], filter_statements: Mapping[str, str]
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
