"""The processes of one run, found and signalled without ever trusting a bare process number.

A number is turned into a handle (pidfd) first and proven ours through that handle's life, so that a
number given to a stranger in between is never signalled. Standard library only: the supervisor runs
without site-packages. Without /proc (macOS) nothing is found.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

AVAILABLE = os.path.isfile("/proc/self/stat")
ENVIRON_LIMIT = 4 << 20  # the kernel allows more; nobody starts a program so

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Process(NamedTuple):
    """One living process as /proc showed it; `starttime` is in clock ticks since boot."""

    pid: int
    ppid: int
    starttime: int


Proof = Callable[[Process], bool]


def _prctl(option: int, value: int) -> None:
    if _LIBC is not None:
        _LIBC.prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_from_debuggers() -> None:
    """Keep processes of the same user from reading or changing this one's memory."""
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent() -> None:
    """In a child, before exec: be killed when the parent's thread ends. The parent must have only one."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def boot_id() -> str:
    """The kernel's id of this boot, empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def inspect(pid: int) -> Process | None:
    """The process of this number, or None when it has ended (a zombie has)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    state, threads = fields[0], int(fields[17])
    if state in (b"Z", b"X", b"x") and threads <= 1:  # a dead main thread may leave others at work
        return None
    return Process(pid, int(fields[1]), int(fields[19]))


def living() -> Iterator[Process]:
    """Every process that has not ended."""
    if AVAILABLE:
        for name in os.listdir("/proc"):
            process = inspect(int(name)) if name.isdigit() else None
            if process is not None:
                yield process


def descendants(root: int) -> list[Process]:
    """Children, their children and so on. Complete for a process that adopts orphans."""
    children: dict[int, list[Process]] = {}
    for process in living():
        children.setdefault(process.ppid, []).append(process)
    found: list[Process] = []
    pending = [root]
    while pending:
        batch = children.pop(pending.pop(), [])
        found += batch
        pending += [process.pid for process in batch]
    return found


def marked(marks: frozenset[bytes], since: int) -> list[Process]:
    """Processes started at tick `since` or later whose environment holds every mark."""
    return [
        process
        for process in living()
        if process.starttime >= since and process.pid != os.getpid() and has_marks(process, marks)
    ]


def has_marks(process: Process, marks: frozenset[bytes]) -> bool:
    """Whether the process was started with these `NAME=value` entries; only for those we may look into."""
    try:
        threads = os.listdir(f"/proc/{process.pid}/task")
    except OSError:
        return False
    # The main thread comes first; once it has ended it shows no environment, while the others still do.
    files = [f"/proc/{process.pid}/task/{thread}/environ" for thread in threads[:2]]
    return any(_environment_holds(file, marks) for file in files)


def _environment_holds(path: str, marks: frozenset[bytes]) -> bool:
    try:
        with open(path, "rb") as file:
            return marks <= set(file.read(ENVIRON_LIMIT).split(b"\0"))
    except OSError:
        return False


def unchanged(process: Process) -> bool:
    """Whether the number still means the same child of the same parent."""
    return inspect(process.pid) == process


def signal_proven(process: Process, number: int, proof: Proof = unchanged) -> bool:
    """Signal a process that `proof` accepts while we hold a handle of it; returns whether it was sent."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            return False
        handle = -1  # a sandbox without pidfd: the proof alone must do
    try:
        if not proof(process):
            return False
        if handle < 0:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        if handle >= 0:
            os.close(handle)
    return True


def kill_children() -> None:
    """SIGKILL every direct child with its process group, at once.

    This catches what a scan of /proc is too slow for: processes that fork and exit all the time. A
    child that nobody has reaped keeps its number and its group, and a group of a session that began below us
    holds nobody else's processes.
    """
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children", encoding="ascii") as file:
            children = [int(pid) for pid in file.read().split()]
    except OSError:
        return
    for pid in children:
        with suppress(PermissionError, ProcessLookupError):
            group = os.getpgid(pid)
            if group != os.getpgrp():
                os.killpg(group, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
