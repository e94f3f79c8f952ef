"""Pages of lists: what is asked for, what comes back, and where the next one begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from backend.model import Evidence, Message, Priority, Run, Task, TaskFilter
from backend.sessions import Session

EVERYTHING = 2**31
"""The limit that means "all"."""


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


@dataclass(frozen=True, slots=True)
class Span:
    """At most `limit` rows in the order in which they came: those after the row with this id, or the first.

    Such rows are never deleted, and new ones come at the end: nothing that is there when the first page is
    read is left out. A row that is being written meanwhile may be: the events tell what is new.
    """

    limit: int
    after: str | None = None
    at: int = 0
    """When that row came, in ms: for whoever has the list alone, which that row may have left since."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list; `live` is for those that have not ended."""

    task_id: str | None = None
    live: bool = False


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions to list; `live` is for those that have not ended."""

    task_id: str | None = None
    orchestrator_id: str | None = None
    live: bool = False


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages to list.

    Those of one conversation, of unfinished tasks, open requests, or answers that these runs have not got.
    """

    conversation_id: str | None = None
    unfinished: bool = False
    open: bool = False
    undelivered: tuple[str, ...] | None = None


@runtime_checkable
class Pager(Protocol):
    """A backend that need not read a whole list to give a page of it."""

    async def page_tasks(self, wanted: TaskFilter, page: Page) -> TaskPage:
        """The page in claim order; the limit of `wanted` is not looked at."""
        ...

    async def page_runs(self, wanted: RunFilter, span: Span) -> list[Run]:
        """Runs in order of their start.

        Raises:
            BadInput: there is no run to go on after.
        """
        ...

    async def page_sessions(self, wanted: SessionFilter, span: Span) -> list[Session]:
        """Sessions in order of their beginning; raises as `page_runs`."""
        ...

    async def page_messages(self, wanted: MessageFilter, span: Span) -> list[Message]:
        """Messages in the order in which they were written; raises as `page_runs`."""
        ...

    async def page_evidence(self, span: Span) -> list[Evidence]:
        """Evidence of unfinished tasks in the order in which it came; raises as `page_runs`."""
        ...


def place_of(task: Task) -> Place:
    return Place(task.priority, task.rejection_count > 0, task.id)
