"""What any later scheduler does with the runs it finds: talk to them, stop them, clear up after them.

Everything here blocks for a bounded time; call it in a thread.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from backend.errors import BadInput, NotFound, OctopoidError
from backend.ids import check_id
from scheduler.runs import process_tree
from scheduler.runs.control import PAUSE_S, CannotControl, command, open_fifo
from scheduler.runs.process_tree import Process
from scheduler.runs.rundir import Exit, RunDir, RunDirState

SWEEP_LIMIT_S = 5.0
SHORT_MESSAGE = select.PIPE_BUF
LARGEST_PIPE = 1 << 20
F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032


class AgentNotReading(CannotControl):
    """The agent has ended, or has closed its input."""

    slug = "agent-not-reading"


class StillRunning(OctopoidError):
    """A run did not end in the time given."""

    slug = "still-running"


class RunLost(OctopoidError):
    """A run's supervisor is gone and nothing tells how the run ended."""

    slug = "run-lost"


def find_runs(root: Path) -> list[tuple[RunDir, RunDirState]]:
    """Every run below `root`, by id, with what its files prove. Other entries are left alone."""
    found: list[tuple[RunDir, RunDirState]] = []
    if not root.is_dir():
        return found
    for path in sorted(root.absolute().iterdir()):
        try:
            check_id(path.name)
        except BadInput:
            continue
        if path.is_dir() and not path.is_symlink():
            run_dir = RunDir(path)
            with suppress(NotFound):  # cleared away meanwhile
                found.append((run_dir, run_dir.state()))
    return found


def is_up(run_dir: RunDir, state: RunDirState) -> bool:
    """Whether something of a run is up. A record of its end is no proof: an agent could have written it."""
    if state in (RunDirState.ALIVE, RunDirState.STARTING):
        return True
    try:
        return run_dir.is_alive()
    except OctopoidError:
        return False  # the directory is gone, or unusable: it has no supervisor that could be told anything


def stop(run_dir: RunDir, how: Literal["stop", "kill"] = "stop") -> None:
    """End a run, whoever started it: `stop` gives it its grace time, `kill` none. Does not wait for the end.

    A run that is not running is fine as it is. What a lost run left behind is killed, and so is an agent
    that made its own supervisor unreachable.

    Raises:
        CannotControl: if the supervisor cannot be told to stop; `kill` still works then.
    """
    state = run_dir.state()
    if state is RunDirState.LOST:
        sweep(run_dir)
    elif is_up(run_dir, state):
        try:
            command(run_dir, how)
        except CannotControl:
            if how == "stop" and run_dir.is_alive():
                raise
            sweep(run_dir)


def end_input(run_dir: RunDir) -> None:
    """Let the agent read end of file on its stdin.

    Raises:
        CannotControl: if the run is not running.
    """
    command(run_dir, "eof")


def offer(
    run_dir: RunDir, data: bytes | memoryview, about_to: Callable[[bool], None], *, goes_on: bool = False
) -> int:
    """Write a message to the agent's stdin as far as there is room; returns how many bytes it took.

    Returns at once. A message that a pipe can hold goes out whole or not at all. A larger one is begun when
    the pipe is empty, and the agent understands nothing else before it has the rest.

    Args:
        about_to: called right before the first byte, with whether there is room for all of it.
        goes_on: `data` is the rest of a message that was begun.

    Raises:
        AgentNotReading: if nobody has the agent's stdin open.
        CannotControl: if the FIFO is not what it was made as.
    """
    try:
        fifo = open_fifo(run_dir, "stdin.fifo", 0.0)
    except CannotControl as error:
        raise AgentNotReading(error.problem, error.next_step) from error
    try:
        if not _locked(fifo) or not (goes_on or _has_room(fifo, len(data))):
            return 0
        if not goes_on:
            about_to(len(data) <= _largest_whole(fifo))
        return os.write(fifo, data)
    except BlockingIOError:
        return 0
    except BrokenPipeError as error:
        raise AgentNotReading(f"the agent of run {run_dir.id} has closed its input") from error
    finally:
        os.close(fifo)


def _has_room(fifo: int, size: int) -> bool:
    """Whether a message may begin: a short one if it fits, others want an empty pipe."""
    waiting = struct.unpack("i", fcntl.ioctl(fifo, termios.FIONREAD, b"\0" * 4))[0]
    if waiting == 0 and size > SHORT_MESSAGE:
        with suppress(OSError):  # more than this user may have; then it goes out in parts
            fcntl.fcntl(fifo, F_SETPIPE_SZ, min(size + SHORT_MESSAGE, LARGEST_PIPE))
        return True
    return bool(waiting + size <= SHORT_MESSAGE)


def _largest_whole(fifo: int) -> int:
    """Bytes that an empty pipe takes at once."""
    try:
        return max(fcntl.fcntl(fifo, F_GETPIPE_SZ), SHORT_MESSAGE)
    except OSError:  # only Linux tells
        return SHORT_MESSAGE


def _locked(fifo: int) -> bool:
    try:
        fcntl.flock(fifo, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_ended(run_dir: RunDir, timeout_s: float) -> Exit:
    """How the run ended, once its supervisor has gone too.

    Raises:
        StillRunning: if it has not ended by then.
        RunLost: if its supervisor went without a record.
        BadRunFile: if the record is damaged.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        state = run_dir.state()
        if state is RunDirState.LOST:
            raise RunLost(f"run {run_dir.id} is lost: its supervisor is gone", "its work is where it left it")
        if state is RunDirState.ENDED and not run_dir.is_alive():
            ended = run_dir.exit()
            if ended is not None:
                return ended
        if time.monotonic() >= deadline:
            raise StillRunning(f"run {run_dir.id} has not ended after {timeout_s:g} s")
        time.sleep(PAUSE_S)


def sweep(run_dir: RunDir) -> int:
    """SIGKILL what still runs with this run's marks, each process proven by a handle; returns how many.

    For a run whose supervisor is gone or out of reach. Processes of an earlier boot, or older than
    the run, are never touched.
    """
    spec, started = run_dir.spec(), run_dir.started()
    if spec is None or started is None or started.boot_id != process_tree.boot_id():
        return 0
    marks = spec.marks()

    def proof(process: Process) -> bool:
        return process_tree.unchanged(process) and process_tree.has_marks(process, marks)

    killed: set[tuple[int, int]] = set()
    give_up = time.monotonic() + SWEEP_LIMIT_S
    while time.monotonic() < give_up:
        left = process_tree.marked(marks, started.starttime)
        if not left:
            break
        for process in left:
            if process_tree.signal_proven(process, signal.SIGKILL, proof):
                killed.add((process.pid, process.starttime))
        time.sleep(PAUSE_S)
    return len(killed)
