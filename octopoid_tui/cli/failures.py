"""What a person sees of an error: one sentence on stderr and an exit status."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback

from backend.errors import OctopoidError
from octopoid_tui.cli.output import DEBUG_VARIABLE, error_lines, warn

INTERRUPTED = 130


def report(error: OctopoidError | OSError) -> int:
    """Say what went wrong; returns the exit status it stands for."""
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        # The reader has seen enough. What is still buffered must not fail again at the interpreter's end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_exception(error)
    if isinstance(error, OctopoidError):
        warn(error_lines(error))
        return error.exit_status
    warn(f"octopoid: {error}")
    return 1


def escape_unprintable() -> None:
    """Show a character that the terminal's encoding lacks escaped, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
