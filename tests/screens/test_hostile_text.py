"""Hostile text in every widget of a real program in a real pseudo-terminal (threats T1 to T3).

What is looked at are the bytes that reach the terminal, whether the program lives, and whether
anything but our own markup can be clicked.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("hostile_app.py")
CONTROL_Y = 0

# All that Textual itself writes: cursor movements, colours, erasing, modes, the keyboard protocol,
# the shape of the pointer.
OWN = re.compile(
    "\x1b\\[(?:[0-9;]*[ABCDGHJKm]|\\?[0-9;]+[hl]|\\?[0-9]+\\$p|[<>][0-9]*u)|\x1b\\]22;[a-z-]*\x07|[\r\n\t]"
)
CONTROLS = "\x00-\x1f\x7f-\x9f"
INVISIBLE = "\u200b-\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e0fff"


class Terminal:
    """A program in a pseudo-terminal whose output is kept."""

    def __init__(self, arguments: list[str], home: Path) -> None:
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LC_ALL": "C.UTF-8",
        }
        self.process = subprocess.Popen(
            [sys.executable, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=home
        )
        os.close(slave)
        self._master = master
        self._output = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            self._output += data

    @property
    def output(self) -> str:
        return bytes(self._output).decode("utf-8", "replace")

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def click(self, x: int, y: int) -> None:
        self.type(f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m")

    def drain(self) -> str:
        """Everything an ended program has written."""
        self._reader.join(10)
        assert not self._reader.is_alive()
        return self.output

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._master)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Program:
    """The hostile program and what it reports."""

    def __init__(self, mode: str, payloads: dict[str, str], home: Path) -> None:
        self._state = home / "state.json"
        (home / "payloads.json").write_text(json.dumps(list(payloads.items())), "utf-8")
        self.terminal = Terminal([str(PROGRAM), str(home / "payloads.json"), str(self._state), mode], home)
        self.wait(reports=1)

    def state(self) -> dict[str, Any]:
        if not self._state.exists():
            return {"reports": 0, "shown": -1}
        state: dict[str, Any] = json.loads(self._state.read_text())
        return state

    def wait(self, **expected: int) -> dict[str, Any]:
        def arrived() -> bool:
            assert self.terminal.process.poll() is None, self.terminal.output[-3000:]
            state = self.state()
            return all(state[key] >= value for key, value in expected.items())

        until(arrived, f"the program never came to {expected}: {self.state()}")
        return self.state()

    def report(self) -> dict[str, Any]:
        reports = self.state()["reports"]
        self.terminal.type("s")
        return self.wait(reports=reports + 1)


@pytest.fixture
def start(tmp_path: Path, hostile_payloads: dict[str, str]) -> Iterator[Callable[[str], Program]]:
    programs: list[Program] = []

    def run(mode: str) -> Program:
        programs.append(Program(mode, hostile_payloads, tmp_path))
        return programs[-1]

    yield run
    for program in programs:
        program.terminal.close()


def foreign(output: str, characters: str) -> list[str]:
    """What is left of `characters` without Textual's own sequences, each with what follows it."""
    return re.findall(f"[{characters}].{{0,30}}", OWN.sub("", output))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["plain", "octopoid", "leak"])
def test_no_foreign_control_reaches_the_terminal(
    mode: str, start: Callable[[str], Program], hostile_payloads: dict[str, str]
) -> None:
    """`plain` has no filter in the driver: the widgets alone must do. `leak` has nothing but it."""
    program = start(mode)
    assert len(hostile_payloads) >= 18
    for number in range(len(hostile_payloads)):
        program.terminal.type("p")
        program.wait(shown=number)
    program.terminal.type("\x11")
    until(lambda: program.terminal.process.poll() is not None, "ctrl+q did not end it")
    assert program.terminal.process.returncode == 0
    output = program.terminal.drain()
    assert output.count("visi") > 5 * len(hostile_payloads)
    assert "\x1b[?1049l" in output[-2000:]
    assert foreign(output, CONTROLS if mode == "leak" else CONTROLS + INVISIBLE) == []


def test_a_foreign_control_would_be_found() -> None:
    assert foreign("\x1b[1;1Ha\x1b[0m\x1b]22;text\x07", CONTROLS + INVISIBLE) == []
    for harm in ("\x1b]0;x\x07", "\x1b[6n", "\x1bc", "\x9b1m", "\x1bP\x1b\\", "\u202e", "\x1b]8;;x\x1b\\"):
        assert foreign(f"\x1b[1;1Ha{harm}b", CONTROLS + INVISIBLE) != []


@pytest.mark.slow
def test_nothing_in_the_data_can_be_clicked(
    start: Callable[[str], Program], hostile_payloads: dict[str, str]
) -> None:
    program = start("octopoid")
    for number, name in enumerate(hostile_payloads):
        program.terminal.type("p")
        state = program.wait(shown=number)
        if not name.startswith("mark"):
            continue
        targets = [(x, y) for x, y in state["places"] if y != CONTROL_Y]
        assert targets or name == "markdown nested", name
        for x, y in targets:
            program.terminal.click(x + 1, y)
        assert program.report()["fired"] == 0, name
    program.terminal.click(2, CONTROL_Y)
    until(
        lambda: program.report()["fired"] == 1,
        "the control was clicked and did not fire: the test proves nothing",
    )
