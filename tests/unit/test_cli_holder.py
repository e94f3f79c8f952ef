"""Signals reach the process that holds the lock, and no other (L-61, L-66)."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from octopoid_tui.cli.holder import holding_pid, terminate

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "owner.lock"


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_nobody_holds_a_lock_that_is_missing_or_free(lock: Path) -> None:
    assert holding_pid(lock) is None
    lock.touch()
    assert holding_pid(lock) is None


def test_the_kernel_names_the_holder(lock: Path, holder: subprocess.Popen[bytes]) -> None:
    assert holding_pid(lock) == holder.pid


def test_looking_does_not_take_the_lock(lock: Path) -> None:
    with lock.open("w") as file:
        holding_pid(lock)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert holding_pid(lock) == os.getpid()


def test_the_holder_is_ended_and_waited_for(lock: Path, holder: subprocess.Popen[bytes]) -> None:
    assert terminate(lock, holder.pid, 60)
    assert holder.wait(60) == -signal.SIGTERM
    assert holding_pid(lock) is None


def test_l61_a_process_that_does_not_hold_the_lock_is_left_alone(lock: Path) -> None:
    lock.touch()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        assert terminate(lock, innocent.pid, 1)
        assert innocent.poll() is None
        innocent.communicate(b"\n")
    assert innocent.returncode == 0


def test_a_process_that_has_gone_needs_no_signal(lock: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert terminate(lock, process.pid, 1)


def test_a_holder_that_does_not_end_in_time_is_reported(lock: Path) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HOLD
    with subprocess.Popen([sys.executable, "-c", stubborn, str(lock)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not terminate(lock, process.pid, 0.2)
        process.kill()
