"""Time from process start to first paint: the control screen against an empty Textual app, in one run.

python tests/bench/bench_paint.py [--smoke]
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from aims import arguments, report
from harness import make_project

MARK = b"Queues"
EMPTY = f"""
from textual.app import App, ComposeResult
from textual.widgets import Static
class Empty(App[None]):
    def compose(self) -> ComposeResult:
        yield Static({MARK.decode()!r})
Empty().run()
"""
PATIENCE_S = 30.0


def first_paint(command: list[str], cwd: Path) -> float:
    """Seconds until the mark is on a terminal of 200 by 50."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(cwd), "TERM": "xterm-256color",
        "COLORTERM": "truecolor", "LANG": "C.UTF-8",
    }  # fmt: skip
    began = time.perf_counter()
    program = subprocess.Popen(
        command, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        seen = b""
        while MARK not in seen:
            ready, _, _ = select.select([ours], [], [], PATIENCE_S)
            if not ready:
                raise TimeoutError(f"{command} painted nothing in {PATIENCE_S:.0f} s")
            seen += os.read(ours, 65536)
        return time.perf_counter() - began
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait()
        os.close(ours)


def main() -> None:
    rounds = 2 if arguments(__doc__).smoke else 11
    with tempfile.TemporaryDirectory() as place:
        repo = make_project(Path(place) / "project", "true\n")
        ours, empty = [], []
        for _ in range(rounds):
            empty.append(first_paint([sys.executable, "-I", "-c", EMPTY], repo))
            ours.append(first_paint([sys.executable, "-I", "-m", "octopoid_tui"], repo))
    low, high = statistics.median(empty), statistics.median(ours)
    detail = f"{high * 1000:.0f} / {low * 1000:.0f} ms"
    report("first paint / an empty Textual app's", high / low, detail, most=1.6)


if __name__ == "__main__":
    sys.exit(main())
