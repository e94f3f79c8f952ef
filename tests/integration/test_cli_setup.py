"""`init`, `validate` and `doctor` on real repositories, good and bad."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_house import House, make_house

from backend.config.load import load


@pytest.fixture
def house(tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch) -> House:
    return make_house(tmp_path, gitrepo, monkeypatch)


def test_init_writes_a_valid_configuration_for_the_current_branch(house: House) -> None:
    house.repo.git("switch", "-q", "-c", "trunk")
    said = house.process("init", "--local")
    assert said.returncode == 0
    folder = house.repo.path / ".octopoid"
    assert said.stdout.splitlines() == [
        f"wrote {folder / name}" for name in ("config.yaml", "agents.yaml", ".gitignore")
    ]
    config = load(folder).config
    assert (config.mode, config.repo.main_branch, config.repo.update_checkout) == ("local", "trunk", True)
    assert house.repo.git("status", "--porcelain", "--ignored=no") == "?? .octopoid/"


def test_init_works_from_a_folder_below(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    below = house.repo.path / "src" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    house.ok("init")
    assert (house.repo.path / ".octopoid" / "config.yaml").is_file()
    assert house("list").exit_code == 0


def test_init_refuses_to_overwrite(house: House) -> None:
    house.ok("init")
    config = house.repo.path / ".octopoid" / "config.yaml"
    config.write_text("mode: local\n")
    result = house("init")
    assert result.exit_code == 4
    assert "exists already" in result.stderr
    assert config.read_text() == "mode: local\n"


def test_init_for_a_server_writes_it_and_says_where_the_key_goes(house: House) -> None:
    url = "https://octo.example.org"
    said = house.process("init", "--server", url, "--cluster", "c1", "--machine-id", "m1")
    assert said.returncode == 0
    assert "OCTOPOID_API_KEY" in said.stderr
    config = load(house.repo.path / ".octopoid").config
    assert (config.mode, config.server.url, config.server.cluster) == ("remote", url, "c1")


def test_init_keeps_the_checkout_alone_when_told_to(house: House) -> None:
    house.ok("init", "--no-update-checkout")
    assert load(house.repo.path / ".octopoid").config.repo.update_checkout is False


def test_init_in_json_says_what_it_wrote(house: House) -> None:
    said = house.json("init")
    assert said["main_branch"] == "main"
    assert all(Path(path).is_file() for path in said["written"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--local", "--server", "https://x"],
        ["--server", "ftp://x"],
        ["--server", "https://x", "--cluster", "../x"],
    ],
)
def test_init_refuses_what_does_not_fit(house: House, arguments: list[str]) -> None:
    result = house("init", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("octopoid: ")
    assert not (house.repo.path / ".octopoid" / "config.yaml").exists()


def test_outside_of_a_repository_init_says_how_to_make_one(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = house("init")
    assert result.exit_code == 3
    assert "git init" in result.stderr


def test_without_a_commit_init_says_how_to_make_one(
    house: House, tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = gitrepo.make(tmp_path / "empty")  # type: ignore[attr-defined]
    monkeypatch.chdir(empty.path)
    result = house("init")
    assert result.exit_code == 1
    assert "git commit --allow-empty" in result.stderr


def test_on_no_branch_init_says_how_to_get_on_one(house: House) -> None:
    house.repo.git("switch", "-q", "--detach")
    result = house("init")
    assert result.exit_code == 1
    assert "git switch" in result.stderr


@pytest.mark.parametrize("command", [["list"], ["status"], ["enqueue", "x"], ["run"], ["stop"], ["validate"]])
def test_without_a_project_commands_point_to_init(house: House, command: list[str]) -> None:
    result = house(*command)
    assert result.exit_code == 3
    assert "octopoid init" in result.stderr


def test_an_unknown_key_is_named_with_file_line_and_the_nearest(house: House) -> None:
    house.ok("init")
    config = house.repo.path / ".octopoid" / "config.yaml"
    config.write_text("mode: local\nreview: human\nrepo:\n  main_brunch: main\n")
    for command in (["validate"], ["list"], ["enqueue", "x"], ["run", "--once"]):
        result = house(*command)
        assert result.exit_code == 2
        assert ".octopoid/config.yaml:4" in result.stderr
        assert "main_branch" in result.stderr
    result = house("validate", "--json")
    assert result.exit_code == 2
    said = json.loads(result.stdout)
    assert said["valid"] is False
    assert "main_brunch" in said["problems"][0]


def test_a_missing_agent_program_is_a_warning_that_names_it(house: House) -> None:
    house.ok("init")
    house.agents({"name": "a", "role": "implement", "adapter": "command", "command": ["no-such-program"]})
    result = house("validate")
    assert result.exit_code == 0
    assert "no-such-program" in result.stderr
    assert any("no-such-program" in text for text in house.json("validate")["warnings"])
    findings = json.loads(house("doctor", "--json").stdout)
    (agent,) = [finding for finding in findings if finding["what"] == "agent a"]
    assert agent["level"] == "warning"
    assert "no-such-program" in agent["text"]


def test_validate_explains_every_key(house: House) -> None:
    text = house.ok("validate", "--explain")
    assert "repo.main_branch" in text
    keys = house.json("validate", "--explain")
    assert {"file", "path", "type", "default", "description"} == set(keys[0])
    assert all(key["description"] for key in keys)


def test_doctor_finds_a_good_project_whole(house: House) -> None:
    house.ok("init")
    house.shell_agent("true")
    result = house("doctor", "--json")
    assert result.exit_code == 0, result.stdout
    levels = {finding["what"]: finding["level"] for finding in json.loads(result.stdout)}
    for what in (
        "python",
        "git",
        "configuration",
        "repository",
        "agent sh",
        "disk",
        "filesystem",
        "log",
        "store",
    ):
        assert levels[what] == "ok", what
    assert levels["sqlite"] in ("ok", "warning")
    text = house.ok("doctor")
    assert str(house.repo.path / ".octopoid" / "logs" / "scheduler.log") in text


def test_doctor_says_what_is_broken_and_fails(house: House) -> None:
    house.ok("init")
    config = house.repo.path / ".octopoid" / "config.yaml"
    config.write_text("repo:\n  main_branch: release\n")
    result = house("doctor")
    assert result.exit_code == 1
    assert "no branch 'release'" in result.stdout
    config.write_text("colour: blue\n")
    result = house("doctor")
    assert result.exit_code == 1
    assert "config.yaml:1" in result.stdout


def test_l41_doctor_notices_a_log_that_stays_empty(house: House) -> None:
    house.ok("init")
    logs = house.repo.path / ".octopoid" / "logs"
    logs.mkdir()
    (logs / "doctor.log").symlink_to("/dev/null")
    result = house("doctor")
    assert result.exit_code == 1
    assert "stays empty" in result.stdout


def test_l64_doctor_looks_on_the_search_path_that_agents_get(house: House, tmp_path: Path) -> None:
    house.ok("init")
    tools = tmp_path / "tools"
    tools.mkdir()
    program = tools / "only-here"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    spec = {"name": "a", "role": "implement", "adapter": "command", "command": ["only-here"]}
    house.agents(spec)
    assert "was not found" in house("doctor").stdout
    house.agents({**spec, "env": {"PATH": str(tools)}})
    assert str(program) in house("doctor").stdout
