"""`octopoid export` and `import`, without a scheduler."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_house import House, make_house
from server_process import Server


@pytest.fixture
def house(tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch) -> House:
    house = make_house(tmp_path, gitrepo, monkeypatch)
    house.ok("init")
    house.shell_agent("true")
    return house


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "far"
    folder.mkdir()
    one = Server(folder, "--db", f"sqlite:///{folder}/state.db", "--no-auth")
    yield one
    one.close()


def fill(house: House) -> None:
    house.ok("projects", "create", "Site", "--id", "site")
    house.ok("enqueue", "First", "--id", "t1", "--project", "site")
    house.ok("enqueue", "Second", "--id", "t2", "--blocked-by", "t1")


def test_a_project_store_goes_into_a_file_and_out_again(house: House, tmp_path: Path) -> None:
    fill(house)
    before = house.json("list")
    said = house.process("export", "all.json")
    assert (said.returncode, said.stdout) == (0, ""), said.stderr
    assert "written to all.json" in said.stderr
    file = house.repo.path / "all.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not [*house.repo.path.glob(".all.json*")]
    db = f"sqlite:///{tmp_path}/new.db"
    counts = house.json("import", "all.json", "--db", db)
    assert (counts["tasks"], counts["projects"]) == (2, 1)
    again = house("import", "all.json", "--db", db)
    assert (again.exit_code, "not empty" in again.stderr) == (4, True)
    whole = json.loads(house.ok("export", "-", "--db", db))
    assert [task["id"] for task in whole["tasks"]] == [task["id"] for task in before] == ["t1", "t2"]


def test_what_cannot_be_done_is_said(house: House) -> None:
    fill(house)
    house.ok("export", "all.json")
    assert house("export", "all.json").exit_code == 2
    assert house("import", "none.json").exit_code == 3
    assert house("export", "no/such/folder.json").exit_code == 1
    broken = house.repo.path / "broken.json"
    whole = (house.repo.path / "all.json").read_text()
    broken.write_text(whole.replace('"queue":"blocked"', '"queue":"done"'))
    db = f"sqlite:///{house.repo.path}/new.db"
    refused = house("import", "broken.json", "--db", db)
    assert refused.exit_code == 2
    assert "tasks[1], line" in refused.stderr
    assert json.loads(house.ok("export", "-", "--db", db))["tasks"] == []


def test_the_state_of_a_running_server_goes_out_and_in(house: House, server: Server, tmp_path: Path) -> None:
    """Through the process that owns the store, and over the network in mode remote."""
    fill(house)
    house.ok("export", "all.json")
    config = house.repo.path / ".octopoid" / "config.yaml"
    config.write_text(f"mode: remote\nserver:\n  enabled: true\n  url: {server.url}\n")
    assert "2 tasks" in house.ok("import", "all.json")
    far = json.loads(house.ok("export", "-"))
    near = json.loads(house.ok("export", "-", "--db", f"sqlite:///{tmp_path}/far/state.db"))
    assert [task["id"] for task in far["tasks"]] == ["t1", "t2"]
    assert far["tasks"] == near["tasks"]


def test_why_says_what_the_store_knows_too(house: House) -> None:
    fill(house)
    said = house.json("why", "t2")
    assert {"gate": "blocker", "passes": False, "reason": "t1 is incoming", "clears_at": None} in said[
        "gates"
    ]
    waiting = {gate["gate"] for gate in house.json("why", "t1")["gates"]}
    assert not waiting & {"blocker", "machine", "paused", "state"}
    assert house.ok("why", "t2").startswith("t2: it waits for t1")
