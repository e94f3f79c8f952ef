"""Which tools may be used without asking a person."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Literal

EDITS = frozenset({"write", "edit"})
COMMAND = "run"
RULE = re.compile(r"run\((.+)\)")
NOT_PLAIN = re.compile(r"[;&|<>$`\\\n(){}]")
"""What can make one command more than one, or something else than it looks like."""


class Permissions:
    """What agents.yaml allows, and what a person has allowed for the rest of the run."""

    def __init__(self, given: Literal["ask", "accept-edits"] | tuple[str, ...]) -> None:
        listed = given if isinstance(given, tuple) else ()
        self._tools = {name for name in listed if RULE.fullmatch(name) is None}
        self._patterns = [match[1] for name in listed if (match := RULE.fullmatch(name)) is not None]
        self._commands: set[str] = set()
        if given == "accept-edits":
            self._tools |= EDITS

    def allows(self, tool: str, command: str | None = None) -> bool:
        """Whether it may be used. A pattern allows plain commands only: nothing joined, no redirection."""
        if tool in self._tools or command is None:
            return tool in self._tools
        if command in self._commands:
            return True
        return NOT_PLAIN.search(command) is None and any(fnmatchcase(command, p) for p in self._patterns)

    def allow_always(self, tool: str, command: str | None = None) -> None:
        """Allow a tool, or one exact command, until the run ends."""
        if command is None:
            self._tools.add(tool)
        else:
            self._commands.add(command)
