"""Pages of a listing; a cursor says where the next begins, even when tasks have come or gone meanwhile."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import msgspec

from backend.errors import BadInput
from backend.interface import Backend
from backend.model import Priority, Task
from backend.pages import Page, Pager, Place, TaskPage, place_of
from backend.server.bodies import TaskQuery

CURSOR_LIMIT = 500


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the page before ended, how many tasks there were up to there, and how many in all."""

    priority: Priority
    rejected: bool
    task_id: str
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class Found:
    """A page, where it begins, how many tasks there are in all, and the cursor of the next page."""

    tasks: tuple[Task, ...]
    start: int
    total: int
    next_cursor: str | None


async def find_page(backend: Backend, wanted: TaskQuery) -> Found:
    """The page that a query asks for.

    Raises:
        BadInput: the cursor is none, or comes with an offset.
    """
    cursor = _read(wanted.cursor) if wanted.cursor is not None else None
    if cursor is not None and wanted.offset:
        raise BadInput("cursor and offset say the same", "give one of them")
    after = None if cursor is None else Place(cursor.priority, cursor.rejected, cursor.task_id)
    page = Page(wanted.limit, wanted.offset, after)
    if isinstance(backend, Pager):
        got = await backend.page_tasks(wanted.as_filter(None), page)
    else:
        got = _cut(
            [task for task in await backend.list_tasks(wanted.as_filter(None)) if wanted.matches(task)], page
        )
    start = wanted.offset if cursor is None else cursor.count
    end = start + len(got.tasks)
    total = got.total if got.total is not None else cursor.total if cursor is not None else end
    total = max(total, end)
    return Found(
        got.tasks, start, total, _next(got.tasks[-1], end, total) if got.more and got.tasks else None
    )


def _cut(rows: list[Task], page: Page) -> TaskPage:
    """A page of rows that are all here."""
    start = page.offset
    if page.after is not None:
        places = (number for number, task in enumerate(rows, 1) if task.id == page.after.task_id)
        start = next(places, len(rows))
    end = start + page.limit
    return TaskPage(tuple(rows[start:end]), end < len(rows), len(rows))


def _next(last: Task, end: int, total: int) -> str:
    place = place_of(last)
    raw = msgspec.json.encode(_Cursor(place.priority, place.rejected, place.task_id, end, total))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _read(text: str) -> _Cursor:
    try:
        raw = base64.urlsafe_b64decode(text[:CURSOR_LIMIT] + "=" * (-len(text) % 4))
        cursor = msgspec.json.decode(raw, type=_Cursor)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise BadInput(f"cursor {text[:40]!r} is none", "use the next_cursor of a page") from error
    if not 0 <= cursor.count <= cursor.total:
        raise BadInput(f"cursor {text[:40]!r} is none", "use the next_cursor of a page")
    return cursor
