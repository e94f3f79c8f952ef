"""A scheduler to be killed: launches the run directory given, says so, and waits."""

import os
import sys
import time
from pathlib import Path

from scheduler.runs.launch import launch
from scheduler.runs.rundir import RunDir

started = launch(RunDir(Path(sys.argv[1])))
os.write(1, f"{started.pid}\n".encode())
time.sleep(600)
