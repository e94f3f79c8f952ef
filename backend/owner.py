"""Who owns the store: a lock that the kernel frees when its holder dies, and a record of who that is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType

from backend.clock import Clock, SystemClock, from_ms
from backend.errors import BadInput, StoreBroken
from backend.wire import decode, encode, from_json, to_json

RECORD_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that owns the store, as it recorded itself."""

    pid: int
    host: str
    what: str
    """screen, run or command"""
    since: datetime
    socket: str | None = None
    """Where it serves other processes; None while it does not."""

    def __str__(self) -> str:
        place = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"octopoid {self.what}, process {self.pid}{place}"


class OwnerLock:
    """An flock on `path`. One process holds it; the file also says which."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or SystemClock()
        self._fd: int | None = None
        self._record: Holder | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def try_acquire(self, what: str) -> bool:
        """Take the lock if nobody holds it, and record this process as its holder.

        Raises:
            StoreBroken: the lock file cannot be opened or locked.
        """
        if self._fd is not None:
            return True
        try:
            fd = self._lock()
        except OSError as error:
            raise StoreBroken(
                f"the lock {self.path} cannot be taken: {error.strerror or error}",
                "check that its folder exists, is yours and is on a local disk",
            ) from error
        if fd is None:
            return False
        self._fd = fd
        self._write(Holder(os.getpid(), socket.gethostname(), what, from_ms(self._clock.now_ms())))
        return True

    def serve_at(self, address: Path | None) -> None:
        """Record where this process serves others; only the holder may."""
        if self._record is None:
            raise RuntimeError("only the holder of the lock can say where it serves")
        self._write(replace(self._record, socket=None if address is None else str(address)))

    def holder(self) -> Holder | None:
        """The holder last recorded; None when there is no readable record.

        A holder that was killed stays on record until the next one takes the lock.
        """
        try:
            raw = self.path.read_bytes()[:RECORD_LIMIT]
            return from_json(Holder, decode(raw)) if raw else None
        except (OSError, ValueError, BadInput):
            return None

    def release(self) -> None:
        """Give the lock up, if it is held."""
        if self._fd is None:
            return
        fd, self._fd, self._record = self._fd, None, None
        try:
            os.ftruncate(fd, 0)
            # Closing alone would not do: a child between fork and exec still has the file open.
            fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            os.close(fd)

    def __enter__(self) -> OwnerLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _lock(self) -> int | None:
        """An open, locked file that is still the one at `path`; None when another process holds it."""
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return None
            except OSError:
                os.close(fd)
                raise
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), os.lstat(self.path)):
                    return fd
            os.close(fd)  # the file was replaced between open and lock

    def _write(self, record: Holder) -> None:
        assert self._fd is not None
        raw = encode(to_json(record))
        os.pwrite(self._fd, raw, 0)
        os.ftruncate(self._fd, len(raw))
        self._record = record
