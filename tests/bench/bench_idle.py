"""What the screen costs while nothing happens, its scheduler included, against an empty Textual app.

    python tests/bench/bench_idle.py [--smoke]

Both run side by side in a terminal of 200 by 50, over a project with some tasks that wait for a person.
CPU time is the kernel's, of all threads. A figure to look at, never a test of time.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from aims import arguments, report, say
from harness import at_work, make_project

from backend.clock import SystemClock
from scheduler.desk import TaskDraft

EMPTY = """
from textual.app import App, ComposeResult
from textual.widgets import Static
class Empty(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("Nothing happens")
Empty().run()
"""
TASKS = 30
SETTLE_S = 4.0


class Terminal:
    """A program on a terminal of its own; `written` counts the bytes that it wrote there."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(cwd), "TERM": "xterm-256color",
            "COLORTERM": "truecolor", "LANG": "C.UTF-8",
        }  # fmt: skip
        self.program = subprocess.Popen(
            command, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.written = 0

    def cpu_s(self) -> float:
        """Seconds of CPU that its threads have used, to the nanosecond."""
        threads = Path(f"/proc/{self.program.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def close(self) -> None:
        self.program.send_signal(signal.SIGKILL)
        self.program.wait()
        os.close(self.ours)


def watch(terminals: list[Terminal], seconds: float) -> None:
    """Read what the programs write, for so long."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for fd in select.select([terminal.ours for terminal in terminals], [], [], left)[0]:
            terminal = next(terminal for terminal in terminals if terminal.ours == fd)
            terminal.written += len(os.read(fd, 65536))


class HourAgo:
    """Ages are shown in seconds at first, and change every second: that is not idleness."""

    def now_ms(self) -> int:
        return SystemClock().now_ms() - 3_600_000


async def fill(repo: Path) -> None:
    async with at_work(repo, start=False, clock=HourAgo()) as work:
        await work.desk.pause("nothing is to happen")
        for number in range(TASKS):
            await work.desk.enqueue(TaskDraft(f"Task {number}"))


def main() -> None:
    seconds = 2.0 if arguments(__doc__).smoke else 8.0
    with tempfile.TemporaryDirectory() as place:
        repo = make_project(Path(place) / "project", "true\n")
        asyncio.run(fill(repo))
        commands = ([sys.executable, "-I", "-m", "octopoid_tui"], [sys.executable, "-I", "-c", EMPTY])
        terminals = [Terminal(command, repo) for command in commands]
        try:
            watch(terminals, SETTLE_S)
            before = [(terminal.cpu_s(), terminal.written) for terminal in terminals]
            watch(terminals, seconds)
            ours, empty = (
                (terminal.cpu_s() - cpu, terminal.written - written)
                for terminal, (cpu, written) in zip(terminals, before, strict=True)
            )
        finally:
            for terminal in terminals:
                terminal.close()
    for name, (cpu, written) in (("control screen", ours), ("empty Textual app", empty)):
        say(f"idle, {name}: {100 * cpu / seconds:.2f} % of a core, {written / seconds:.0f} bytes/s")
    report("CPU while idle / an empty Textual app's", ours[0] / empty[0])


if __name__ == "__main__":
    sys.exit(main())
