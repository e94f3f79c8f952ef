"""Pages of a listing; a cursor says where the next begins, even when rows have come or gone meanwhile."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import msgspec
from starlette.responses import Response

from backend.clock import to_ms
from backend.errors import BadInput
from backend.interface import Backend
from backend.model import Evidence, Json, Message, Priority, Run, Task
from backend.pages import (
    MessageFilter,
    Page,
    Pager,
    Place,
    RunFilter,
    SessionFilter,
    Span,
    TaskPage,
    place_of,
)
from backend.server.bodies import TaskQuery
from backend.server.wire import respond_rows
from backend.sessions import Session

CURSOR_LIMIT = 500


class Spanned(Protocol):
    """A query for a page of rows in the order in which they came."""

    @property
    def limit(self) -> int: ...

    @property
    def cursor(self) -> str | None: ...


Row = TypeVar("Row", Run, Session, Message, Evidence)
Read = Callable[[Span], Awaitable[list[Row]]]


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
        raise BadInput("cursor and offset both say where the page begins", "give one of them")
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


async def respond_span(
    name: str,
    wanted: Spanned,
    read: Read[Row],
    row_json: Callable[[Row], Json],
    fits: Callable[[Row], bool] = lambda row: True,
) -> Response:
    """A page of rows in the order in which they came, and the cursor of the next.

    Raises:
        BadInput: the cursor is none.
    """
    after = _After() if wanted.cursor is None else _decode(wanted.cursor, _After)
    rows: list[Row] = []
    while len(rows) <= wanted.limit:  # one more than is shown says whether there is a next page
        got = await read(Span(wanted.limit + 1, after.row_id, after.at))
        rows += filter(fits, got)
        if len(got) <= wanted.limit:
            break
        after = _After(got[-1].id, _came(got[-1]))
    shown = rows[: wanted.limit]
    last = _After(shown[-1].id, _came(shown[-1])) if len(rows) > wanted.limit else None
    return await respond_rows(name, shown, row_json, next_cursor=None if last is None else _encode(last))


def read_runs(backend: Backend, wanted: RunFilter) -> Read[Run]:
    if isinstance(backend, Pager):
        return partial(backend.page_runs, wanted)
    return _whole(lambda: backend.list_runs(task_id=wanted.task_id, live=wanted.live))


def read_sessions(backend: Backend, wanted: SessionFilter) -> Read[Session]:
    if isinstance(backend, Pager):
        return partial(backend.page_sessions, wanted)

    async def every() -> list[Session]:
        rows = await backend.list_sessions(task_id=wanted.task_id, live=wanted.live)
        return [row for row in rows if wanted.orchestrator_id in (None, row.orchestrator_id)]

    return _whole(every)


def read_messages(backend: Backend, wanted: MessageFilter) -> Read[Message]:
    if isinstance(backend, Pager):
        return partial(backend.page_messages, wanted)
    return _whole(lambda: _all_messages(backend, wanted))


def read_evidence(backend: Backend) -> Read[Evidence]:
    if isinstance(backend, Pager):
        return backend.page_evidence

    async def every() -> list[Evidence]:
        return sorted(await backend.unfinished_evidence(), key=_came)

    return _whole(every)


def _whole(every: Callable[[], Awaitable[list[Row]]]) -> Read[Row]:
    """Pages of a list that is there as a whole only: it is asked for once for each request."""
    rows: list[Row] | None = None

    async def read(span: Span) -> list[Row]:
        nonlocal rows
        if rows is None:
            rows = await every()
        return _cut_rows(rows, span)

    return read


async def _all_messages(backend: Backend, wanted: MessageFilter) -> list[Message]:
    if wanted.conversation_id is not None:
        return await backend.list_messages(wanted.conversation_id)
    if wanted.unfinished:
        return await backend.unfinished_messages()
    if wanted.undelivered is not None:
        return await backend.undelivered(wanted.undelivered)
    return await backend.open_questions()


def _cut_rows(rows: Sequence[Row], span: Span) -> list[Row]:
    """A page of rows that are all here.

    When the row to go on after has left the list, what came in its millisecond may be there twice.
    """
    start = 0
    if span.after is not None:
        known = (number for number, row in enumerate(rows, 1) if row.id == span.after)
        later = (number for number, row in enumerate(rows) if _came(row) >= span.at)
        start = next(known, next(later, len(rows)))
    return list(rows[start : start + span.limit])


def _came(row: Run | Session | Message | Evidence) -> int:
    match row:
        case Run():
            return to_ms(row.started_at)
        case Evidence():
            return to_ms(row.at)
        case _:
            return to_ms(row.created_at)


class _After(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last row of the page before, and when it came."""

    row_id: str | None = None
    at: int = 0


def _next(last: Task, end: int, total: int) -> str:
    place = place_of(last)
    return _encode(_Cursor(place.priority, place.rejected, place.task_id, end, total))


def _read(text: str) -> _Cursor:
    cursor = _decode(text, _Cursor)
    if not 0 <= cursor.count <= cursor.total:
        raise _no_cursor(text)
    return cursor


C = TypeVar("C", _Cursor, _After)


def _encode(cursor: _Cursor | _After) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _decode(text: str, kind: type[C]) -> C:
    try:
        raw = base64.urlsafe_b64decode(text[:CURSOR_LIMIT] + "=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise _no_cursor(text) from error


def _no_cursor(text: str) -> BadInput:
    return BadInput(
        f"cursor {text[:40]!r} is not one that this server gave",
        "use the next_cursor of a page, or leave it out to begin with the first",
    )
