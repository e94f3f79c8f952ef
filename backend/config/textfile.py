"""Read a small text file that somebody else may have written."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from backend.config.yamltree import MAX_BYTES


class UnreadableFile(Exception):
    """The file is missing, no regular file, too large or not UTF-8; the message is the reason."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file's text with LF line ends and no byte order mark, and its permission bits."""

    text: str
    mode: int


def read_text(path: Path) -> TextFile:
    """Read at most `MAX_BYTES` of a regular file; never blocks on a pipe or device.

    Raises:
        UnreadableFile: with the reason.
    """
    try:
        with open(path, "rb", opener=_open_regular) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}") from None
    return TextFile(decode(data), stat.S_IMODE(mode))


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableFile("is not a regular file")
    return descriptor


def decode(data: bytes) -> str:
    """Bytes as text with LF line ends and without a byte order mark.

    Raises:
        UnreadableFile: if there are more than `MAX_BYTES` or they are not UTF-8.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableFile(f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(f"is not UTF-8 (byte 0x{data[error.start]:02x})", line) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")
