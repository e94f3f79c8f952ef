"""The commands over a server, as typed on two machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_house import ASKS, COMMITS, House, make_house
from live_server import Live, live

KEY_FILE = ".octopoid/api_key"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as one:
        yield one


@pytest.fixture
def house(tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch, server: Live) -> House:
    """A repository set up for the server, with the key in the environment."""
    house = make_house(tmp_path, gitrepo, monkeypatch)
    monkeypatch.setenv("OCTOPOID_API_KEY", server.key)
    house.ok("init", "--server", server.url, "--cluster", "team", "--machine-id", "box")
    house.shell_agent(COMMITS)
    return house


def test_init_writes_it_and_says_where_the_key_goes(
    tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch, server: Live
) -> None:
    house = make_house(tmp_path, gitrepo, monkeypatch)
    said = house("init", "--server", server.url, "--cluster", "team", "--machine-id", "box")
    assert said.exit_code == 0
    assert "OCTOPOID_API_KEY" in said.stderr
    assert KEY_FILE in said.stderr
    config = (house.repo.path / ".octopoid" / "config.yaml").read_text()
    assert "mode: remote" in config
    assert server.key not in config
    refused = house("list")
    assert refused.exit_code == 1
    assert "this needs a key" in refused.stderr
    assert KEY_FILE in refused.stderr
    (house.repo.path / KEY_FILE).write_text(server.key)
    (house.repo.path / KEY_FILE).chmod(0o600)
    assert house.json("list") == []


def test_from_queue_to_merge(house: House) -> None:
    house.ok("enqueue", "Write a file", "--id", "t1")
    house.ok("run", "--until-idle")
    assert "+++ b/t1.txt" in house.ok("diff", "t1")
    status = house.json("status")
    assert (status["mode"], status["sync"]["state"]) == ("remote", "online")
    assert status["queues"]["provisional"] == 1
    assert house.ok("accept", "t1", "--by", "ana").startswith("t1 is done, merged as ")
    shown = house.json("show", "t1")
    assert shown["task"]["merged_sha"] == house.repo.head("main")
    assert [run["orchestrator_id"] for run in shown["runs"]] == ["team-box"]
    assert not (house.repo.path / ".octopoid" / "octopoid.db").exists()


def test_a_question_is_answered_by_command(house: House) -> None:
    house.shell_agent(ASKS)
    house.ok("enqueue", "Choose a colour", "--id", "t1")
    house.ok("run", "--until-idle")
    (question,) = house.json("questions")
    house.ok("answer", question["id"], "blue")
    house.ok("run", "--until-idle")
    assert "+blue" in house.ok("diff", "t1")


def test_an_unknown_task_and_a_refusal_have_their_own_exit_status(house: House) -> None:
    assert house("show", "nope").exit_code == 3
    house.ok("enqueue", "Write a file", "--id", "t1")
    assert house("accept", "t1").exit_code == 4


def test_a_server_that_is_away_is_one_sentence_and_what_to_do(house: House, server: Live) -> None:
    server.stop_tcp()
    for command in (["list"], ["enqueue", "Write a file"], ["run", "--once"]):
        said = house(*command)
        assert said.exit_code == 1
        assert "Traceback" not in said.stderr
        assert server.url in said.stderr
        assert "octopoid serve" in said.stderr
        assert len(said.stderr.strip().splitlines()) <= 2
