"""Cursors: where the next page begins, even when tasks have come or gone meanwhile."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from backend.errors import BadInput
from backend.model import Task
from backend.server.bodies import TaskQuery

CURSOR_LIMIT = 500


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last task of a page, and how many there were up to it."""

    last_id: str
    count: int


def next_cursor(page: Sequence[Task], start: int, total: int) -> str | None:
    """Names the end of this page; None when nothing comes after it."""
    end = start + len(page)
    if not page or end >= total:
        return None
    raw = msgspec.json.encode(_Cursor(page[-1].id, end))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def start_of(rows: Sequence[Task], wanted: TaskQuery) -> int:
    """Where the wanted page begins within all rows: after the last task seen, if it is still there.

    Raises:
        BadInput: the cursor is none, or comes with an offset.
    """
    if wanted.cursor is None:
        return wanted.offset
    if wanted.offset:
        raise BadInput("cursor and offset say the same", "give one of them")
    cursor = _read(wanted.cursor)
    places = (place for place, task in enumerate(rows, 1) if task.id == cursor.last_id)
    return next(places, min(cursor.count, len(rows)))


def _read(text: str) -> _Cursor:
    try:
        raw = base64.urlsafe_b64decode(text[:CURSOR_LIMIT] + "=" * (-len(text) % 4))
        cursor = msgspec.json.decode(raw, type=_Cursor)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise BadInput(f"cursor {text[:40]!r} is none", "use the next_cursor of a page") from error
    if cursor.count < 0:
        raise BadInput(f"cursor {text[:40]!r} is none", "use the next_cursor of a page")
    return cursor
