"""A scheduler that goes on without a terminal."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

from backend.config.locate import DIRECTORY_VARIABLE, Layout
from backend.errors import BadInput, NotFound, OctopoidError, Refused
from octopoid_tui.cli.running import READY

START_SECONDS = 60.0
SAID_LIMIT = 4000


class StartFailed(OctopoidError):
    """The background scheduler did not come up."""

    slug = "start-failed"


AS_IT_ENDED: dict[int, type[OctopoidError]] = {
    error.exit_status: error for error in (StartFailed, BadInput, NotFound, Refused)
}


def detach(layout: Layout, *, debug: bool = False, timeout: float = START_SECONDS) -> int:
    """Start `octopoid run` in a session of its own; returns its process id once it works.

    Raises:
        OctopoidError: it ended, or did not come up in time; the error quotes what it said.
    """
    layout.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = layout.logs / "daemon.err"
    ours, theirs = os.pipe()
    # Isolated, so that nothing in the repository can pose as one of our modules.
    argv = [sys.executable, "-I", "-m", "octopoid_tui", "run", "--ready-fd", str(theirs)]
    try:
        with said.open("wb") as output:
            process = subprocess.Popen(
                [*argv, "--debug"] if debug else argv,
                cwd=layout.project,
                env={**os.environ, DIRECTORY_VARIABLE: str(layout.root)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(theirs,),
            )
        os.close(theirs)
        theirs = -1
        if _is_ready(ours, timeout):
            # It is not ours to wait for any more.
            process.returncode = 0
            return process.pid
        raise _failure(process, said)
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def _is_ready(descriptor: int, timeout: float) -> bool:
    deadline, heard = time.monotonic() + timeout, b""
    while heard != READY:
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(descriptor, len(READY)) if readable else b""
        if not chunk:
            return False
        heard += chunk
    return True


def _failure(process: subprocess.Popen[bytes], said: Path) -> OctopoidError:
    try:
        status = process.wait(timeout=1)
        problem = "the scheduler ended at once"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        status, problem = 1, "the scheduler did not come up in time, and was ended"
    words = said.read_bytes()[-SAID_LIMIT:].decode("utf-8", "replace").strip().removeprefix("octopoid: ")
    kind = AS_IT_ENDED.get(status, StartFailed)
    return kind(f"{problem}: {words}" if words else problem, f"see {said}")
