"""Pages of tasks: what is asked for, what comes back, and where the next one begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from backend.model import Priority, Task, TaskFilter


@dataclass(frozen=True, slots=True)
class Place:
    """A task's place in claim order, as it was when it was seen: the task itself may have moved on."""

    priority: Priority
    rejected: bool
    task_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """At most `limit` tasks: those after a place, or else after the first `offset`."""

    limit: int
    offset: int = 0
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """The tasks of a page.

    `total` is how many there are in all; None on a later page when they would have to be counted for it.
    """

    tasks: tuple[Task, ...]
    more: bool
    total: int | None


@runtime_checkable
class Pager(Protocol):
    """A backend that need not read every task to give a page of them."""

    async def page_tasks(self, wanted: TaskFilter, page: Page) -> TaskPage:
        """The page in claim order; the limit of `wanted` is not looked at."""
        ...


def place_of(task: Task) -> Place:
    return Place(task.priority, task.rejection_count > 0, task.id)
