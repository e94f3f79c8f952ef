"""Supervisors and agents as real processes. Every agent here is a program of tests/programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scheduler.runs import process_tree, supervisor
from scheduler.runs.adopt import (
    AgentNotReading,
    RunLost,
    StillRunning,
    end_input,
    find_runs,
    offer,
    stop,
    sweep,
    wait_ended,
)
from scheduler.runs.control import CannotControl
from scheduler.runs.launch import PROGRAM, LaunchFailed, launch
from scheduler.runs.rundir import ExitCause, RunDir, RunDirState
from scheduler.runs.spec import RunSpec

PROGRAMS = Path(__file__).parent.parent / "programs"
REPOSITORY = Path(__file__).parent.parent.parent

Prepare = Callable[..., RunDir]


def eventually(holds: Callable[[], object], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def spec_of(run: RunDir) -> RunSpec:
    spec = run.spec()
    assert spec is not None
    return spec


def survivors(run: RunDir) -> list[process_tree.Process]:
    return process_tree.marked(spec_of(run).marks(), 0)


def tell(run: RunDir, data: bytes) -> bool:
    """Offer an agent a message; whether it had room for all of it."""
    return offer(run, data, lambda whole: None) == len(data)


def has_written(run: RunDir, text: bytes) -> bool:
    return run.transcript.exists() and text in run.transcript.read_bytes()


def launch_by_a_scheduler_that_is_killed(run: RunDir) -> int:
    """Another process launches the run and is SIGKILLed with its whole group. Returns the agent's number."""
    launching = [sys.executable, str(PROGRAMS / "launching.py"), str(run.path)]
    path = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(launching, stdout=subprocess.PIPE, env=path, start_new_session=True) as scheduler:
        assert scheduler.stdout is not None
        agent = int(scheduler.stdout.readline())
        os.killpg(scheduler.pid, signal.SIGKILL)
    return agent


@pytest.fixture
def prepare(tmp_path: Path) -> Iterator[Prepare]:
    """Makes run directories of `program` with arguments; nothing of them is left at the end."""
    made: list[RunDir] = []

    def make(*argv: str, **limits: object) -> RunDir:
        run = RunDir.create(tmp_path / "runs", f"run-{len(made)}")
        made.append(run)
        program, *arguments = argv
        command = [sys.executable, str(PROGRAMS / f"{program}.py"), *arguments]
        environment = {"PATH": os.environ["PATH"], "OCTOPOID_RUN_DIR": str(run.path)}
        settings: dict[str, Any] = {"grace_s": 0.3, **limits}
        run.write_spec(command, cwd=tmp_path, env=environment, **settings)
        return run

    yield make
    for run in made:
        stop(run, "kill")
        if run.started():
            sweep(run)


def test_output_exit_status_and_byte_counts_are_recorded(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "run-1")
    script = "echo out; echo err >&2; cat; exit 5"
    run.write_spec(["/bin/sh", "-c", script], cwd=tmp_path, env={}, stdin="null")
    started = launch(run)
    ended = wait_ended(run, 60)
    assert (ended.code, ended.signal, ended.cause) == (5, None, ExitCause.EXITED)
    assert (ended.bytes_out, ended.bytes_err, ended.dropped, ended.error) == (4, 4, 0, "")
    assert run.transcript.read_bytes() == b"out\n"
    assert run.stderr_log.read_bytes() == b"err\n"
    assert run.supervisor_err.read_bytes() == b""
    assert started.nonce == spec_of(run).nonce
    assert started.boot_id == process_tree.boot_id()
    assert started.at <= ended.at


def test_agent_gets_exactly_the_environment_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L-63: nothing is inherited from the scheduler, secrets least of all."""
    monkeypatch.setenv("OCTOPOID_API_KEY", "oct_canary")
    monkeypatch.setenv("CLAUDECODE", "1")
    run = RunDir.create(tmp_path, "run-1")
    dump = "import json, os; print(json.dumps(dict(os.environ)))"
    run.write_spec([sys.executable, "-c", dump], cwd=tmp_path, env={"GIVEN": "yes"}, stdin="null")
    launch(run)
    wait_ended(run, 60)
    seen = json.loads(run.transcript.read_bytes())
    seen.pop("LC_CTYPE", None)  # Python's own doing
    nonce = spec_of(run).nonce
    assert seen == {"GIVEN": "yes", "OCTOPOID_RUN": "run-1", "OCTOPOID_RUN_NONCE": nonce}


def test_supervisor_loads_nothing_from_outside_the_standard_library(tmp_path: Path) -> None:
    code = (
        "import json, runpy, sys\n"
        "runpy.run_path(sys.argv[1], run_name='probe')\n"
        "print(json.dumps([m for m in sys.modules if m.split('.')[0] not in sys.stdlib_module_names]))"
    )
    probe = [sys.executable, "-I", "-S", "-c", code, str(PROGRAM)]
    loaded = json.loads(subprocess.run(probe, capture_output=True, check=True, cwd=tmp_path).stdout)
    ours = ("agent_process", "durable", "ending", "lock", "process_tree", "spec", "spool")
    expected = {"__main__", "scheduler", "scheduler.runs", *(f"scheduler.runs.{name}" for name in ours)}
    assert set(loaded) - {"__main__"} == expected - {"__main__"}


def test_flood_is_drained_within_the_cap_and_the_last_lines_are_kept(prepare: Prepare) -> None:
    """L-60: 50 MB never block the agent, and never fill the disk."""
    cap = 1_000_000
    run = prepare("flood", "50000000", "1000", spool_cap_bytes=cap)
    launch(run)
    ended = wait_ended(run, 20)
    size = run.transcript.stat().st_size
    assert ended.code == 0
    assert ended.bytes_out == 50_000_019
    assert cap <= size <= cap + 65536 + 1
    assert 0 <= ended.bytes_out - ended.dropped - size + 1 <= 1
    lines = run.transcript.read_bytes().splitlines()
    assert lines[-1] == b'{"type": "result"}'
    assert {len(line) for line in lines[:-1]} == {999}


def test_line_of_ten_megabytes_is_kept_whole(prepare: Prepare) -> None:
    run = prepare("flood", "10000000", "10000000")
    launch(run)
    ended = wait_ended(run, 60)
    assert ended.dropped == 0
    assert run.transcript.stat().st_size == ended.bytes_out == 10_000_019


def test_endless_flood_can_be_stopped(prepare: Prepare) -> None:
    run = prepare("flood", "0", "100", spool_cap_bytes=100_000)
    launch(run)
    eventually(lambda: run.transcript.stat().st_size >= 100_000)
    stop(run)
    assert wait_ended(run, 60).cause is ExitCause.STOPPED


def test_agent_that_ignores_sigterm_is_killed_after_the_grace_time(prepare: Prepare) -> None:
    run = prepare("stubborn", grace_s=0.4)
    launch(run)
    eventually(lambda: has_written(run, b"ready"))
    begin = time.monotonic()
    stop(run)
    ended = wait_ended(run, 60)
    assert time.monotonic() - begin >= 0.4
    assert (ended.code, ended.signal, ended.cause) == (None, signal.SIGKILL, ExitCause.STOPPED)


def test_an_agent_that_records_its_own_end_is_stopped_all_the_same(tmp_path: Path) -> None:
    """L-31: what an agent could have written proves nothing."""
    run = RunDir.create(tmp_path, "run-1")
    script = "echo '{}' > exit.json; echo ready; exec sleep 600"
    run.write_spec(["/bin/sh", "-c", script], cwd=run.path, env={"PATH": os.environ["PATH"]}, stdin="null")
    launch(run)
    eventually(lambda: has_written(run, b"ready"))
    assert run.is_alive()
    stop(run, "kill")
    eventually(lambda: not run.is_alive())
    assert survivors(run) == []


def test_kill_does_not_wait_for_the_grace_time(prepare: Prepare) -> None:
    run = prepare("stubborn", grace_s=60.0)
    launch(run)
    eventually(lambda: has_written(run, b"ready"))
    stop(run)
    with pytest.raises(StillRunning):
        wait_ended(run, 0.2)
    stop(run, "kill")
    assert wait_ended(run, 60).cause is ExitCause.KILLED


def test_end_of_input_is_enough_for_an_agent_that_reads(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "run-1")
    run.write_spec(["/bin/cat"], cwd=tmp_path, env={})
    launch(run)
    assert tell(run, b"hello\n")
    eventually(lambda: has_written(run, b"hello"))
    end_input(run)
    ended = wait_ended(run, 60)
    assert (ended.code, ended.cause) == (0, ExitCause.EXITED)


def test_wall_clock_ends_a_run_and_says_so(prepare: Prepare) -> None:
    run = prepare("stubborn", wall_clock_s=0.5, grace_s=0.1)
    launch(run)
    ended = wait_ended(run, 60)
    assert (ended.cause, ended.signal) == (ExitCause.WALL_CLOCK, signal.SIGKILL)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["no-such-agent"], ("no-such-agent", "No such file", "PATH")),
        (["/etc/passwd"], ("/etc/passwd", "Permission denied")),
        (["a\0b"], ("null byte",)),
    ],
)
def test_program_that_cannot_start_is_named(tmp_path: Path, argv: list[str], words: tuple[str, ...]) -> None:
    run = RunDir.create(tmp_path, "run-1")
    run.write_spec(argv, cwd=tmp_path, env={"PATH": "/usr/bin"})
    with pytest.raises(LaunchFailed) as failure:
        launch(run)
    assert all(word in str(failure.value) for word in words)
    ended = run.exit()
    assert ended is not None
    assert (ended.cause, ended.code, ended.signal) == (ExitCause.SPAWN_FAILED, None, None)
    assert run.state() is RunDirState.ENDED


def test_missing_working_directory_is_named(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "run-1")
    run.write_spec(["/bin/true"], cwd=tmp_path / "gone", env={})
    with pytest.raises(LaunchFailed, match="gone"):
        launch(run)


def test_damaged_specification_is_a_failed_launch_not_a_hang(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "run-1")
    run.spec_json.write_text('{"argv": ["x"]')
    with pytest.raises(LaunchFailed, match=r"spec\.json"):
        launch(run)


def test_supervisor_that_cannot_come_up_is_a_failed_launch(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "run-1")
    run.write_spec(["/bin/true"], cwd=tmp_path, env={})
    with pytest.raises(LaunchFailed, match="/no/python"):
        launch(run, python="/no/python")
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o700)
    with pytest.raises(LaunchFailed, match="no supervisor came up"):
        launch(run, python=str(sleeper), timeout_s=0.3)
    assert run.state() is RunDirState.PREPARED


def test_second_supervisor_of_a_run_is_refused(prepare: Prepare) -> None:
    """F15: one lock, one holder; and an ended run is never started again."""
    run = prepare("stubborn")
    launch(run)
    again = [sys.executable, "-I", "-S", str(PROGRAM), str(run.path)]
    assert subprocess.run(again, check=False).returncode == supervisor.LOCKED
    stop(run, "kill")
    wait_ended(run, 60)
    record = run.exit_json.read_bytes()
    assert subprocess.run(again, check=False).returncode == supervisor.ALREADY_RAN
    assert run.exit_json.read_bytes() == record


def test_launching_twice_at_once_starts_one_agent(prepare: Prepare) -> None:
    run = prepare("stubborn")
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: launch(run), range(4)))
    assert len({record.pid for record in started}) == 1
    assert len(survivors(run)) == 1
    assert launch(run).pid == started[0].pid


def test_ending_of_the_launching_thread_does_not_end_the_agent(prepare: Prepare) -> None:
    run = prepare("stubborn")
    thread = threading.Thread(target=launch, args=(run,))
    thread.start()
    thread.join()
    with pytest.raises(StillRunning):
        wait_ended(run, 0.3)
    assert run.state() is RunDirState.ALIVE


def test_supervisor_is_nobody_s_child(prepare: Prepare) -> None:
    """A scheduler neither has to reap it nor keeps it as a zombie."""
    started = launch(prepare("stubborn"))
    with pytest.raises(ChildProcessError):
        os.waitpid(started.supervisor_pid, os.WNOHANG)
    assert os.getsid(started.supervisor_pid) == started.supervisor_pid
    assert os.getsid(started.pid) == started.pid


def test_agent_outlives_its_scheduler_and_is_answered_by_the_next_one(prepare: Prepare) -> None:
    """F3: the launching process is SIGKILLed; another one adopts and answers."""
    run = prepare("answering")
    pid = launch_by_a_scheduler_that_is_killed(run)
    assert find_runs(run.path.parent) == [(run, RunDirState.ALIVE)]
    assert launch(run).pid == pid
    eventually(run.read_outbox)
    (question,) = run.read_outbox()
    assert question.id == "q1"
    assert tell(run, b'{"colour": "blue"}\n')
    run.write_inbox("q1", {"body": "blue"})
    assert wait_ended(run, 60).code == 0
    assert [json.loads(line) for line in run.transcript.read_bytes().splitlines()] == [
        {"says": "hello"},
        {"read": '{"colour": "blue"}'},
        {"answer": {"body": "blue"}},
    ]


def test_adopted_run_is_stopped_like_an_own_one(prepare: Prepare) -> None:
    """A run started by a process that is gone ends by the same call, in the same way."""
    run = prepare("stubborn")
    launch_by_a_scheduler_that_is_killed(run)
    eventually(lambda: has_written(run, b"ready"))
    stop(run)
    ended = wait_ended(run, 60)
    assert (ended.cause, ended.signal) == (ExitCause.STOPPED, signal.SIGKILL)
    assert survivors(run) == []


def test_sigterm_to_the_supervisor_is_an_orderly_stop(prepare: Prepare) -> None:
    """What a machine's shutdown sends ends the agent and is recorded."""
    run = prepare("stubborn", grace_s=0.2)
    started = launch(run)
    supervising = process_tree.inspect(started.supervisor_pid)
    assert supervising is not None
    assert process_tree.signal_proven(supervising, signal.SIGTERM)
    assert wait_ended(run, 60).cause is ExitCause.STOPPED


def test_death_of_the_supervisor_is_the_death_of_the_agent_and_the_run_is_lost(prepare: Prepare) -> None:
    """F3: a SIGKILLed supervisor takes the agent along; what it could not take, the next sweep does."""
    run = prepare("daemonizing", "1", "stay")
    started = launch(run)
    eventually(lambda: has_written(run, b"ready"))
    supervising = process_tree.inspect(started.supervisor_pid)
    assert supervising is not None
    assert process_tree.signal_proven(supervising, signal.SIGKILL)
    eventually(lambda: process_tree.inspect(started.pid) is None)
    eventually(lambda: run.state() is RunDirState.LOST)
    with pytest.raises(RunLost):
        wait_ended(run, 1)
    with pytest.raises(LaunchFailed, match="lost"):
        launch(run)
    stop(run)
    assert survivors(run) == []


def test_message_to_an_agent_that_does_not_read_never_hangs(prepare: Prepare) -> None:
    run = prepare("tree")
    launch(run)
    assert tell(run, b"x" * 30_000)
    assert not tell(run, b"y" * 100_000)
    assert not tell(run, b"z" * 4000)


def test_messages_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "run-1")
    run.write_spec(["/bin/cat"], cwd=tmp_path, env={})
    launch(run)
    messages = [bytes([letter]) * 300_000 + b"\n" for letter in b"abcdef"]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda message: eventually(lambda: tell(run, message), 60), messages))
    end_input(run)
    wait_ended(run, 60)
    assert sorted(run.transcript.read_bytes().splitlines(keepends=True)) == messages


def test_message_to_an_ended_agent_is_refused(prepare: Prepare) -> None:
    run = prepare("flood", "10", "10")
    launch(run)
    wait_ended(run, 60)
    with pytest.raises(AgentNotReading):
        tell(run, b"too late\n")
    with pytest.raises(CannotControl):
        end_input(run)
    stop(run)  # and stopping what has ended is fine


def test_agent_that_removes_its_control_fifo_can_still_be_killed(prepare: Prepare) -> None:
    run = prepare("stubborn")
    launch(run)
    run.control_fifo.unlink()
    with pytest.raises(CannotControl, match=r"control\.fifo"):
        stop(run)
    stop(run, "kill")
    ended = wait_ended(run, 60)
    assert (ended.signal, ended.cause) == (signal.SIGKILL, ExitCause.EXITED)


def test_no_message_follows_a_fifo_replaced_by_a_link(prepare: Prepare, tmp_path: Path) -> None:
    run = prepare("stubborn")
    launch(run)
    target = tmp_path / "precious"
    target.write_text("mine")
    run.stdin_fifo.unlink()
    run.stdin_fifo.symlink_to(target)
    with pytest.raises(CannotControl):
        tell(run, b"overwritten\n")
    run.stdin_fifo.unlink()
    run.stdin_fifo.write_text("a plain file")
    with pytest.raises(CannotControl):
        tell(run, b"overwritten\n")
    assert target.read_text() == "mine"


def test_agent_closing_its_output_goes_on(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "run-1")
    script = "exec >&- 2>&-; read line; exit 9"
    run.write_spec(["/bin/sh", "-c", script], cwd=tmp_path, env={})
    launch(run)
    with pytest.raises(StillRunning):
        wait_ended(run, 0.3)
    assert tell(run, b"go\n")
    assert wait_ended(run, 30).code == 9


def test_supervisor_asks_for_no_time_while_nothing_happens(prepare: Prepare) -> None:
    run = prepare("stubborn")
    started = launch(run)

    def ticks() -> int:
        text = Path(f"/proc/{started.supervisor_pid}/stat").read_text()
        fields = text.rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    eventually(lambda: has_written(run, b"ready"))
    used = []
    for _ in range(20):  # on a busy machine it may still have to finish what it began
        before = ticks()
        with pytest.raises(StillRunning):
            wait_ended(run, 1.0)
        used.append(ticks() - before)
        if used[-1] <= 1:
            return
    pytest.fail(f"ticks in each second: {used}")
