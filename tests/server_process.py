"""`octopoid serve` as a process of its own, as it is or with something wrong with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "programs"
LISTENING = re.compile(r"listening on (http://\S+:\d+)$")
PATIENCE_S = 60.0


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OCTOPOID_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "sdk" / "python" / "src")])
    return {**kept, "PYTHONPATH": path, "HOME": str(home)}


class Server:
    """`octopoid serve`, and what it has said on stderr.

    Args:
        program: what to run in place of `octopoid`, with its own first arguments.
    """

    def __init__(
        self, folder: Path, *arguments: str, program: tuple[str, ...] = ("-m", "octopoid_tui")
    ) -> None:
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *program, "serve", *arguments],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))

    @property
    def url(self) -> str:
        """Where it listens, once it has said so."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            for line in list(self.said):
                if found := LISTENING.search(line):
                    return found[1]
            assert self.process.poll() is None, self.said
            time.sleep(0.02)
        raise AssertionError(f"it did not listen: {self.said}")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def serving(
    folder: Path, *arguments: str, program: tuple[str, ...] = ("-m", "octopoid_tui")
) -> Iterator[Server]:
    """A server without keys while the block runs."""
    server = Server(folder, "--no-auth", *arguments, program=program)
    try:
        yield server
    finally:
        server.close()


def impatient(**settings: float) -> tuple[str, ...]:
    """A server with other constants: names are those of modules, with two underscores for a dot."""
    given = {name.replace("__", "."): value for name, value in settings.items()}
    return (str(PROGRAMS / "impatient_server.py"), json.dumps(given))


def dying(order: Path) -> tuple[str, ...]:
    """A server that kills itself at the point of a transaction that the file `order` names."""
    return (str(PROGRAMS / "dying_server.py"), str(order))
