"""`octopoid ask`: a question and its answer as files of the run directory."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path

import pytest

from octopoid_tui.cli.ask import ask


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("outbox", "inbox"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("OCTOPOID_RUN_DIR", str(tmp_path))
    return tmp_path


def reply(run_dir: Path, request_id: str, content: object) -> None:
    half = run_dir / "inbox" / f".{request_id}.tmp"
    half.write_text(json.dumps(content))
    half.rename(half.with_name(f"{request_id}.json"))


def only_question(run_dir: Path) -> dict[str, object]:
    (path,) = (run_dir / "outbox").iterdir()
    content = json.loads(path.read_text())
    assert path.name == f"{content['id']}.json"
    assert isinstance(content, dict)
    return content


def test_prints_the_answer_that_arrives_while_it_waits(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer_it() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for path in (run_dir / "outbox").glob("*.json"):
                reply(run_dir, path.stem, {"answer": "blue"})
                return
            time.sleep(0.01)

    thread = threading.Thread(target=answer_it)
    thread.start()
    status = ask(
        ["Which colour?", "--option", "red", "--option", "blue", "--default", "red", "--timeout", "60"]
    )
    thread.join()
    assert status == 0
    assert capsys.readouterr().out == "blue\n"
    question = only_question(run_dir)
    assert question.pop("id")
    assert str(question.pop("at")).endswith("Z")
    assert question == {
        "kind": "ask",
        "question": "Which colour?",
        "options": ["red", "blue"],
        "default": "red",
        "deadline_s": None,
    }


def test_a_deadline_goes_into_the_question_and_needs_a_default(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(["Which?", "--deadline", "60", "--timeout", "0"]) == 2
    assert "--deadline needs a --default: say which answer holds" in capsys.readouterr().err
    assert list((run_dir / "outbox").iterdir()) == []
    assert ask(["Which?", "--default", "blue", "--deadline", "60", "--timeout", "0"]) == 1
    question = only_question(run_dir)
    assert (question["default"], question["deadline_s"]) == ("blue", 60.0)


def test_a_time_out_names_the_question_and_wait_goes_on_with_it(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(["Now?", "--timeout", "0"]) == 1
    said = capsys.readouterr()
    request_id = str(only_question(run_dir)["id"])
    assert said.out == ""
    assert f"no answer yet, id={request_id}; call: octopoid ask --wait {request_id}" in said.err

    reply(run_dir, request_id, {"answer": "yes"})
    assert ask(["--wait", request_id]) == 0
    assert capsys.readouterr().out == "yes\n"
    assert len(list((run_dir / "outbox").iterdir())) == 1


def test_the_same_id_asks_once(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(["Really?", "--id", "q1", "--timeout", "0"]) == 1
    before = (run_dir / "outbox" / "q1.json").stat()
    assert ask(["Really?", "--id", "q1", "--timeout", "0"]) == 1
    assert (run_dir / "outbox" / "q1.json").stat().st_ino == before.st_ino
    assert ask(["Something else?", "--id", "q1", "--timeout", "0"]) == 4
    assert "with other words" in capsys.readouterr().err


def test_each_call_without_id_is_a_question_of_its_own(run_dir: Path) -> None:
    assert ask(["Really?", "--timeout", "0"]) == 1
    assert ask(["Really?", "--timeout", "0"]) == 1
    assert len(list((run_dir / "outbox").glob("*.json"))) == 2


def test_reads_a_long_question_from_stdin(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    assert ask(["-", "--timeout", "0"]) == 1
    assert only_question(run_dir)["question"] == "one\ntwo"


def test_a_withdrawn_question_is_refused(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply(run_dir, "q1", {"withdrawn": "the task was cancelled"})
    assert ask(["Still there?", "--id", "q1"]) == 4
    assert "withdrawn" in capsys.readouterr().err


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "a/b", ".hidden", "a..b", "x" * 65, "a\nb", ""])
def test_hostile_ids_are_refused_and_write_nothing(
    run_dir: Path, hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(["--wait", hostile]) == 2
    if hostile:
        assert ask(["Q?", "--id", hostile, "--timeout", "0"]) == 2
    assert not list((run_dir / "outbox").iterdir())
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["Q?", "--wait", "q1"], ["  "], ["--wait", "never-asked"]])
def test_wrong_usage_says_what_to_do(
    run_dir: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(arguments) == 2
    assert capsys.readouterr().err.startswith("octopoid ask: ")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "soon"])
def test_a_time_out_must_be_a_number_of_seconds(run_dir: Path, seconds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        ask(["Q?", "--timeout", seconds])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    "arguments", [["Q\udcff"], ["Q", "--option", "\udcff"], ["Q", "--default", "\udcff"]]
)
def test_bytes_that_are_no_text_are_wrong_usage(run_dir: Path, arguments: list[str]) -> None:
    assert ask([*arguments, "--timeout", "0"]) == 2
    assert not list((run_dir / "outbox").iterdir())


def test_outside_of_a_run_it_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OCTOPOID_RUN_DIR", raising=False)
    assert ask(["Q?"]) == 2
    assert "works inside a run" in capsys.readouterr().err


def test_a_folder_that_is_no_run_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCTOPOID_RUN_DIR", str(tmp_path))
    assert ask(["Q?"]) == 2
    assert "no run directory" in capsys.readouterr().err


def test_a_damaged_answer_is_an_error_and_not_an_answer(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_dir / "inbox" / "q1.json").write_text("{")
    assert ask(["Q?", "--id", "q1"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "cannot be read" in said.err
