"""What an agent asks of the scheduler through files in `outbox/`, read as what it is: hostile.

A request is one JSON object in `<id>.json`, written under a name that begins with `.` or ends in `.tmp`
and renamed: `{"kind": "ask", ...}`. Everything besides `kind` is its payload.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BadInput
from backend.ids import check_id
from scheduler.runs import durable

ITEM_LIMIT = 1 << 20
READ_LIMIT = 8 << 20  # of one call, so that memory stays bounded however many items there are
ENTRY_LIMIT = 1000
STAMP_S = 1.0  # far more than a file system's stamps of time are apart
KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One request of an agent."""

    id: str
    kind: str
    payload: dict[str, object]


@dataclass(frozen=True, slots=True)
class BadOutboxItem:
    """Something in the outbox that is no request; `id` is empty when not even its name is usable."""

    id: str
    name: str
    reason: str


class OutboxWatch:
    """Whether an outbox may hold something new: cheaper than reading it, for one that is looked at often."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: int | None = None
        self._since = 0.0
        self._emptied = False

    def changed(self) -> bool:
        """Whether anything may have come since it was read and nothing new was in it."""
        try:
            # The time of change is the kernel's own; an agent can set the others.
            stamp = os.stat(self._path, follow_symlinks=False).st_ctime_ns
        except OSError:
            return True  # reading it says what is wrong
        if stamp != self._stamp:
            self._stamp, self._since, self._emptied = stamp, time.monotonic(), False
        return not self._emptied

    def emptied(self) -> None:
        """It was read after `changed`, and held nothing new.

        That counts only once the last change is old: stamps are coarse, and a change just after the reading
        may bear the same.
        """
        self._emptied = time.monotonic() - self._since > STAMP_S


def read_outbox(directory: int, seen: frozenset[str]) -> list[OutboxItem | BadOutboxItem]:
    """The items of a run directory's outbox whose ids are not in `seen`, oldest first.

    At most 8 MiB are read in one call; the rest comes when the first ones are in `seen`.
    """
    try:
        outbox = durable.open_directory("outbox", directory)
    except OSError as error:
        return [BadOutboxItem("", "outbox", f"the outbox is not a readable directory ({error.strerror})")]
    try:
        return _read_items(outbox, seen)
    finally:
        os.close(outbox)


def _read_items(outbox: int, seen: frozenset[str]) -> list[OutboxItem | BadOutboxItem]:
    found: list[OutboxItem | BadOutboxItem] = []
    names, complete = _new_names(outbox, seen)
    if not complete:
        found.append(BadOutboxItem("", "outbox", f"holds more than {ENTRY_LIMIT} new files; the others wait"))
    budget = READ_LIMIT
    for name in names:
        size, item = _read_item(outbox, name)
        budget -= size
        found.append(item)
        if budget <= 0:
            break
    return found


def _new_names(outbox: int, seen: frozenset[str]) -> tuple[list[str], bool]:
    """Names of finished items, oldest first, and whether these are all."""
    dated: list[tuple[int, str]] = []
    with os.scandir(outbox) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(".tmp") or _id_of(entry.name) in seen:
                continue
            if len(dated) == ENTRY_LIMIT:
                return [name for _, name in sorted(dated)], False
            try:
                dated.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
            except FileNotFoundError:
                continue
    return [name for _, name in sorted(dated)], True


def _id_of(name: str) -> str:
    return name.removesuffix(".json")


def _read_item(outbox: int, name: str) -> tuple[int, OutboxItem | BadOutboxItem]:
    """One item, and how many bytes it took."""
    item_id = ""
    data = b""
    shown = name.encode("utf-8", "backslashreplace").decode()
    try:
        if not name.endswith(".json"):
            raise ValueError("is not named <id>.json")
        item_id = check_id(_id_of(name), "outbox id")
        data = durable.read_regular(outbox, name, ITEM_LIMIT)
        return len(data), _parse(item_id, data)
    except BadInput as error:
        return 0, BadOutboxItem("", shown, str(error))
    except (OSError, durable.UnsafeFile, ValueError, RecursionError) as error:
        reason = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
        return len(data), BadOutboxItem(item_id, shown, reason[:300])


def _parse(item_id: str, data: bytes) -> OutboxItem:
    value = json.loads(data, object_pairs_hook=_object, parse_constant=_no_constant)
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")
    # A lone surrogate is valid in JSON and can be stored nowhere.
    json.dumps(value, ensure_ascii=False).encode()
    kind = value.pop("kind", None)
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        raise ValueError("has no usable 'kind' (lower-case letters, digits, '_', '-', at most 32)")
    return OutboxItem(item_id, kind, value)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("holds the same key twice")
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"holds {name}, which is not JSON")
