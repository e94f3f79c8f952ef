"""The table of commands, what dispatches it, and the page made from it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from backend.errors import BadInput, NotFound, OctopoidError, Refused, StoreBusy
from octopoid_tui.cli import reference
from octopoid_tui.cli.application import app, expected_errors, load
from octopoid_tui.cli.commands import COMMANDS

DOCUMENTED = (
    "accept", "agents", "answer", "ask", "attach", "cancel", "conflicts", "costs", "demo", "diff",
    "doctor", "drafts", "enqueue", "export", "import", "init", "interrupt", "keys", "list", "logs",
    "mcp", "pause", "projects", "questions", "reject", "resume", "retry", "rules", "run", "serve",
    "sessions", "settle", "show", "start", "status", "stop", "sync", "tell", "trust", "validate", "why",
)  # fmt: skip


def octopoid(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OCTOPOID_")}
    return subprocess.run(
        [sys.executable, "-m", "octopoid_tui", *arguments],
        env=clean | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_table_has_each_command_once() -> None:
    assert sorted(entry.name for entry in COMMANDS) == list(DOCUMENTED)


def test_help_lists_every_command() -> None:
    said = octopoid("--help")
    assert said.returncode == 0
    for name in DOCUMENTED:
        assert f"\n  {name} " in said.stdout


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_command_explains_itself(name: str) -> None:
    if name == "ask":
        result = CliRunner().invoke(app, ["ask", "--help"])
        assert result.exit_code == 0
        return
    assert load(name).help


def test_the_page_of_commands_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "commands.md"
    assert page.read_text() == reference.page(), (
        "run: python -m octopoid_tui.cli.reference > docs/commands.md"
    )


def test_version() -> None:
    assert octopoid("--version").stdout.startswith("octopoid ")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["lsit"], "did you mean list?"),
        (["frobnicate"], "octopoid --help lists them"),
        (["list", "--colour"], "--colour"),
        (["list", "--limit", "0"], "limit"),
        (["list", "--queue", "limbo"], "limbo"),
        (["enqueue", "x", "--priority", "P9"], "P9"),
        (["show"], "TASK"),
        (["reject", "t1"], "--reason"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(arguments: list[str], hint: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert hint in result.stderr
    assert result.stdout == ""


def test_without_a_terminal_there_is_no_screen() -> None:
    said = octopoid()
    assert said.returncode == 2
    assert "octopoid run" in said.stderr
    assert "octopoid status" in said.stderr
    assert said.stdout == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OctopoidError("it failed"), 1),
        (StoreBusy("it is busy"), 1),
        (BadInput("it is wrong"), 2),
        (NotFound("it is missing"), 3),
        (Refused("it is refused", "wait", ("one reason",)), 4),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1),
    ],
)
def test_expected_errors_are_a_sentence_and_a_status(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OCTOPOID_DEBUG", raising=False)
    with pytest.raises(typer.Exit) as ended, expected_errors():
        raise error
    assert ended.value.exit_code == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("octopoid: ")
    assert "Traceback" not in said.err


def test_debug_shows_where_an_expected_error_comes_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCTOPOID_DEBUG", "1")
    with pytest.raises(typer.Exit), expected_errors():
        raise NotFound("no such task")
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), expected_errors():
        _ = 1 / 0


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("OCTOPOID_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


WORDS = st.one_of(
    st.text(max_size=20).filter(lambda word: "\0" not in word),
    st.sampled_from(
        ["--json", "--help", "-", "--", "-f", "--limit", "--file", "--body", "--id", "--until-idle"]
    ),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=st.sampled_from([name for name in DOCUMENTED if name != "demo"]), rest=st.lists(WORDS, max_size=4)
)
def test_no_command_line_ends_in_a_traceback(nowhere: Path, name: str, rest: list[str]) -> None:
    result = CliRunner().invoke(app, [name, *rest], input="")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1, 2, 3, 4)
    assert not list(nowhere.iterdir())


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "octopoid_tui", "validate", "--explain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(120) == 0
    assert said == b""


def test_a_terminal_without_unicode_gets_escapes_and_no_error() -> None:
    said = octopoid("validate", "--explain", PYTHONIOENCODING="ascii")
    assert said.returncode == 0, said.stderr
