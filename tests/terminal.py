"""The real program in a real terminal: a tmux server of the test's own, keys in, screen out."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_S = 120.0
POLL_S = 0.05
PACE_S = 0.25


class Terminal:
    """One pane with one program in it."""

    def __init__(self, server: str, environment: dict[str, str]) -> None:
        self._tmux = ("tmux", "-L", server, "-f", "/dev/null")
        self._environment = environment

    def start(self, command: Sequence[str], cwd: Path, width: int, height: int) -> None:
        """Start the program; its exit status is shown when it has ended."""
        line = f"{shlex.join(command)}; echo ended with $?; exec cat"
        self._run(
            "new-session", "-d", "-s", "main", "-x", str(width), "-y", str(height), "-c", str(cwd), line
        )

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names for them (`a`, `Enter`, `Escape`, `C-p`), at a person's pace.

        A key that moves the focus has moved it when the next one comes, and a terminal tells Escape from
        Alt and a key by the pause behind it.
        """
        for key in keys:
            self._run("send-keys", "-t", "main", key)
            time.sleep(PACE_S)

    def type(self, text: str) -> None:
        """Type a text, letter by letter."""
        self._run("send-keys", "-t", "main", "-l", text)

    def screen(self) -> str:
        """What is shown now, as plain text."""
        return self._run("capture-pane", "-p", "-t", "main")

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-t", "main", "-x", str(width), "-y", str(height))

    def wait_for(self, text: str) -> str:
        """Wait until a text is shown; returns the screen.

        Raises:
            AssertionError: it did not appear; the screen is in the message.
        """
        return self.wait_until(lambda screen: text in screen, text)

    def wait_until(self, seen: Callable[[str], bool], what: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while not seen(screen := self.screen()):
            assert time.monotonic() < deadline, f"{what!r} did not appear; the screen is\n{screen}"
            time.sleep(POLL_S)
        return screen

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *args: str) -> str:
        done = subprocess.run(
            [*self._tmux, *args],
            check=True,
            capture_output=True,
            text=True,
            env=self._environment,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout


@contextmanager
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal that is gone after the block."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: apt-get install tmux")
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }
    pane = Terminal(f"octopoid-{uuid.uuid4().hex[:12]}", environment)
    try:
        yield pane
    finally:
        pane.end()
