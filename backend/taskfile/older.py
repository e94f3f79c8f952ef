"""The form of the first version: a heading, `KEY: value` lines, and more such lines added at the end.

Each key counts where it belongs. Keys of the header count before the first `## `, and the first of each;
keys of the lifecycle were added again at every turn, so that the last of each is true and all of them are
the task's history. Nothing in a fenced block is a key: a task may describe this very form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from backend.config.yamltree import Items, Mapping, Node, Scalar
from backend.taskfile.fields import NO, YES, Header, build
from backend.taskfile.model import TaskFile

HEADER_KEYS: Final = frozenset(
    {
        "ROLE", "PRIORITY", "BRANCH", "CREATED", "CREATED_AT", "CREATED_BY", "PROJECT", "PROJECT_ID",
        "BLOCKED_BY", "NEEDS", "CHECKS", "TYPE", "COMPLEXITY", "AUTO_ACCEPT", "BREAKDOWN_DEPTH", "SKIP_PR",
        "EXPEDITE",
    }
)  # fmt: skip
BOOLEAN_KEYS: Final = frozenset({"SKIP_PR", "EXPEDITE"})
LIFECYCLE_KEYS: Final = frozenset(
    {
        "CLAIMED_BY", "CLAIMED_AT", "SUBMITTED_AT", "COMMITS_COUNT", "TURNS_USED", "COMPLETED_AT",
        "FAILED_AT", "ACCEPTED_BY", "ACCEPTED_AT", "REJECTED_AT", "REJECTED_BY", "REVIEW_REJECTED_AT",
        "REVIEW_REJECTED_BY", "WIP_BRANCH", "LAST_AGENT", "CONTINUATION_REASON", "RE_BREAKDOWN_DEPTH",
    }
)  # fmt: skip

_KEY: Final = re.compile(r"([A-Z][A-Z0-9_]{0,63}):(?:[ \t]+(.*?))?[ \t]*")
_HEADING: Final = re.compile(r"#[ \t]+\S")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


@dataclass(slots=True)
class Fence:
    """Follows the fenced blocks of markdown, line by line."""

    _opener: str = ""

    def holds(self, line: str) -> bool:
        """Whether this line is part of a fenced block or begins or ends one."""
        match = _FENCE.fullmatch(line)
        if not self._opener:
            if match is None or (match[1][0] == "`" and "`" in match[2]):
                return False
            self._opener = match[1]
        elif match is not None and match[1].startswith(self._opener) and not match[2].strip():
            self._opener = ""
        return True


def first_heading(text: str) -> tuple[str | None, str]:
    """The text of the first `# ` heading, and the rest: without that line where it is the first."""
    fence = Fence()
    lines = text.strip("\n").split("\n")
    for number, line in enumerate(lines):
        if not fence.holds(line) and _HEADING.match(line):
            return line[1:].strip(), "\n".join(lines[1:] if number == 0 else lines)
    return None, text


@dataclass(slots=True)
class _Reader:
    entries: dict[str, Node] = field(default_factory=dict)
    history: list[Node] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    heading: str | None = None
    in_header: bool = True
    in_first_block: bool = True
    fence: Fence = field(default_factory=Fence)
    after_key: bool = True

    def read(self, line: str, number: int) -> None:
        if not self.fence.holds(line) and self._taken(line, number):
            self.after_key = True
        elif line.strip() or not self.after_key:
            self.body.append(line)
            self.after_key = False

    def _taken(self, line: str, number: int) -> bool:
        """Whether the line is the heading or a key, and so is no part of the body."""
        if self.heading is None and _HEADING.match(line):
            self.heading = line[1:].strip()
            return True
        if line.startswith("## "):
            self.in_header = False
        match = _KEY.fullmatch(line)
        if match is None:
            self.in_first_block = self.in_first_block and not line.strip()
            return False
        key, value = match[1], match[2] or ""
        if key in LIFECYCLE_KEYS:
            self.history.append(Mapping({key.lower(): Scalar(value, True, number)}, {}, number))
            return True
        name = key.lower()
        if not self.in_header or name in self.entries or not (key in HEADER_KEYS or self.in_first_block):
            return False
        self.entries[name] = _value(key, value, number)
        return True


def _value(key: str, value: str, number: int) -> Node:
    if value == "None":
        return Scalar("", False, number)
    if key in BOOLEAN_KEYS and value.lower() in YES | NO:
        return Scalar("true" if value.lower() in YES else "false", False, number)
    return Scalar(value, value != "" and not value.isdecimal(), number)


def read_older(text: str, name: str) -> TaskFile:
    """Read a file that has no YAML header.

    Raises:
        BadInput: with file, line, reason and what would be right.
    """
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        reader.read(line, number)
    if reader.history:
        reader.entries["history"] = Items(tuple(reader.history), 1)
    header = Header(name, reader.entries, add_prefix=True)
    return build(header, reader.heading, "\n".join(reader.body))
