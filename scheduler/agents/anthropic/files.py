"""Reading and changing files of the worktree, and nothing else: blocking functions with bounded results."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

READ_LIMIT = 8 << 20
TEXT_LIMIT = 60_000
LIST_LIMIT = 1000
GIT = ".git"


class ToolError(Exception):
    """Why a tool could not be used, for the model to read."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a file is to become; `old` is None where there is none yet."""

    path: Path
    name: str
    old: str | None
    new: str


class Folder:
    """The worktree. A name that leads out of it, in whatever way, is refused."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve(strict=True)

    def inside(self, name: str, *, change: bool = False) -> Path:
        """The real path of a name.

        Raises:
            ToolError: it is outside of the worktree, or is git's own and would be changed.
        """
        try:
            path = (self.root / name).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise ToolError(f"{name!r} is no usable path: {error}") from error
        if not path.is_relative_to(self.root):
            raise ToolError(f"{name!r} is outside of the working directory, and that is not allowed")
        if change and GIT in (part.lower() for part in path.relative_to(self.root).parts):
            raise ToolError(f"{name!r} belongs to git; use git to change it")
        return path

    def name(self, path: Path) -> str:
        return str(path.relative_to(self.root))

    def read(self, name: str, first_line: int, lines: int) -> str:
        """A part of a text file."""
        found = _read(self.inside(name), name).splitlines(keepends=True)
        start = max(first_line, 1) - 1
        text, shown = "", 0
        for line in islice(found, start, start + max(lines, 1)):
            if shown and len(text) + len(line) > TEXT_LIMIT:
                break
            text, shown = text + line[:TEXT_LIMIT], shown + 1
        if shown == len(found):
            return text
        return f"{text}\n(lines {start + 1} to {start + shown} of {len(found)}; ask for others)"

    def list(self, name: str) -> str:
        """All files below a folder, without git's own."""
        top = self.inside(name)
        if not top.is_dir():
            raise ToolError(f"{name!r} is no folder")
        found: list[str] = []
        for where, folders, files in os.walk(top):
            folders[:] = sorted(folder for folder in folders if folder != GIT)
            found += [self.name(Path(where) / file) for file in sorted(files) if file != GIT]
            if len(found) > LIST_LIMIT:
                return "\n".join([*found[:LIST_LIMIT], "(and more: name a folder)"])
        return "\n".join(found) or "(no files)"

    def to_write(self, name: str, content: str) -> Change:
        path = self.inside(name, change=True)
        old = _read(path, name) if path.exists() else None
        return Change(path, self.name(path), old, content)

    def to_edit(self, name: str, old: str, new: str, *, everywhere: bool) -> Change:
        path = self.inside(name, change=True)
        text = _read(path, name)
        count = text.count(old) if old else 0
        if count == 0:
            raise ToolError(f"{name} does not hold that text; read it again, and give it exactly")
        if count > 1 and not everywhere:
            raise ToolError(f"{name} holds that text {count} times; give more of it, or say `everywhere`")
        return Change(path, self.name(path), text, text.replace(old, new))

    def apply(self, change: Change) -> str:
        """
        Raises:
            ToolError: the file has changed meanwhile, or cannot be written.
        """
        path = self.inside(change.name, change=True)
        now = _read(path, change.name) if path.exists() else None
        if now != change.old:
            raise ToolError(f"{change.name} has changed meanwhile; read it again")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(change.new, encoding="utf-8", newline="")
        except (OSError, UnicodeEncodeError) as error:
            raise ToolError(f"{change.name} cannot be written: {error}") from error
        return f"{change.name} was {'made' if change.old is None else 'changed'}"


def _read(path: Path, name: str) -> str:
    """A regular file's text, whatever else may lie under that name."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise ToolError(f"{name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ToolError(f"{name} is no file")
    with os.fdopen(fd, "rb") as file:
        data = file.read(READ_LIMIT + 1)
    if len(data) > READ_LIMIT:
        raise ToolError(f"{name} is larger than {READ_LIMIT >> 20} MiB; use `search`, or a command")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ToolError(f"{name} is no text (UTF-8)") from error
