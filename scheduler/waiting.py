"""Waiting for a child process until it ends, and not until somebody looks again."""

from __future__ import annotations

import math
import os
import select
import subprocess
import sys


def wait_for(process: subprocess.Popen[bytes], timeout_s: float) -> int:
    """The exit status of a child, at the moment it ends.

    `Popen.wait` with a timeout sleeps longer and longer between its looks, up to 50 ms: a child of 35 ms
    would take 63.

    Raises:
        subprocess.TimeoutExpired: it still runs after `timeout_s` seconds.
    """
    if sys.platform != "linux":
        return process.wait(timeout_s)
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:  # it is reaped already, or the kernel knows no such handles
        return process.wait(timeout_s)
    try:
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        if not ended.poll(math.ceil(max(0.0, timeout_s) * 1000)):
            raise subprocess.TimeoutExpired(process.args, timeout_s)
    finally:
        os.close(handle)
    return process.wait()
