"""From the values of a header, of either form, to a checked `TaskFile`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeVar

from backend.config.branch import check_branch
from backend.config.yamltree import Items, Mapping, Node, Scalar, plain_value, resolve
from backend.errors import BadInput
from backend.ids import check_id
from backend.model import Complexity, Priority, TaskType
from backend.taskfile.model import HistoryEntry, TaskFile

E = TypeVar("E", bound=StrEnum)

TITLE_MAX: Final = 500
NAME_MAX: Final = 200

ALIASES: Final = {"project": "project_id", "created": "created_at", "base_branch": "branch"}
"""Other names under which a key is read."""

YES: Final = frozenset({"true", "yes", "1"})
NO: Final = frozenset({"false", "no", "0"})

GOOD_HEADER: Final = (
    "a header is a line ---, then lines such as `title: Fix the login`, `role: implement`, "
    "`priority: P1`, `blocked_by: [TASK-1]`, and another line ---"
)
HEADING: Final = re.compile(r"\[([A-Z][A-Z0-9]*-[^\]\s]+)\][ \t]+(\S.*)")
"""`[TASK-7d21f0aa] Title`, as the text of a heading."""

_BARE_ID: Final = re.compile(r"[0-9a-f]{8}")


@dataclass(slots=True)
class Header:
    """The values of a header by key; takes one after the other, and what is left is `extra`."""

    file: str
    entries: dict[str, Node]
    add_prefix: bool = False
    """Whether ids are of the form in which `7d21f0aa` and `TASK-7d21f0aa` are the same task."""

    def fail(self, line: int, reason: str, hint: str = "") -> NoReturn:
        raise BadInput(f"{self.file}:{line}: {reason}", hint)

    def rename_aliases(self) -> None:
        for alias, key in ALIASES.items():
            if alias in self.entries:
                node = self.entries.pop(alias)
                if key in self.entries:
                    self.fail(node.line, f"{alias} and {key} are both given", f"keep {key}")
                self.entries[key] = node

    def text(self, key: str, limit: int = NAME_MAX) -> str | None:
        """One line of text; None if there is none."""
        node = self.entries.pop(key, None)
        if node is None:
            return None
        return self._line_of(key, node, limit)

    def checked(self, key: str, check: Callable[[str, str], str]) -> str | None:
        node = self.entries.get(key)
        value = self.text(key)
        return None if node is None or value is None else self._check(key, node, value, check)

    def identity(self, key: str) -> str | None:
        """An id, in the one form that is used everywhere."""
        value = self.checked(key, check_id)
        return None if value is None else self.canonical(value)

    def canonical(self, task_id: str) -> str:
        return f"TASK-{task_id}" if self.add_prefix and _BARE_ID.fullmatch(task_id) else task_id

    def identities(self, key: str) -> tuple[str, ...]:
        node = self.entries.get(key)
        values = self.names(key)
        if node is None:
            return ()
        checked = (self.canonical(self._check(key, node, value, check_id)) for value in values)
        return tuple(dict.fromkeys(checked))

    def names(self, key: str) -> tuple[str, ...]:
        """A list, or names with commas between them."""
        node = self.entries.pop(key, None)
        if node is None:
            return ()
        if isinstance(node, Mapping):
            self.fail(node.line, f"{key} must be a list", f"for example `{key}: [one, two]`")
        if isinstance(node, Items):
            found = [self._line_of(key, item, NAME_MAX) for item in node.items]
        else:
            found = [part.strip() for part in (self._line_of(key, node, 10_000) or "").split(",")]
        return tuple(name for name in found if name and name != "None")

    def word(self, key: str, kind: type[E], change: Callable[[str], str]) -> E | None:
        node = self.entries.get(key)
        value = self.text(key)
        if node is None or value is None:
            return None
        try:
            return kind(change(value))
        except ValueError:
            valid = ", ".join(member.value for member in kind)
            self.fail(node.line, f"{key} is {value[:40]!r}", f"use one of {valid}")

    def boolean(self, key: str) -> bool:
        node = self.entries.get(key)
        value = self.text(key)
        if node is None or value is None:
            return False
        if value.lower() not in YES | NO:
            self.fail(node.line, f"{key} is {value[:40]!r}", "write true or false")
        return value.lower() in YES

    def time(self, key: str) -> datetime | None:
        """A time; without a zone it is taken as UTC, and kept to the millisecond."""
        node = self.entries.get(key)
        value = self.text(key)
        if node is None or value is None:
            return None
        try:
            at = datetime.fromisoformat(value)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(node.line, f"{key} is {value[:40]!r}, no time", "write it like 2026-02-10T17:40:03Z")
        return at.replace(microsecond=at.microsecond // 1000 * 1000)

    def history(self) -> tuple[HistoryEntry, ...]:
        """What was added to the task's file over time, oldest first."""
        node = self.entries.pop("history", None)
        if node is None:
            return ()
        entries = []
        for item in node.items if isinstance(node, Items) else (node,):
            for key, value in item.entries.items() if isinstance(item, Mapping) else ((None, item),):
                if key is None or not isinstance(value, Scalar):
                    self.fail(value.line, "history must be a list of keys and values", "remove it")
                entries.append(HistoryEntry(key, value.text))
        return tuple(entries)

    def _line_of(self, key: str, node: Node, limit: int) -> str | None:
        if not isinstance(node, Scalar):
            self.fail(node.line, f"{key} must be a single value", GOOD_HEADER)
        if not node.quoted and resolve(node.text) is None:
            return None
        line = " ".join(node.text.split())
        if len(line) > limit:
            self.fail(node.line, f"{key} is longer than {limit} characters", "put the rest into the body")
        return line or None

    def _check(self, key: str, node: Node, value: str, check: Callable[[str, str], str]) -> str:
        try:
            return check(value, key)
        except BadInput as error:
            self.fail(node.line, error.problem, error.next_step)


def build(header: Header, heading: str | None, body: str) -> TaskFile:
    """The task of a header, its heading and its body.

    Args:
        heading: the text of the first heading, for files whose header has no title.

    Raises:
        BadInput: naming file, line, key and what would be right.
    """
    header.rename_aliases()
    heading_id, heading_title = split_heading(heading)
    if heading_id is not None and "id" not in header.entries:
        header.entries["id"] = Scalar(heading_id, True, 1)
    title = header.text("title", TITLE_MAX) or heading_title
    if title is None:
        header.fail(1, "there is no title", "add `title: …` to the header, or a line `# Title`")
    if len(title) > TITLE_MAX:
        header.fail(1, f"the title is longer than {TITLE_MAX} characters", "put the rest into the body")
    known: dict[str, Any] = {
        "id": header.identity("id"),
        "role": header.checked("role", check_id),
        "priority": header.word("priority", Priority, str.upper) or Priority.P2,
        "branch": header.checked("branch", check_branch),
        "project_id": header.checked("project_id", check_id),
        "blocked_by": header.identities("blocked_by"),
        "needs": header.names("needs"),
        "checks": header.names("checks"),
        "type": header.word("type", TaskType, str.lower),
        "complexity": header.word("complexity", Complexity, str.upper),
        "auto_accept": header.boolean("auto_accept"),
        "created_at": header.time("created_at"),
        "created_by": header.text("created_by"),
        "history": header.history(),
    }
    extra = {key: plain_value(node) for key, node in header.entries.items()}
    return TaskFile(title=title, body=body.strip(), extra=extra, **known)


def split_heading(heading: str | None) -> tuple[str | None, str | None]:
    """The id and the title of a heading; each None if there is none."""
    if heading is None:
        return None, None
    match = HEADING.fullmatch(heading)
    if match is None:
        return None, " ".join(heading.split()) or None
    return match[1], " ".join(match[2].split())
