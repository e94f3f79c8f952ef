"""Queueing, listing and steering by command, without a scheduler."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_house import PATIENCE_S, House, make_house

from backend.model import Queue

ID = re.compile(r"[0-9a-z]{14}\n")
HOSTILE_IDS = ["../x", "a/b", "-x", "x..y", "x.lock", "x" * 65, "a b", "é", "x\x1b[2J"]


@pytest.fixture
def house(tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch) -> House:
    house = make_house(tmp_path, gitrepo, monkeypatch)
    house.ok("init")
    house.shell_agent("true")
    return house


def test_enqueue_prints_the_id_alone(house: House) -> None:
    said = house.process("enqueue", "Fix the login form")
    assert said.returncode == 0
    assert ID.fullmatch(said.stdout)
    assert said.stderr == ""
    (task,) = house.json("list")
    assert task["id"] == said.stdout.strip()
    assert (task["queue"], task["priority"], task["role"], task["blocked_by"]) == (
        "incoming",
        "P2",
        "implement",
        [],
    )
    assert task["base_branch"] == "main"
    assert task["base_sha"] == house.repo.head("main")


def test_every_flag_of_enqueue_arrives(house: House) -> None:
    house.repo.git("branch", "release")
    house.ok("enqueue", "first", "--id", "t1")
    house.ok("enqueue", "second", "--id", "t2")
    task = house.json(
        "enqueue", "Third", "--id", "t3", "--role", "review", "--priority", "p0", "--type", "bugfix",
        "--complexity", "xl", "--project", "site", "--branch", "release", "--blocked-by", "t1",
        "--blocked-by", "t2", "--needs", "db,port", "--body", "Do it.\nWell.", "--auto-accept",
    )  # fmt: skip
    expected = {
        "id": "t3", "title": "Third", "role": "review", "priority": "P0", "type": "bugfix",
        "complexity": "XL", "project_id": "site", "base_branch": "release", "blocked_by": ["t1", "t2"],
        "needs": ["db", "port"],
        "body": "Do it.\nWell.", "auto_accept": True, "queue": "blocked",
    }  # fmt: skip
    assert {name: task[name] for name in expected} == expected
    assert house.json("enqueue", "later", "--backlog")["queue"] == "backlog"


def test_the_description_comes_from_stdin(house: House) -> None:
    house.ok("enqueue", "t", "--id", "t1", "--body", "-", stdin="from\nstdin\n")
    assert house.json("show", "t1")["task"]["body"].strip() == "from\nstdin"


def test_a_description_that_is_no_text_is_refused(house: House) -> None:
    with house.start("enqueue", "t", "--body", "-") as process:
        process.communicate()
    assert process.returncode == 0  # an empty stdin is an empty description
    result = house("enqueue", "t", "--body", "-", stdin=b"\xff\xfe")  # type: ignore[arg-type]
    assert result.exit_code == 2
    assert "UTF-8" in result.stderr


def test_task_files_are_queued_in_order(house: House) -> None:
    for name in ("a", "b"):
        text = f"---\nid: task-{name}\npriority: P1\n---\n# Title {name}\n\nBody {name}.\n"
        (house.repo.path / f"{name}.md").write_text(text)
    assert house.ok("enqueue", "--file", "a.md", "--file", "b.md") == "task-a\ntask-b\n"
    tasks = {task["id"]: task for task in house.json("list")}
    assert tasks["task-a"]["title"] == "Title a"
    assert tasks["task-b"]["priority"] == "P1"


def test_flags_go_before_what_the_file_says(house: House) -> None:
    (house.repo.path / "a.md").write_text("---\npriority: P1\n---\n# From the file\n\nBody.\n")
    task = house.json("enqueue", "From the line", "--file", "a.md", "--priority", "P3")
    assert (task["title"], task["priority"]) == ("From the line", "P3")


def test_broken_frontmatter_is_named_with_its_line(house: House) -> None:
    (house.repo.path / "a.md").write_text("---\ntitle: x\npriority: [P1\n---\nBody\n")
    result = house("enqueue", "--file", "a.md")
    assert result.exit_code == 2
    assert "a.md" in result.stderr
    assert result.stdout == ""
    assert house.json("list") == []


@pytest.mark.parametrize(
    ("arguments", "status", "hint"),
    [
        ([], 2, "TITLE"),
        (["  "], 2, "title is empty"),
        (["x", "--branch", "relaese"], 3, "relaese"),
        (["x", "--branch=--upload-pack=x"], 2, "branch"),
        (["x", "--role", "no-such-role"], 2, "no-such-role"),
        (["x", "--blocked-by", "nobody"], 3, "nobody"),
        (["--file", "missing.md"], 2, "missing.md"),
        (["--file", "README.md", "--body", "y"], 2, "--file"),
        (["x", "--file", "a.md", "--file", "b.md"], 2, "several files"),
    ],
)
def test_what_cannot_be_queued_is_refused(house: House, arguments: list[str], status: int, hint: str) -> None:
    result = house("enqueue", *arguments)
    assert result.exit_code == status, result.output
    assert hint in result.stderr
    assert result.stdout == ""
    assert house.json("list") == []


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
def test_hostile_ids_are_refused(house: House, hostile: str) -> None:
    result = house("enqueue", "x", f"--id={hostile}")
    assert result.exit_code == 2, result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("command", ["show", "why", "logs", "diff", "retry", "cancel", "accept"])
def test_a_task_that_does_not_exist_is_status_3(house: House, command: str) -> None:
    result = house(command, "nobody")
    assert result.exit_code == 3, result.output
    assert "nobody" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "x\x1b[2Jy"])
@pytest.mark.parametrize("command", ["show", "logs", "diff", "why", "answer"])
def test_hostile_names_do_no_harm(house: House, command: str, hostile: str) -> None:
    result = house(command, hostile, *(["text"] if command == "answer" else []))
    assert result.exit_code in (2, 3), result.output
    assert "\x1b" not in result.output


def test_a_duplicate_id_is_refused(house: House) -> None:
    house.ok("enqueue", "one", "--id", "t1")
    result = house("enqueue", "another", "--id", "t1")
    assert result.exit_code == 4
    assert "t1" in result.stderr


def test_lists_are_filtered_and_in_claim_order(house: House) -> None:
    for number, priority in enumerate(("P2", "P0", "P1")):
        house.ok("enqueue", f"task {number}", "--id", f"t{number}", "--priority", priority)
    house.ok("enqueue", "later", "--id", "t9", "--backlog")
    assert [task["id"] for task in house.json("list", "--queue", "incoming")] == ["t1", "t2", "t0"]
    assert [task["id"] for task in house.json("list", "--priority", "P0", "--priority", "P1")] == ["t1", "t2"]
    assert [task["id"] for task in house.json("list", "--queue", "backlog")] == ["t9"]
    assert len(house.json("list", "--limit", "2")) == 2
    lines = house.ok("list", "--queue", "incoming").splitlines()
    assert len(lines) == 4
    assert (
        len({line.index(priority) for line, priority in zip(lines[1:], ("P0", "P1", "P2"), strict=True)}) == 1
    )


def test_hostile_text_does_not_reach_the_terminal(house: House) -> None:
    title = "safe\x1b]0;owned\x07 title\u202e"
    house.ok("enqueue", title, "--id", "t1", "--body", "body\x1b[2J\x9b31m")
    for command in (["list"], ["show", "t1"], ["why", "t1"], ["status"]):
        text = house.ok(*command)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), command


def test_show_has_every_part(house: House) -> None:
    house.ok("enqueue", "Fix it", "--id", "t1", "--body", "Please.")
    assert list(house.json("show", "t1")) == ["task", "runs", "messages", "events", "evidence"]
    text = house.ok("show", "t1")
    for part in ("t1", "Fix it", "Please.", "main at", "History", "human:"):
        assert part in text


def test_why_lists_the_gates_with_their_reasons(house: House) -> None:
    house.ok("enqueue", "Fix it", "--id", "t1")
    house.ok("pause", "--reason", "lunch")
    said = house.json("why", "t1")
    assert said["task_id"] == "t1"
    closed = [gate for gate in said["gates"] if not gate["passes"]]
    assert any("lunch" in gate["reason"] for gate in closed)
    text = house.ok("why", "t1")
    assert "✗" in text
    assert "✓" in text
    assert "lunch" in text


def test_pause_and_resume(house: House) -> None:
    assert house.json("pause", "--reason", "lunch")["paused"] is True
    assert house.json("status")["scheduler"]["paused"] is True
    assert "paused" in house.ok("status")
    assert house.json("resume")["paused"] is False
    assert house.json("status")["scheduler"]["paused"] is False


def test_status_has_the_documented_shape(house: House) -> None:
    house.ok("enqueue", "x")
    said = house.json("status")
    assert set(said) == {
        "mode", "queues", "scheduler", "agents", "leases", "questions", "sync", "cost_today_usd",
    }  # fmt: skip
    assert set(said["queues"]) == {queue.value for queue in Queue}
    assert said["queues"]["incoming"] == 1
    assert set(said["scheduler"]) == {"running", "pid", "paused", "last_cycle_age_s"}
    assert said["scheduler"]["running"] is False
    assert said["sync"] == {"state": "local", "pending": 0, "conflicts": 0}
    assert "no scheduler runs: octopoid run" in house.ok("status")


def test_cancel_and_retry(house: House) -> None:
    house.ok("enqueue", "x", "--id", "t1")
    assert house.ok("cancel", "t1", "--reason", "not wanted") == "t1 is cancelled\n"
    result = house("cancel", "t1")
    assert result.exit_code == 4
    assert house.json("retry", "t1")["queue"] == "incoming"


def test_what_the_lifecycle_does_not_allow_is_status_4(house: House) -> None:
    house.ok("enqueue", "x", "--id", "t1")
    for command in (["accept", "t1"], ["reject", "t1", "--reason", "no"], ["retry", "t1"]):
        result = house(*command)
        assert result.exit_code == 4, result.output
        assert "t1" in result.stderr
    assert house("reject", "t1", "--reason", " ").exit_code == 2
    assert house("accept", "t1", "--override", " ").exit_code == 2


def test_nothing_to_show_is_no_output(house: House) -> None:
    assert house.ok("list") == ""
    assert house.ok("questions") == ""
    assert house.json("questions") == []
    house.ok("enqueue", "x", "--id", "t1")
    result = house("diff", "t1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no changes yet" in result.stderr
    result = house("logs", "t1")
    assert result.exit_code == 3
    assert "octopoid why t1" in result.stderr


def test_a_question_that_does_not_exist_cannot_be_answered(house: House) -> None:
    assert house("answer", "nobody", "yes").exit_code == 3
    assert house("answer", "nobody", " ").exit_code == 2


def test_octopoid_dir_names_the_project_from_anywhere(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert house("list").exit_code == 3
    monkeypatch.setenv("OCTOPOID_DIR", str(house.repo.path / ".octopoid"))
    house.ok("enqueue", "x", "--id", "t1")
    assert [task["id"] for task in house.json("list")] == ["t1"]


def test_inside_a_run_the_queue_cannot_be_changed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = house.repo.path / ".octopoid" / "runs" / "r1"
    run_dir.mkdir(parents=True)
    monkeypatch.setenv("OCTOPOID_RUN_DIR", str(run_dir))
    result = house("enqueue", "more work")
    assert result.exit_code == 4
    assert "octopoid ask" in result.stderr
    assert house.json("list") == []


def test_commands_at_the_same_time_take_turns(house: House) -> None:
    processes = [house.start("enqueue", f"task {n}", "--id", f"t{n}") for n in range(4)]
    for process in processes:
        with process:
            out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        assert out.startswith("t")
    assert len(house.json("list")) == 4


def test_a_damaged_store_is_an_error_that_names_it(house: House) -> None:
    house.ok("enqueue", "x")
    database = house.repo.path / ".octopoid" / "octopoid.db"
    database.write_bytes(b"not a database at all" * 1000)
    for path in database.parent.glob("octopoid.db-*"):
        path.unlink()
    said = house.process("list", "--json")
    assert said.returncode == 1
    assert said.stdout == ""
    assert "octopoid.db" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    "arguments", [["enqueue", "t\udcff"], ["show", "\udcff"], ["list", "--role", "é\udcff"]]
)
def test_bytes_that_are_no_text_are_wrong_usage(house: House, arguments: list[str]) -> None:
    said = house.process(*arguments)
    assert said.returncode == 2
    assert "is not UTF-8" in said.stderr
    assert "Traceback" not in said.stderr


def test_json_holds_nothing_else_on_stdout(house: House) -> None:
    said = house.process("enqueue", "x", "--json")
    assert json.loads(said.stdout)["title"] == "x"
