"""Starting the agent: its pipes, its session, and its death together with its supervisor.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import os
import resource
import subprocess
from typing import NamedTuple

from scheduler.runs import process_tree
from scheduler.runs.spec import RunSpec


class AgentProcess(NamedTuple):
    """The started agent and our ends of its pipes. `stdin` is None when it reads from nowhere."""

    popen: subprocess.Popen[bytes]
    stdout: int
    stderr: int
    stdin: int | None


def start_agent(spec: RunSpec, directory: int) -> AgentProcess:
    """Start the agent in a session of its own.

    The caller must have one thread only: the kernel ties the agent's life to the calling thread.

    Raises:
        OSError, ValueError, subprocess.SubprocessError: if it cannot be started.
    """
    supervisor = os.getpid()

    def in_child() -> None:
        process_tree.die_with_parent()
        if os.getppid() != supervisor:
            os._exit(127)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    stdin, keep_open = _open_stdin(spec, directory)
    stdout, stdout_end = os.pipe()
    stderr, stderr_end = os.pipe()
    try:
        popen = subprocess.Popen(
            spec.argv, cwd=spec.cwd, env=spec.environment(), stdin=stdin, stdout=stdout_end,
            stderr=stderr_end, start_new_session=True, preexec_fn=in_child,
        )  # fmt: skip
    finally:
        for fd in (stdin, stdout_end, stderr_end):
            os.close(fd)
    os.set_blocking(stdout, False)
    os.set_blocking(stderr, False)
    return AgentProcess(popen, stdout, stderr, keep_open)


def explain(error: Exception, spec: RunSpec | None) -> str:
    """Why the agent could not be started, and what to look at, in one sentence."""
    if spec is None or not isinstance(error, OSError):
        return str(error)
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else spec.argv[0]
    if where == spec.cwd:
        return f"cannot start {spec.argv[0]!r}: working directory {where!r}: {error.strerror}"
    if where != spec.argv[0]:
        return f"cannot prepare the run: {error}"
    path = spec.env.get("PATH", os.defpath)
    return f"cannot start {where!r}: {error.strerror}; check the agent's program, its PATH was {path!r}"


def _open_stdin(spec: RunSpec, directory: int) -> tuple[int, int | None]:
    if spec.stdin == "null":
        return os.open(os.devnull, os.O_RDONLY), None
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    reader = os.open("stdin.fifo", os.O_RDONLY | flags, dir_fd=directory)
    # Held by the supervisor, so that the agent reads no end of file between two schedulers.
    keep_open = os.open("stdin.fifo", os.O_WRONLY | flags, dir_fd=directory)
    os.set_blocking(reader, True)
    return reader, keep_open
