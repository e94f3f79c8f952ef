"""A run's proof of life: an exclusive flock on `alive.lock`, held by its supervisor and by nobody else.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

NAME = "alive.lock"
PATIENCE_S = 1.0  # who only asks whether the lock is held has it for microseconds, unless the machine is busy


def take_lock(directory: int) -> int | None:
    """Take the lock; None when another process has it.

    It is held until this process and every process forked since without exec have ended.
    """
    give_up = time.monotonic() + PATIENCE_S
    while True:
        fd = os.open(NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=directory)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(NAME, dir_fd=directory, follow_symlinks=False).st_ino == os.fstat(fd).st_ino:
                return fd  # else the file was replaced meanwhile: two could hold "the" lock
        except (BlockingIOError, FileNotFoundError):
            if time.monotonic() >= give_up:
                os.close(fd)
                return None
        os.close(fd)
        time.sleep(0.005)


def is_held(directory: int) -> bool:
    """Whether a process holds the lock now."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(NAME, flags, dir_fd=directory)
    except OSError:
        return False  # absent, or no longer the file that a supervisor made
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
