"""Work from queue to merge by command, with real agents, processes and signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_house import ASKS, COMMITS, PATIENCE_S, House, make_house, until

from octopoid_tui.cli.holder import holding_pid


@pytest.fixture
def house(tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    house = make_house(tmp_path, gitrepo, monkeypatch)
    house.ok("init")
    house.shell_agent(COMMITS)
    yield house
    house("pause")
    for task in house.json("list", "--queue", "claimed"):
        house("cancel", task["id"])
    house("run", "--once")
    house("stop")


def lock(house: House) -> Path:
    return house.repo.path / ".octopoid" / "owner.lock"


def queue_of(house: House, task_id: str) -> str:
    return str(house.json("show", task_id)["task"]["queue"])


def test_from_queue_to_merge(house: House) -> None:
    house.ok("enqueue", "Write a file", "--id", "t1")
    said = house.process("run", "--until-idle")
    assert said.returncode == 0, said.stderr
    assert said.stdout == ""
    assert "t1 incoming → claimed" in said.stderr
    assert "t1 claimed → provisional" in said.stderr
    assert "to review" in said.stderr

    patch = house.process("diff", "t1").stdout
    assert "+++ b/t1.txt" in patch
    text = house.ok("show", "t1")
    assert "submitted" in text
    assert "waits for you" in house.ok("why", "t1")

    before = house.repo.head("main")
    assert house.ok("accept", "t1", "--by", "ana").startswith("t1 is done, merged as ")
    assert house.repo.head("main") != before
    assert (house.repo.path / "t1.txt").read_text() == "t1\n"
    task = house.json("show", "t1")["task"]
    assert task["queue"] == "done"
    assert task["merged_sha"] == house.repo.head("main")
    assert house("accept", "t1").exit_code == 4


def test_the_diff_in_a_pipe_can_be_applied(house: House, tmp_path: Path) -> None:
    house.ok("enqueue", "Write a file", "--id", "t1")
    house.ok("run", "--until-idle")
    patch = tmp_path / "t1.patch"
    patch.write_text(house.process("diff", "t1").stdout)
    house.repo.git("apply", str(patch))
    assert (house.repo.path / "t1.txt").read_text() == "t1\n"


def test_rejected_work_comes_back_with_the_reason(house: House) -> None:
    house.ok("enqueue", "Write a file", "--id", "t1")
    house.ok("run", "--until-idle")
    assert house.ok("reject", "t1", "--reason", "Use a better name") == "t1 is incoming\n"
    house.ok("run", "--until-idle")
    said = house.json("show", "t1")
    assert said["task"]["rejection_count"] == 1
    assert [run["attempt"] for run in said["runs"]] == [1, 2]
    prompt = house.repo.path / ".octopoid" / "runs" / said["runs"][1]["id"] / "prompt.md"
    assert "Use a better name" in prompt.read_text()


def test_missing_checks_need_an_override_with_a_reason(house: House) -> None:
    house.ok("enqueue", "Write a file", "--id", "t1")
    house.ok("run", "--until-idle")
    config = house.repo.path / ".octopoid" / "config.yaml"
    config.write_text(config.read_text() + "\nchecks:\n  - 'test -e t1.txt'\n")
    result = house("accept", "t1")
    assert result.exit_code == 4
    assert "test -e t1.txt" in result.stderr
    assert "--override" in result.stderr
    house.ok("accept", "t1", "--override", "the check is new")
    said = house.json("show", "t1")
    assert said["task"]["queue"] == "done"
    assert "the check is new" in [event["reason"] for event in said["events"]]


def test_checks_leave_evidence(house: House) -> None:
    config = house.repo.path / ".octopoid" / "config.yaml"
    config.write_text(config.read_text() + "\nchecks:\n  - 'test -e t1.txt'\n")
    house.ok("enqueue", "Write a file", "--id", "t1")
    house.ok("run", "--until-idle")
    said = house.json("show", "t1")
    assert [(item["check"], item["passed"]) for item in said["evidence"]] == [("test -e t1.txt", True)]
    assert said["evidence"][0]["commit_sha"] == said["task"]["head_sha"]
    assert "✓  test -e t1.txt  passed" in house.ok("show", "t1")


def test_a_question_is_answered_by_the_number_of_an_option(house: House) -> None:
    house.shell_agent(ASKS)
    house.ok("enqueue", "Paint it", "--id", "t1")
    said = house.process("run", "--until-idle")
    assert said.returncode == 0
    assert "1 agent goes on" in said.stderr
    (question,) = house.json("questions")
    assert set(question) == {
        "id", "task_id", "run_id", "kind", "body", "options", "created_at", "unlocks", "same",
    }  # fmt: skip
    assert (question["task_id"], question["body"], question["options"]) == (
        "t1",
        "Which colour?",
        ["red", "blue"],
    )
    assert f"octopoid answer {question['id']}" in said.stderr
    text = house.ok("questions")
    assert "Which colour?" in text
    assert "  2. blue" in text
    result = house("answer", question["id"], "3")
    assert result.exit_code == 2
    assert "has no option 3" in result.stderr

    house.ok("answer", question["id"], "2")
    assert house.json("questions") == []
    assert house("answer", question["id"], "red").exit_code == 4
    house.ok("run", "--until-idle")
    assert queue_of(house, "t1") == "provisional"
    assert "+blue" in house.process("diff", "t1").stdout


def test_an_answer_from_stdin_is_taken_as_it_is(house: House) -> None:
    house.shell_agent(ASKS)
    house.ok("enqueue", "Paint it", "--id", "t1")
    house.ok("run", "--until-idle")
    (question,) = house.json("questions")
    assert house.json("show", "t1")["messages"][0]["id"] == question["id"]
    result = house("answer", question["id"], "-", "--json", stdin="2\n")
    assert json.loads(result.stdout)["answer"] == "2"


def test_logs_show_what_happened_and_raw_output_stays_off_terminals(house: House) -> None:
    house.shell_agent(f"printf 'hello \\033]0;owned\\007world\\n'; {COMMITS}")
    house.ok("enqueue", "Write a file", "--id", "t1")
    house.ok("run", "--until-idle")
    text = house.ok("logs", "t1")
    assert "hello world" in text
    assert "ended: code 0" in text
    assert "\x1b" not in text
    run_id = house.json("show", "t1")["runs"][0]["id"]
    assert house.ok("logs", run_id) == text
    raw = house.process("logs", "t1", "--raw")
    assert "\x1b]0;owned\x07" in raw.stdout
    assert house.process("logs", "t1", "--follow").stdout == text.replace("\n\n", "\n")
    assert house("logs", "t1", "--raw", "-f").exit_code == 2


def test_raw_output_is_refused_on_a_terminal(house: House) -> None:
    house.ok("enqueue", "Write a file", "--id", "t1")
    house.ok("run", "--until-idle")
    master, slave = os.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "octopoid_tui", "logs", "t1", "--raw"],
            cwd=house.repo.path,
            env=house.environment(),
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        os.close(slave)
        os.close(master)
    assert process.returncode == 2
    assert "take over the terminal" in err


def test_followed_logs_end_with_the_run(house: House) -> None:
    house.shell_agent(
        f"echo begins; while [ ! -e $OCTOPOID_RUN_DIR/go ]; do sleep 0.1; done; echo ends; {COMMITS}"
    )
    house.ok("enqueue", "Write a file", "--id", "t1")
    with house.start("run", "--until-idle") as scheduler, house.start_following("t1") as follower:
        assert follower.stdout is not None
        assert "begins" in follower.stdout.readline()
        run = house.json("show", "t1")["runs"][0]
        (house.repo.path / ".octopoid" / "runs" / run["id"] / "go").touch()
        rest, err = follower.communicate(timeout=PATIENCE_S)
        scheduler.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0, err
    assert "ends" in rest
    assert "ended: code 0" in rest


def test_once_starts_what_can_start_and_leaves_it_running(house: House) -> None:
    house.shell_agent("sleep 600")
    house.ok("enqueue", "Take your time", "--id", "t1")
    said = house.process("run", "--once")
    assert said.returncode == 0, said.stderr
    assert "1 agent goes on" in said.stderr
    assert queue_of(house, "t1") == "claimed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_scheduler_and_no_agent(house: House, number: signal.Signals) -> None:
    house.shell_agent("sleep 600")
    house.ok("enqueue", "Take your time", "--id", "t1")
    with house.start("run") as process:
        until(lambda: queue_of(house, "t1") == "claimed", "the claim")
        until(lambda: house.json("show", "t1")["runs"][0]["status"] == "running", "a running agent")
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "1 agent goes on" in err
    (run,) = house.json("show", "t1")["runs"]
    assert run["status"] == "running"
    with house.start("run", "--debug") as process:
        until(lambda: house.json("status")["scheduler"]["running"], "the next scheduler")
        assert house.json("status")["agents"][0]["run_id"] == run["id"]
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert "adopted" in err


def test_a_second_scheduler_is_refused_and_named(house: House) -> None:
    with house.start("run") as process:
        until(lambda: house.json("status")["scheduler"]["running"], "the scheduler")
        for arguments in (["run"], ["run", "--daemon"], ["start", "--once"], ["run", "--until-idle"]):
            said = house.process(*arguments)
            assert said.returncode == 4, said.stderr
            assert f"process {process.pid}" in said.stderr
            assert "octopoid stop" in said.stderr
        assert house.ok("enqueue", "Through the owner", "--id", "t1") == "t1\n"
        until(lambda: queue_of(house, "t1") == "provisional", "the work")
        assert house.ok("accept", "t1").startswith("t1 is done")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


def test_a_daemon_comes_up_is_seen_and_stops(house: House) -> None:
    said = house.process("run", "--daemon")
    assert said.returncode == 0, said.stderr
    pid = int(said.stdout)
    assert holding_pid(lock(house)) == pid
    assert os.getsid(pid) == pid
    status = house.json("status")
    assert (status["scheduler"]["running"], status["scheduler"]["pid"]) == (True, pid)
    findings = {f["what"]: f["text"] for f in json.loads(house.process("doctor", "--json").stdout)}
    assert f"process {pid}" in findings["store"]
    assert "log opened by process" in (house.repo.path / ".octopoid/logs/scheduler.log").read_text()

    house.ok("enqueue", "Write a file", "--id", "t1")
    until(lambda: queue_of(house, "t1") == "provisional", "the work")
    assert f"stopped {pid}" in house.ok("stop")
    assert holding_pid(lock(house)) is None
    result = house("stop")
    assert result.exit_code == 0
    assert "no scheduler runs here" in result.stderr


def test_a_daemon_that_cannot_start_says_why(house: House) -> None:
    logs = house.repo.path / ".octopoid" / "logs"
    logs.mkdir()
    (logs / "scheduler.log").symlink_to("/dev/null")
    said = house.process("run", "--daemon")
    assert said.returncode == 1
    assert said.stdout == ""
    assert "stays empty" in said.stderr


def test_a_program_in_the_repository_cannot_pose_as_ours(house: House) -> None:
    """The background scheduler starts in the repository, whose files are anybody's."""
    for package in ("octopoid_tui", "backend", "scheduler"):
        folder = house.repo.path / package
        folder.mkdir()
        (folder / "__init__.py").write_text("raise SystemExit('taken over')\n")
    pid = int(_octopoid_program(house, "run", "--daemon"))
    assert holding_pid(lock(house)) == pid
    house.ok("stop")


def _octopoid_program(house: House, *arguments: str) -> str:
    program = Path(sys.executable).with_name("octopoid")
    said = subprocess.run(
        [program, *arguments],
        cwd=house.repo.path,
        env=house.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


def test_flags_of_run_exclude_each_other(house: House) -> None:
    result = house("run", "--once", "--daemon")
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


def test_stop_leaves_an_innocent_process_alone(house: House) -> None:
    """The record of a scheduler that was killed names a process that may be anybody's by now (L-61)."""
    with subprocess.Popen(["sleep", "60"]) as innocent:
        record = {
            "pid": innocent.pid,
            "host": "h",
            "what": "run",
            "since": "2026-01-01T00:00:00Z",
            "socket": None,
        }
        lock(house).write_text(json.dumps(record))
        assert house("stop").exit_code == 0
        assert innocent.poll() is None
        innocent.kill()


def test_until_idle_says_what_it_waits_for(house: House) -> None:
    said = house.process("run", "--until-idle")
    assert said.returncode == 0
    assert re.search(r"stopped: everything is done", said.stderr)


def test_ctrl_c_ends_a_waiting_command_with_130(house: House) -> None:
    house.shell_agent("echo begins; sleep 600")
    house.ok("enqueue", "Take your time", "--id", "t1")
    with house.start("run") as scheduler, house.start_following("t1") as follower:
        assert follower.stdout is not None
        assert "begins" in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=PATIENCE_S)
        scheduler.send_signal(signal.SIGTERM)
        scheduler.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 130
    assert "Traceback" not in err
