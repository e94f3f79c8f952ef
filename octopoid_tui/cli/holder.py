"""Which process holds a lock, by the kernel's word; and a signal that can reach no other."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

LOCKS = Path("/proc/locks")
UNSEEN = 0
"""The lock is held by a process outside of this container."""


def holding_pid(lock: Path) -> int | None:
    """The process that holds an flock on the file `lock`; None when none does. The lock is not touched."""
    try:
        inode = lock.stat().st_ino
    except FileNotFoundError:
        return None
    for line in LOCKS.read_text(encoding="ascii").splitlines():
        # `1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234567 0 EOF`; one that waits has `->` in second place.
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return max(int(fields[4]), UNSEEN)
    return None


def terminate(lock: Path, pid: int, timeout: float) -> bool:
    """Send SIGTERM to `pid` if it holds `lock` in this instant, and wait until it has ended.

    Returns:
        Whether it ended within `timeout` seconds; True also when it had ended before.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # The descriptor names this very process for ever, so the number cannot be used again in between.
        if holding_pid(lock) != pid:
            return True
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        ended, _, _ = select.select([descriptor], [], [], timeout)
        return bool(ended)
    finally:
        os.close(descriptor)
