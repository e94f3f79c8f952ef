"""Agents that try to leave processes behind, and disks and numbers that run out."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.runs import process_tree
from scheduler.runs.adopt import stop, sweep, wait_ended
from scheduler.runs.launch import launch
from scheduler.runs.process_tree import Process
from scheduler.runs.rundir import ExitCause, RunDir

PROGRAMS = Path(__file__).parent.parent / "programs"
REPOSITORY = Path(__file__).parent.parent.parent

Start = Callable[..., RunDir]


def eventually(holds: Callable[[], object], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def living(run: RunDir) -> list[Process]:
    spec = run.spec()
    assert spec is not None
    return process_tree.marked(spec.marks(), 0)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program of tests/programs and waits until it says that it is ready."""
    made: list[RunDir] = []

    def make(program: str, *arguments: str, grace_s: float = 0.3) -> RunDir:
        run = RunDir.create(tmp_path, f"run-{len(made)}")
        made.append(run)
        command = [sys.executable, str(PROGRAMS / f"{program}.py"), *arguments]
        run.write_spec(command, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, grace_s=grace_s)
        launch(run)
        eventually(lambda: b"ready" in run.transcript.read_bytes())
        return run

    yield make
    for run in made:
        if run.path.exists():
            stop(run, "kill")
            sweep(run)


def test_daemons_that_outlive_their_agent_are_counted_and_killed(start: Start) -> None:
    """F5: double fork, own session, SIGTERM ignored, stdout held: none is left, and its exit is told."""
    run = start("daemonizing", "3", "leave")
    ended = wait_ended(run, 60)
    assert (ended.code, ended.cause, ended.strays_killed, ended.survivors) == (7, ExitCause.EXITED, 3, 0)
    assert living(run) == []


def test_stopping_ends_agent_and_daemons(start: Start) -> None:
    run = start("daemonizing", "2", "stay")
    assert len(living(run)) == 3
    stop(run)
    ended = wait_ended(run, 60)
    assert (ended.cause, ended.survivors) == (ExitCause.STOPPED, 0)
    assert living(run) == []


def test_tree_of_sixteen_is_gone_after_the_grace_time(start: Start) -> None:
    """F5: sessions, groups, stopped processes, ones that ignore SIGTERM."""
    run = start("tree")
    eventually(lambda: len(living(run)) == 16)
    stop(run)
    assert wait_ended(run, 60).survivors == 0
    assert living(run) == []


@pytest.mark.parametrize("arguments", [(), ("sessions",)])
def test_daemon_that_is_never_the_same_process_for_long_is_caught(
    start: Start, arguments: tuple[str, ...]
) -> None:
    run = start("hopping", *arguments)
    assert wait_ended(run, 60).survivors == 0
    for _ in range(20):
        assert living(run) == []


def test_process_whose_main_thread_has_ended_is_not_taken_for_a_zombie(start: Start) -> None:
    run = start("headless")
    assert len(living(run)) == 1
    stop(run, "kill")
    assert wait_ended(run, 60).signal == signal.SIGKILL
    assert living(run) == []


def test_stopped_agent_is_ended(start: Start) -> None:
    """F7: SIGSTOP does not keep an agent from being told to end."""
    run = start("tree", grace_s=60.0)
    started = run.started()
    assert started is not None
    agent = process_tree.inspect(started.pid)
    assert agent is not None
    assert process_tree.signal_proven(agent, signal.SIGSTOP)
    stop(run)
    assert wait_ended(run, 60).signal == signal.SIGTERM


def test_process_that_left_the_tree_is_found_by_its_marks(tmp_path: Path, start: Start) -> None:
    """A process started elsewhere with the run's environment, as a service manager would, ends with it."""
    run = start("daemonizing", "0", "stay")
    spec = run.spec()
    assert spec is not None
    with subprocess.Popen(["/bin/sleep", "60"], env=spec.environment()) as elsewhere:
        stop(run)
        assert wait_ended(run, 60).strays_killed == 1
        assert elsewhere.wait(60) in (-signal.SIGTERM, -signal.SIGKILL)


def test_strangers_are_never_signalled(start: Start) -> None:
    """F14, L-61, L-66: another run's agent, and one with its run id and another nonce, live on."""
    other, run = start("stubborn"), start("stubborn")
    spec = run.spec()
    assert spec is not None
    lookalike = {**spec.environment(), "OCTOPOID_RUN_NONCE": "0" * 32}
    with subprocess.Popen(["/bin/sleep", "60"], env=lookalike) as stranger:
        stop(run, "kill")
        wait_ended(run, 60)
        sweep(run)
        assert stranger.poll() is None
        assert len(living(other)) == 1
        stranger.kill()


def test_a_process_number_given_to_somebody_else_gets_no_signal() -> None:
    """F14: what was recorded of a process must still hold in the instant of the signal."""
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        now = process_tree.inspect(process.pid)
        assert now is not None
        for remembered in (now._replace(starttime=now.starttime - 1), now._replace(ppid=1)):
            assert not process_tree.signal_proven(remembered, signal.SIGKILL)
        assert process.poll() is None
        assert process_tree.signal_proven(now, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert not process_tree.signal_proven(now, signal.SIGKILL)


def test_sweep_touches_nothing_of_another_boot(start: Start) -> None:
    """L-61: process numbers and start times mean nothing after a restart of the machine."""
    run = start("stubborn")
    record = run.started_json.read_text()
    run.started_json.write_text(record.replace(process_tree.boot_id(), "another-boot"))
    assert sweep(run) == 0
    assert len(living(run)) == 1
    run.started_json.write_text(record)
    assert sweep(run) == 1


def test_full_disk_never_hides_how_a_run_ended(tmp_path: Path) -> None:
    """F4: the transcript loses what does not fit and counts it; the exit is recorded all the same."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], capture_output=True).returncode:
        pytest.skip("needs user and mount namespaces")
    done = subprocess.run(
        [unshare, "-rm", sys.executable, str(PROGRAMS / "small_disk.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ended", "4", "exited", "dropped", "True", "No", "space"]


def test_supervisor_keeps_its_memory_from_the_agent(start: Start) -> None:
    """The agent runs as the same user; the kernel gives a hidden process's files to root."""
    if os.getuid() == 0:
        pytest.skip("root may look at every process")
    started = start("stubborn").started()
    assert started is not None
    assert os.stat(f"/proc/{started.supervisor_pid}/environ").st_uid == 0
    assert os.stat(f"/proc/{started.pid}/environ").st_uid == os.getuid()


def test_a_run_whose_directory_is_gone_ends_by_itself(start: Start) -> None:
    """Nobody could reach, adopt or stop it any more."""
    run = start("stubborn")
    spec = run.spec()
    assert spec is not None
    shutil.rmtree(run.path)
    eventually(lambda: not process_tree.marked(spec.marks(), 0))
