"""Runs a flooding agent on a disk of one megabyte, in a mount namespace of its own; prints how it ended."""

import ctypes
import os
import sys
from pathlib import Path

from scheduler.runs.adopt import wait_ended
from scheduler.runs.launch import launch
from scheduler.runs.rundir import RunDir

mounted = Path(sys.argv[1]) / "small"
mounted.mkdir()
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"tmpfs", bytes(mounted), b"tmpfs", 0, b"size=1m") != 0:
    raise OSError(ctypes.get_errno(), "mount")
run = RunDir.create(mounted, "run-1")
script = "head -c 3000000 /dev/zero; exit 4"
run.write_spec(["/bin/sh", "-c", script], cwd=mounted, env={"PATH": os.environ["PATH"]}, stdin="null")
launch(run)
ended = wait_ended(run, 10)
size = run.transcript.stat().st_size
complete = ended.dropped > 0 and ended.dropped + size == ended.bytes_out == 3_000_000
reason = " ".join(ended.error.split(": ")[-1].split()[:2])
os.write(1, f"ended {ended.code} {ended.cause} dropped {complete} {reason}\n".encode())
