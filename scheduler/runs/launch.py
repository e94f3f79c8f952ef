"""Starting a run's supervisor so that it belongs to nobody, or finding it already there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from backend.errors import OctopoidError
from scheduler.runs import supervisor
from scheduler.runs.control import CannotControl, command
from scheduler.runs.rundir import ExitCause, RunDir, RunDirState, Started
from scheduler.waiting import wait_for

PROGRAM = Path(supervisor.__file__).resolve()
INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")  # the agent gets none of it: see write_spec
FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05
PATIENCE_S = 60.0
"""For two small programs to come up: a machine that is busy, or just awake, takes its time."""


class LaunchFailed(OctopoidError):
    """The agent of a run could not be started."""

    slug = "launch-failed"


def launch(run_dir: RunDir, *, python: str = sys.executable, timeout_s: float = PATIENCE_S) -> Started:
    """Start the supervisor of a prepared run and wait until the agent runs; blocks, so call it in a thread.

    A run that was started before is not started again: its record is returned, ended or not.

    Raises:
        LaunchFailed: if the agent does not run: no such program, no answer in time, lost since.
        BadRunFile: if the run's records are damaged.
    """
    deadline = time.monotonic() + timeout_s
    if run_dir.state() is RunDirState.PREPARED:
        _start_supervisor(run_dir, python, deadline)
    pause = FIRST_PAUSE_S
    while True:
        # Asked first: once it is gone, it has written all that it ever will. As long as it is there, an
        # `exit.json` proves nothing: the agent may have written it, sooner than `started.json` came.
        alive = run_dir.is_alive()
        state = run_dir.state()
        started = run_dir.started()
        if started is not None and state is not RunDirState.LOST:
            return started
        if state is not RunDirState.STARTING and not alive:
            raise LaunchFailed(*_why(run_dir, state))
        if time.monotonic() >= deadline:
            with suppress(CannotControl):
                command(run_dir, "kill", timeout_s=0.0)
            raise LaunchFailed(f"run {run_dir.id} did not start in {timeout_s:g} s", _last_words(run_dir))
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


def _start_supervisor(run_dir: RunDir, python: str, deadline: float) -> None:
    """Returns when the supervisor is in the background or another one was there first."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(run_dir.supervisor_err, flags, 0o600)
    try:
        foreground = subprocess.Popen(
            [python, "-I", "-S", str(PROGRAM), str(run_dir.path)], cwd="/", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            env={name: os.environ[name] for name in INHERITED if name in os.environ},
        )  # fmt: skip
    except OSError as error:
        raise LaunchFailed(f"cannot start the supervisor with {python}: {error.strerror}") from error
    finally:
        os.close(log)
    with foreground:
        try:
            code = wait_for(foreground, deadline - time.monotonic())
        except subprocess.TimeoutExpired as error:
            foreground.kill()
            raise LaunchFailed(f"no supervisor came up for run {run_dir.id}", _last_words(run_dir)) from error
    if code not in (0, supervisor.LOCKED, supervisor.ALREADY_RAN):
        raise LaunchFailed(f"the supervisor of run {run_dir.id} failed with {code}", _last_words(run_dir))


def _why(run_dir: RunDir, state: RunDirState) -> tuple[str, str]:
    ended = run_dir.exit()
    if ended is not None and ended.cause is ExitCause.SPAWN_FAILED:
        return f"run {run_dir.id} could not start: {ended.error}", ""
    if state is RunDirState.LOST:
        return f"run {run_dir.id} was started before and is lost: its supervisor is gone", "start a new run"
    return f"run {run_dir.id} ended before its agent ran", _last_words(run_dir)


def _last_words(run_dir: RunDir) -> str:
    """The end of what the supervisor wrote on stderr."""
    try:
        with open(run_dir.supervisor_err, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 500))
            text = file.read().decode(errors="replace").strip()
    except OSError as error:
        return f"{run_dir.supervisor_err}: {error.strerror}"
    return f"it said: {text.splitlines()[-1]}" if text else f"{run_dir.supervisor_err} is empty"
