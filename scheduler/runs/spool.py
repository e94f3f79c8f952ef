"""The copy on disk of what an agent writes: appended, never rewritten, bounded.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import os

TAIL_BYTES = 65536  # of what the cap cut off, this much of the end is kept


class Spool:
    """One stream on disk: its first `cap` bytes and, once it has ended, its last whole lines.

    A full disk never stops the stream: what cannot be written is counted in `dropped`, and writing
    goes on with the next whole line when there is room again.
    """

    def __init__(self, directory: int, name: str, cap: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(name, flags, 0o600, dir_fd=directory)
        self._name = name
        self._room = cap
        self._ends_line = True
        self._skip_to_line = False
        self._tail = bytearray()
        self.received = 0
        self.dropped = 0
        self.error = ""

    def write(self, data: bytes) -> None:
        """Take what the agent wrote; never raises for lack of room."""
        self.received += len(data)
        if self._skip_to_line:
            data = self._from_next_line(data)
        head, rest = data[: self._room], data[self._room :]
        written = self._append(head)
        self._room -= written
        if written < len(head):
            self.dropped += len(head) - written + len(rest)
            self._skip_to_line = True
        elif rest:
            self.dropped += len(rest)
            self._tail += rest
            del self._tail[:-TAIL_BYTES]

    def close(self) -> None:
        """Append the end of what the cap cut off, and make it all durable."""
        if self._tail:
            lines = self._last_lines()
            self.dropped -= self._append(lines)
        try:
            os.fsync(self._fd)
        except OSError as error:
            self.error = f"{self._name} may not be complete on disk: {error.strerror}"
        os.close(self._fd)

    def _last_lines(self) -> bytes:
        if self.dropped == len(self._tail):
            return bytes(self._tail)
        if not self._ends_line:
            self._append(b"\n")
        return bytes(self._tail[self._tail.find(b"\n") + 1 :]) if b"\n" in self._tail else b""

    def _from_next_line(self, data: bytes) -> bytes:
        end = data.find(b"\n") + 1
        if not end or not self._room or (not self._ends_line and self._append(b"\n") == 0):
            self.dropped += len(data)
            return b""
        self.dropped += end
        self._skip_to_line = False
        return data[end:]

    def _append(self, data: bytes) -> int:
        """Write as much as the disk takes; returns how much that was."""
        done = 0
        while done < len(data):
            try:
                done += os.write(self._fd, data[done : done + 65536])
            except OSError as error:
                self.error = f"{self._name} is not complete: {error.strerror}"
                break
        if done:
            self._ends_line = data[done - 1 : done] == b"\n"
        return done
