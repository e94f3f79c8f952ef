"""A unified diff of git as files, hunks and numbered lines. Pure; nothing in the text is trusted."""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

LineKind = Literal["file", "note", "hunk", "context", "added", "removed"]
FileStatus = Literal["modified", "added", "deleted", "renamed", "copied"]

_HUNK: Final = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)")
_ESCAPE: Final = re.compile(r'\\([abfnrtv"\\]|[0-7]{1,3})')
_ESCAPED: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, '"': 34, "\\": 92}
_KINDS: Final[dict[str, LineKind]] = {"+": "added", "-": "removed", " ": "context", "": "context"}


class DiffLine(NamedTuple):
    """One line of the view. A tuple, because a diff may have 100,000 of them."""

    kind: LineKind
    text: str
    """Without the sign in front."""
    old: int | None = None
    """Number in the old file, from 1."""
    new: int | None = None
    """Number in the new file, from 1."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """A stretch of changed lines with what surrounds them."""

    line: int
    """Index in the view of its header."""
    end: int
    """Index in the view behind its last line."""
    old_start: int
    new_start: int
    heading: str


@dataclass(frozen=True, slots=True)
class DiffFile:
    """One changed file."""

    path: str
    line: int
    """Index in the view of its header."""
    end: int
    """Index in the view behind its last line."""
    status: FileStatus
    added: int
    removed: int
    binary: bool
    renamed_from: str | None
    hunks: tuple[Hunk, ...]

    def hunk_at(self, index: int) -> int | None:
        """Number, from 0, of the hunk that holds a line of the view."""
        number = bisect_right(self.hunks, index, key=lambda hunk: hunk.line) - 1
        return number if number >= 0 and index < self.hunks[number].end else None


@dataclass(frozen=True, slots=True)
class DiffModel:
    """A whole diff. `lines` are those of the view, with one header for each file."""

    files: tuple[DiffFile, ...] = ()
    lines: tuple[DiffLine, ...] = ()


def parse_diff(text: str) -> DiffModel:
    """Read the output of `git diff`. What is not understood becomes a note; nothing is refused."""
    parser = _Parser()
    for line in text.removesuffix("\n").split("\n") if text else ():
        parser.feed(line)
    return parser.finish()


@dataclass(slots=True)
class _OpenFile:
    line: int
    path: str = ""
    old_path: str = ""
    status: FileStatus = "modified"
    added: int = 0
    removed: int = 0
    binary: bool = False
    has_names: bool = False
    hunks: list[Hunk] = field(default_factory=list)


class _Parser:
    def __init__(self) -> None:
        self._lines: list[DiffLine] = []
        self._files: list[DiffFile] = []
        self._file: _OpenFile | None = None
        self._hunk: Hunk | None = None
        self._old = self._new = 0
        self._old_left = self._new_left = 0

    def feed(self, line: str) -> None:
        # Only the counts of the header tell a removed "-- comment" from the "--- name" of a file.
        if self._old_left > 0 or self._new_left > 0:
            if line[:1] in _KINDS:
                self._body(line)
                return
            if not line.startswith("\\"):
                self._old_left = self._new_left = 0
        if line.startswith("\\"):
            self._note(line[1:].strip())
        elif match := _HUNK.match(line):
            self._start_hunk(line, match)
        elif line.startswith("diff --git "):
            self._start_file(_common_path(line[11:]))
        elif line.startswith("diff --c"):
            self._start_file(line.rsplit(" ", 1)[-1])
        else:
            self._header(line)

    def finish(self) -> DiffModel:
        self._close_file()
        return DiffModel(tuple(self._files), tuple(self._lines))

    def _body(self, line: str) -> None:
        assert self._file is not None
        kind = _KINDS[line[:1]]
        old = new = None
        if kind != "added":
            old = self._old
            self._old += 1
            self._old_left -= 1
        if kind != "removed":
            new = self._new
            self._new += 1
            self._new_left -= 1
        self._file.added += kind == "added"
        self._file.removed += kind == "removed"
        self._lines.append(DiffLine(kind, line[1:], old, new))

    def _start_hunk(self, line: str, match: re.Match[str]) -> None:
        if self._file is None:
            self._start_file("")
        self._close_hunk()
        old_start, old_count, new_start, new_count, heading = match.groups()
        self._old, self._new = int(old_start), int(new_start)
        self._old_left = int(old_count) if old_count else 1
        self._new_left = int(new_count) if new_count else 1
        index = len(self._lines)
        self._hunk = Hunk(index, index, self._old, self._new, heading)
        self._lines.append(DiffLine("hunk", line))

    def _start_file(self, path: str) -> None:
        self._close_file()
        self._file = _OpenFile(len(self._lines), path, path)
        self._lines.append(DiffLine("file", path))

    def _close_hunk(self) -> None:
        if self._hunk is not None and self._file is not None:
            hunk = self._hunk
            closed = Hunk(hunk.line, len(self._lines), hunk.old_start, hunk.new_start, hunk.heading)
            self._file.hunks.append(closed)
        self._hunk = None
        self._old_left = self._new_left = 0

    def _close_file(self) -> None:
        self._close_hunk()
        file = self._file
        if file is None:
            return
        path = file.path or file.old_path
        renamed_from = file.old_path if file.status in ("renamed", "copied") else None
        self._lines[file.line] = DiffLine("file", path)
        self._files.append(
            DiffFile(
                path,
                file.line,
                len(self._lines),
                file.status,
                file.added,
                file.removed,
                file.binary,
                renamed_from,
                tuple(file.hunks),
            )
        )
        self._file = None

    def _note(self, text: str) -> None:
        self._lines.append(DiffLine("note", text))

    def _header(self, line: str) -> None:
        if line.startswith("--- ") and (self._file is None or self._file.has_names or self._file.hunks):
            self._start_file("")
        file = self._file
        if file is None:
            if line:
                self._note(line)
            return
        word, _, rest = line.partition(" ")
        match word:
            case "---":
                file.has_names = True
                file.old_path = _side(rest, "a/") or file.old_path
            case "+++":
                file.path = _side(rest, "b/") or file.path or file.old_path
            case "rename" | "copy":
                self._renamed(file, word, rest)
            case "new" | "old" | "deleted":
                self._mode(file, word, rest)
            case "Binary" | "GIT":
                file.binary = True
                self._note("binary file")
            case "index" | "similarity" | "dissimilarity" | "":
                pass
            case _:
                if not file.binary:
                    self._note(line)

    @staticmethod
    def _renamed(file: _OpenFile, word: str, rest: str) -> None:
        direction, _, name = rest.partition(" ")
        file.status = "renamed" if word == "rename" else "copied"
        if direction == "from":
            file.old_path = _unquote(name)
        else:
            file.path = _unquote(name)

    def _mode(self, file: _OpenFile, word: str, rest: str) -> None:
        mode = rest.rsplit(" ", 1)[-1]
        if rest.startswith("file mode "):
            file.status = "added" if word == "new" else "deleted"
            if mode != "100644":
                self._note(f"{word} file with mode {mode}{_MODES.get(mode, '')}")
        else:
            self._note(f"{word} mode {mode}{_MODES.get(mode, '')}")


_MODES: Final = {"120000": " (symbolic link)", "100755": " (executable)", "160000": " (submodule)"}


def _side(name: str, prefix: str) -> str:
    path = _unquote(name.removesuffix("\t"))
    return "" if path == "/dev/null" else path.removeprefix(prefix)


def _common_path(rest: str) -> str:
    """The path of `a/PATH b/PATH`; of a rename the whole, until its own lines name both."""
    if rest.startswith('"'):
        return _unquote(rest[: len(rest) // 2]).removeprefix("a/")
    path = rest[2 : 2 + (len(rest) - 5) // 2]
    return path if rest == f"a/{path} b/{path}" else rest


def _unquote(name: str) -> str:
    """Undo git's quoting of names with unusual bytes."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name

    def byte(match: re.Match[str]) -> str:
        code = match[1]
        return chr(_ESCAPED[code] if code in _ESCAPED else int(code, 8) & 0xFF)

    inner = name[1:-1].encode("utf-8", "surrogatepass").decode("latin-1")
    return _ESCAPE.sub(byte, inner).encode("latin-1").decode("utf-8", "replace")
