"""One lock per repository: whoever changes refs, configuration or workspaces holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path

from backend.clock import SystemClock, from_ms, to_iso
from scheduler.git.errors import RepoLocked

POLL_S = 0.02

# What this thread holds: lock path to descriptor. Git children inherit the descriptors, so that a lock
# outlives a killed scheduler for as long as the git it started still writes.
_held: ContextVar[tuple[tuple[str, int], ...]] = ContextVar("octopoid_repo_locks", default=())


def held_descriptors() -> tuple[int, ...]:
    """File descriptors of the locks that the current thread holds."""
    return tuple(fd for _, fd in _held.get())


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: process, host, since when (ISO 8601, UTC) and for what."""

    pid: int
    host: str
    since: str
    op: str

    def __str__(self) -> str:
        return f"{self.op} (pid {self.pid} on {self.host}, since {self.since})"


@dataclass(frozen=True, slots=True)
class RepoLock:
    """An flock on a file. Holding it again in the same thread is free; other threads wait."""

    path: Path

    @contextmanager
    def held(self, op: str, wait_s: float = 30) -> Iterator[None]:
        """Hold the lock for the length of the block.

        Raises:
            RepoLocked: if somebody else still holds it after `wait_s` seconds; names the holder.
        """
        key = str(self.path)
        mine = _held.get()
        if any(path == key for path, _ in mine):
            yield
            return
        fd = self._acquire(op, wait_s)
        token = _held.set((*mine, (key, fd)))
        try:
            self._sign(fd, op)
            yield
        finally:
            _held.reset(token)
            os.close(fd)

    def holder(self) -> Holder | None:
        """Who signed the lock last; None when nobody ever did or the note is unreadable."""
        try:
            note = json.loads(self.path.read_bytes())
            return Holder(int(note["pid"]), str(note["host"]), str(note["since"]), str(note["op"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _acquire(self, op: str, wait_s: float) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + wait_s
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                if time.monotonic() >= deadline:
                    raise self._locked(op, wait_s) from None
                time.sleep(POLL_S)
                continue
            except BaseException:
                os.close(fd)
                raise
            if self._is_current(fd):
                return fd
            os.close(fd)

    def _is_current(self, fd: int) -> bool:
        # A lock file that was deleted and made again would let two hold "the" lock.
        try:
            now = os.stat(self.path)
        except FileNotFoundError:
            return False
        own = os.fstat(fd)
        return (own.st_dev, own.st_ino) == (now.st_dev, now.st_ino)

    def _sign(self, fd: int, op: str) -> None:
        note = Holder(os.getpid(), socket.gethostname(), to_iso(from_ms(SystemClock().now_ms())), op)
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(asdict(note)).encode(), 0)

    def _locked(self, op: str, wait_s: float) -> RepoLocked:
        holder = self.holder()
        name = str(holder) if holder else "an unknown process"
        return RepoLocked(
            f"cannot {op}: the repository has been locked for {wait_s:g} s by {name}",
            "wait for it, or end that process; the lock goes with it",
            holder=name,
        )
