"""Commands to a supervisor: through a FIFO of the run directory, never by a process number."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import Literal

from backend.errors import OctopoidError
from scheduler.runs.rundir import RunDir, RunDirState

PAUSE_S = 0.01

Command = Literal["stop", "kill", "eof"]


class CannotControl(OctopoidError):
    """A command or message cannot reach a run."""

    slug = "cannot-control"


def open_fifo(run_dir: RunDir, name: str, deadline: float) -> int:
    """Open a FIFO for writing without blocking, waiting for a reader until `deadline` (monotonic).

    Raises:
        CannotControl: if nobody reads it by then, or it is no FIFO.
    """
    path = run_dir.path / name
    while True:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise CannotControl(f"cannot open {path}: {error.strerror}", _NEXT) from error
            if time.monotonic() >= deadline:
                raise CannotControl(f"nobody reads {path}", "the run has ended or is not started") from error
        time.sleep(PAUSE_S)
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise CannotControl(f"{path} is not the FIFO it was made as", _NEXT)
    return fd


def command(run_dir: RunDir, name: Command, *, timeout_s: float = 2.0) -> None:
    """Tell the supervisor to end the run (`stop`, `kill`) or the agent's input (`eof`).

    A supervisor that is just starting is waited for until `timeout_s`.

    Raises:
        CannotControl: if no supervisor takes the command.
    """
    patience = timeout_s if run_dir.state() is RunDirState.STARTING else 0.0
    fd = open_fifo(run_dir, "control.fifo", time.monotonic() + patience)
    try:
        os.write(fd, f"{name}\n".encode())
    except OSError as error:
        raise CannotControl(f"run {run_dir.id} does not take the command {name}: {error.strerror}") from error
    finally:
        os.close(fd)


_NEXT = "the agent may have tampered with its run directory; kill the run"
