"""CPU time of one key: the cursor goes a row up or down in the control screen, against Textual's own table.

    python tests/bench/bench_keys.py [--smoke]

Both run side by side in a terminal of 200 by 50, with the same number of rows, and get the same keys, one
after the other. CPU time is the kernel's, of all threads.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from aims import arguments, report
from bench_idle import SETTLE_S, TASKS, Terminal, fill, watch
from harness import make_project

TABLE = f"""
from textual.app import App, ComposeResult
from textual.widgets import DataTable
class Table(App[None]):
    def compose(self) -> ComposeResult:
        yield DataTable(cursor_type="row")
    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        for title in ("id", "title", "state", "role", "agent", "age", "tokens", "cost"):
            table.add_column(title, width=14)
        for number in range({TASKS}):
            table.add_row(*[f"cell {{number}}"] * 8)
Table().run()
"""
BETWEEN_S = 0.1
"""From one key to the next, at least: each is painted before the other comes."""
PATIENCE_S = 30.0
UP, DOWN = b"\x1b[A", b"\x1b[B"


def until_painted(terminal: Terminal, written: int) -> None:
    """Wait until the program has written more than so much, and a little longer."""
    until = time.monotonic() + PATIENCE_S
    while terminal.written == written:
        if time.monotonic() > until:
            raise TimeoutError(f"nothing was painted in {PATIENCE_S:.0f} s")
        watch([terminal], BETWEEN_S)
    watch([terminal], BETWEEN_S)


def per_key(terminal: Terminal, keys: int) -> list[float]:
    """CPU milliseconds of each key."""
    costs = []
    for number in range(keys):
        before, written = terminal.cpu_s(), terminal.written
        os.write(terminal.ours, UP if number % 2 else DOWN)
        until_painted(terminal, written)
        costs.append(1000 * (terminal.cpu_s() - before))
    return costs


def main() -> None:
    keys = 10 if arguments(__doc__).smoke else 120
    with tempfile.TemporaryDirectory() as place:
        repo = make_project(Path(place) / "project", "true\n")
        asyncio.run(fill(repo))
        commands = ([sys.executable, "-I", "-m", "octopoid_tui"], [sys.executable, "-I", "-c", TABLE])
        terminals = [Terminal(command, repo) for command in commands]
        try:
            for terminal in terminals:
                until_painted(terminal, 0)
            watch(terminals, SETTLE_S)
            ours, theirs = (statistics.median(per_key(terminal, keys)) for terminal in terminals)
        finally:
            for terminal in terminals:
                terminal.close()
    detail = f"{ours:.2f} / {theirs:.2f} ms of CPU, medians of {keys}"
    report("one key, control screen / DataTable", ours / theirs, detail)


if __name__ == "__main__":
    sys.exit(main())
