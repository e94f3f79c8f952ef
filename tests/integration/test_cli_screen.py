"""`octopoid` on a terminal: the screen comes, serves others, and leaves the terminal as it was."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_house import COMMITS, PATIENCE_S, House, make_house, until

from octopoid_tui.cli.holder import holding_pid


@pytest.fixture
def house(tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch) -> House:
    house = make_house(tmp_path, gitrepo, monkeypatch)
    house.ok("init")
    house.shell_agent(COMMITS)
    return house


class Terminal:
    """A pseudo-terminal with `octopoid` on it; `seen` is all that was written to it."""

    def __init__(self, house: House) -> None:
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "octopoid_tui"],
            cwd=house.repo.path,
            env={**house.environment(), "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        self.slave = slave
        self.seen = b""
        self._closing = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while not self._closing:
            readable, _, _ = select.select([self.master], [], [], 0.1)
            if readable:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.master, 65536)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._closing = True
        self._reader.join()
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def terminal(house: House) -> Iterator[Terminal]:
    terminal = Terminal(house)
    yield terminal
    terminal.close()


def lock(house: House) -> Path:
    return house.repo.path / ".octopoid" / "owner.lock"


def test_the_screen_works_the_queue_and_serves_other_processes(house: House, terminal: Terminal) -> None:
    until(lambda: b"Queues" in terminal.seen, "the first paint")
    until(lambda: holding_pid(lock(house)) == terminal.process.pid, "owning the store")
    house.ok("enqueue", "Seen at once", "--id", "t1")
    until(lambda: b"Seen at once" in terminal.seen, "the task on the screen")
    until(lambda: house.json("show", "t1")["task"]["queue"] == "provisional", "the work")
    said = house.process("run", "--once")
    assert said.returncode == 4
    assert "close the screen with q" in said.stderr
    assert house("stop").exit_code == 4
    assert house.ok("accept", "t1").startswith("t1 is done")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_screen_and_restores_the_terminal(
    house: House, terminal: Terminal, number: signal.Signals
) -> None:
    until(lambda: b"Queues" in terminal.seen, "the first paint")
    until(lambda: house.json("status")["scheduler"]["running"], "the scheduler")
    terminal.process.send_signal(number)
    assert terminal.process.wait(PATIENCE_S) == 0
    assert termios.tcgetattr(terminal.slave) == terminal.before
    until(lambda: b"\x1b[?1049l" in terminal.seen, "leaving the alternate screen")
    assert holding_pid(lock(house)) is None


def test_without_a_project_the_screen_says_how_to_begin(house: House, tmp_path: Path, gitrepo: type) -> None:
    house.repo = gitrepo.make(tmp_path / "other", {"a": "b"})  # type: ignore[attr-defined]
    terminal = Terminal(house)
    try:
        assert terminal.process.wait(PATIENCE_S) == 3
        until(lambda: b"octopoid init" in terminal.seen, "the hint")
    finally:
        terminal.close()
