"""Reading a growing file by whole lines from a known offset, in bounded memory."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from scheduler.runs.rundir import BadRunFile

LINE_LIMIT = 1 << 20
READ_LIMIT = 256 << 10


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its newline. `offset` is its first byte in the file, `end` where the next begins.

    A `truncated` line was longer than the limit; `data` is its beginning.
    """

    offset: int
    end: int
    data: bytes
    truncated: bool


class Tail:
    """The lines of one file, each once. To go on later, begin at the `end` of the last line dealt with.

    Args:
        path: the file; it need not be there yet.
        offset: where a line begins.
        line_limit: longer lines are cut.
    """

    def __init__(self, path: Path, offset: int = 0, *, line_limit: int = LINE_LIMIT) -> None:
        self._path = path
        self._line_limit = line_limit
        self._begin = offset
        self._position = offset
        self._head = bytearray()
        self._at_end = False

    @property
    def offset(self) -> int:
        """The first byte of the first line not returned yet."""
        return self._begin

    @property
    def at_end(self) -> bool:
        """Whether the last read reached the end of the file."""
        return self._at_end

    def changed(self) -> bool:
        """Whether a read may find something: cheaper than reading, for a file that is looked at often."""
        try:
            info = os.stat(self._path, follow_symlinks=False)
        except OSError:
            return True  # reading it says what is wrong
        return not self._at_end or not stat.S_ISREG(info.st_mode) or info.st_size != self._position

    def read(self, limit_bytes: int = READ_LIMIT, *, final: bool = False) -> list[Line]:
        """The lines that are complete within the next `limit_bytes` of the file; there may be none yet.

        A last line without newline is left for later, unless `final` says that nothing more will come;
        it is returned by the read that reaches the end.

        Raises:
            BadRunFile: if the file is no regular file, or has become shorter than what was read.
        """
        block = self._next_block(limit_bytes)
        lines: list[Line] = []
        start = 0
        while (newline := block.find(b"\n", start)) >= 0:
            self._take(block[start:newline])
            start = newline + 1
            lines.append(self._line(self._position + start, 1))
        self._take(block[start:])
        self._position += len(block)
        if final and self._at_end and self._begin < self._position:
            lines.append(self._line(self._position, 0))
        return lines

    def _take(self, part: bytes) -> None:
        self._head += part[: self._line_limit - len(self._head)]

    def _line(self, end: int, newline: int) -> Line:
        data, begin = bytes(self._head), self._begin
        self._head.clear()
        self._begin = end
        return Line(begin, end, data, truncated=end - begin - newline > len(data))

    def _next_block(self, limit: int) -> bytes:
        block, size = read_block(self._path, self._position, limit)
        if size is None:
            self._at_end = True
            return b""
        if size < self._position:
            raise BadRunFile(
                f"{self._path} has {size} bytes, and {self._position} were read before",
                "something has cut it; what was read stays valid",
            )
        self._at_end = self._position + len(block) >= size
        return block


def read_block(path: Path, offset: int, limit: int) -> tuple[bytes, int | None]:
    """At most `limit` bytes of a file from `offset` on, and the file's size; None while there is no file.

    Raises:
        BadRunFile: if it is no regular file or cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"", None
    except OSError as error:
        raise BadRunFile(f"cannot read {path}: {error.strerror}") from error
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise BadRunFile(f"{path} is not a regular file")
        return os.pread(fd, limit, offset), info.st_size
    finally:
        os.close(fd)
