"""Configuration that came with a repository runs nothing before somebody here has agreed to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_house import House, make_house
from terminal import Terminal, terminal

from scheduler.project import Project
from scheduler.trust import agree, content, untrusted

MARK = "touched by a command nobody agreed to"


@pytest.fixture
def house(tmp_path: Path, gitrepo: Any, monkeypatch: pytest.MonkeyPatch) -> House:
    # Where the program looks in a terminal whose HOME is the test's.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / ".local" / "state"))
    return make_house(tmp_path, gitrepo, monkeypatch)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / MARK.replace(" ", "-")


@pytest.fixture
def committed(house: House, mark: Path) -> House:
    """The configuration is part of the repository; its agent and its check leave a mark."""
    house.ok("init", "--local")
    house.shell_agent(f"touch {mark}")
    config = house.repo.path / ".octopoid" / "config.yaml"
    config.write_text(config.read_text() + f"\nchecks: [{{name: mark, command: 'touch {mark}'}}]\n")
    house.repo.git("add", "-f", ".octopoid/agents.yaml", ".octopoid/config.yaml")
    house.repo.git("commit", "-qm", "share the configuration")
    return house


def test_what_nobody_agreed_to_runs_nothing_and_says_what_to_do(committed: House, mark: Path) -> None:
    for command in (
        ["enqueue", "Work"],
        ["run", "--until-idle"],
        ["status"],
        ["accept", "t1"],
        ["list"],
        ["run", "--daemon"],
    ):
        refused = committed(*command)
        assert refused.exit_code == 4, refused.output
        assert "is part of the repository" in refused.stderr
        assert "octopoid trust" in refused.stderr
    said = json.loads(committed("doctor", "--json").stdout)
    (finding,) = [finding for finding in said if finding["what"] == "trust"]
    assert finding["next_step"] == "see what it would run, and agree: octopoid trust"
    assert not mark.exists()


def test_agreeing_shows_what_runs_and_holds_until_the_files_change(committed: House, mark: Path) -> None:
    runs = committed.json("trust")["runs"]
    assert runs == [f"agent sh: command /bin/sh -ec 'touch {mark}'", f"check mark: touch {mark}"]
    committed.ok("enqueue", "Work", "--id", "t1")
    committed.ok("list")
    agents = committed.repo.path / ".octopoid" / "agents.yaml"
    agents.write_text(agents.read_text().replace("-ec", "-c"))
    assert committed("list").exit_code == 4
    committed.ok("trust")
    committed.ok("list")
    roles = committed.repo.path / ".octopoid" / "roles"
    roles.mkdir()
    (roles / "implement.md").write_text("Do something else.\n")
    assert committed("list").exit_code == 4, "what agents are told counts too"


def test_the_agreement_is_for_one_folder(committed: House, tmp_path: Path) -> None:
    committed.ok("trust")
    committed.repo.git("clone", "-q", str(committed.repo.path), str(tmp_path / "copy"))
    assert untrusted(Project.open(committed.repo.path)) is None
    assert untrusted(Project.open(tmp_path / "copy")) is not None


def test_what_is_not_in_git_needs_no_agreement(house: House, tmp_path: Path) -> None:
    house.ok("init", "--local")
    house.shell_agent("true")
    house.ok("enqueue", "Work")
    assert not (tmp_path / "home" / ".local").exists()


@pytest.mark.parametrize("content", [b"\xff", b"[1]", b'{"a": 1}', b"{"])
def test_a_damaged_memory_of_agreements_is_told_and_agrees_to_nothing(
    committed: House, tmp_path: Path, content: bytes
) -> None:
    place = tmp_path / "home" / ".local" / "state" / "octopoid" / "trusted.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    refused = committed("list")
    assert refused.exit_code == 1, refused.output
    assert "remove it, and agree again" in refused.stderr


def test_a_commit_that_changes_the_configuration_is_not_used_before_it_is_agreed_to(
    committed: House,
) -> None:
    project = Project.open(committed.repo.path)
    agree(project, content(project))
    agents = committed.repo.path / ".octopoid" / "agents.yaml"
    agents.write_text(agents.read_text().replace("name: sh", "name: other"))
    error = project.refresh()
    assert error is not None
    assert "octopoid trust" in str(error)
    assert (project.config_error, [spec.name for spec in project.agents]) == (error, ["sh"])
    agree(project, content(project))
    assert project.refresh() is None
    assert [spec.name for spec in project.agents] == ["other"]


@pytest.fixture
def shell(committed: House, tmp_path: Path) -> Iterator[Terminal]:
    with terminal(tmp_path) as one:
        yield one


def test_on_a_terminal_it_is_asked(committed: House, shell: Terminal, mark: Path) -> None:
    shell.start([sys.executable, "-m", "octopoid_tui"], committed.repo.path, 100, 30)
    screen = shell.wait_for("Agree, on this machine")
    assert "check mark: touch /" in screen
    shell.type("y\n")
    shell.wait_for("No tasks yet")
    shell.press("q")
    shell.wait_for("ended with 0")
    assert untrusted(Project.open(committed.repo.path)) is None


def test_nothing_that_matters_is_left_out_of_what_is_shown(committed: House) -> None:
    committed.agents(
        {
            "name": "sh", "role": "implement", "adapter": "claude", "permissions": ["Bash"],
            "env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}, "pass_env": ["ANTHROPIC_API_KEY"],
        }
    )  # fmt: skip
    config = committed.repo.path / ".octopoid" / "config.yaml"
    text = config.read_text().replace("review: human", "")
    config.write_text(text + "\nreview: auto\n" if "\nreview:" not in text else text)
    runs = committed.json("trust")["runs"]
    assert "agent sh has ANTHROPIC_BASE_URL=http://127.0.0.1:9" in runs
    assert "agent sh is given your ANTHROPIC_API_KEY" in runs
    assert "agent sh need not ask for: Bash" in runs
    assert "work is accepted without a person: review is auto" in runs
    committed.shell_agent("true " + "x" * (1 << 17))
    refused = committed("trust")
    assert refused.exit_code == 2, refused.output
    assert "too long to be shown" in refused.stderr


def test_a_key_is_sent_to_no_server_that_nobody_agreed_to(
    committed: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a command does, it must not get as far as connecting."""
    import backend.remote

    def connected(*_: object, **__: object) -> None:
        raise AssertionError("it would have been asked")

    monkeypatch.setattr(backend.remote.RemoteBackend, "__init__", connected)
    monkeypatch.setenv("OCTOPOID_API_KEY", "oct_secret_of_the_person")
    config = committed.repo.path / ".octopoid" / "config.yaml"
    config.write_text("mode: remote\nserver: {url: 'http://127.0.0.1:9', cluster: c, machine_id: m}\n")
    (committed.repo.path / "all.json").write_text("{}")
    for command in (["status"], ["export", "x.json"], ["import", "all.json"], ["projects"], ["sync"]):
        refused = committed(*command)
        assert refused.exit_code == 4, (command, refused.output, refused.exception)
    said = json.loads(committed("doctor", "--json").stdout)
    assert "server" not in {finding["what"] for finding in said}
