"""Files that are whole or absent, and safe reads where somebody hostile may write.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafeFile(Exception):
    """A file is not what it must be to be read: a link, a pipe, too big."""


def utc_stamp() -> str:
    """Now, as ISO 8601 with milliseconds and `Z`."""
    now = time.time_ns() // 1_000_000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03}Z"


def open_directory(path: str | Path, directory: int | None = None) -> int:
    """A descriptor of a directory that is no symbolic link; what is opened through it stays inside."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, dir_fd=directory)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, or raise OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def encode_json(value: Mapping[str, object]) -> bytes:
    """One JSON object, readable by a person, ending in a newline."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def write_file(directory: int, name: str, data: bytes) -> None:
    """Put a private file in place atomically and durably: written aside, synced, renamed."""
    aside = f".{name}.{os.urandom(6).hex()}.tmp"
    fd = os.open(aside, NEW_FILE, 0o600, dir_fd=directory)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        os.unlink(aside, dir_fd=directory)
        raise
    os.fsync(directory)


def exists(directory: int, name: str) -> bool:
    """Whether the directory has an entry of this name, whatever it is."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def read_regular(directory: int, name: str, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; never blocks, never follows a link.

    Raises:
        FileNotFoundError: if there is no such entry.
        UnsafeFile: if it is a link, no regular file, has a second name, or is too big.
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnsafeFile(f"cannot be opened safely ({error.strerror})") from error
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise UnsafeFile("is not a regular file")
        if info.st_nlink > 1:
            raise UnsafeFile("has a second name (hard link)")
        data = bytearray()
        while len(data) <= limit:
            block = os.read(fd, min(65536, limit + 1 - len(data)))
            if not block:
                return bytes(data)
            data += block
        raise UnsafeFile(f"is larger than {limit} bytes")
    finally:
        os.close(fd)


class ReservedFile:
    """A file whose room on disk is taken in advance, so that a full disk cannot keep it away."""

    def __init__(self, directory: int, name: str, room: int) -> None:
        self._directory = directory
        self._name = name
        self._aside = f".{name}.reserved"
        if exists(directory, self._aside):
            os.unlink(self._aside, dir_fd=directory)
        self._fd = os.open(self._aside, NEW_FILE, 0o600, dir_fd=directory)
        write_all(self._fd, b" " * room)
        os.fsync(self._fd)

    def write(self, data: bytes) -> None:
        """Put the file in place, durably. May be tried again after an OSError."""
        os.pwrite(self._fd, data, 0)
        os.ftruncate(self._fd, len(data))
        os.fsync(self._fd)
        try:
            os.replace(self._aside, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except FileNotFoundError:  # somebody has cleaned up in here
            write_file(self._directory, self._name, data)
        os.fsync(self._directory)
