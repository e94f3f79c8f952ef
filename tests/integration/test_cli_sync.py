"""`sync`, `conflicts`, `settle`, `status` and `doctor` over a server that goes away: exit codes and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_house import COMMITS, House, make_house, until
from harness import ME
from live_server import Live, live

from backend.model import Priority, TaskPatch


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as one:
        yield one


@pytest.fixture
def house(tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch, server: Live) -> House:
    """A repository set up for the server, which it has been in contact with."""
    house = make_house(tmp_path, gitrepo, monkeypatch)
    monkeypatch.setenv("OCTOPOID_API_KEY", server.key)
    house.ok("init", "--server", server.url, "--cluster", "team", "--machine-id", "box")
    house.shell_agent(COMMITS)
    house.ok("enqueue", "Write a file", "--id", "t1")
    return house


def in_conflict(house: House, server: Live) -> str:
    """A title that was changed here and, meanwhile, by another; returns the conflict's id."""
    server.stop_tcp()
    house.ok("enqueue", "Write another file", "--id", "t2")
    house.ok("cancel", "t1")
    change = TaskPatch(title="Write a better file", priority=Priority.P0)
    server.ask(server.backend.edit_task("t1", change, actor=ME))
    server.restart_tcp()
    house.ok("sync")
    (found,) = until(lambda: house.json("conflicts"), "the conflict")
    assert isinstance(found["id"], str)
    return str(found["id"])


def test_status_and_doctor_say_how_it_stands(house: House, server: Live) -> None:
    assert house.json("status")["sync"] == {"state": "online", "pending": 0, "conflicts": 0}
    (finding,) = [one for one in house.json("doctor") if one["what"] == "server"]
    assert finding["level"] == "ok"
    server.stop_tcp()
    house.ok("enqueue", "Write another file", "--id", "t2")
    assert house.json("status")["sync"] == {"state": "offline", "pending": 1, "conflicts": 0}
    said = house("status")
    assert "the server is away since" in said.stderr
    assert "offline, 1 pending, 0 conflicts" in said.stdout
    (finding,) = [one for one in house.json("doctor") if one["what"] == "server"]
    assert (finding["level"], "1 change waits to be sent" in finding["text"]) == ("warning", True)


def test_sync_tells_what_happened(house: House, server: Live) -> None:
    server.stop_tcp()
    house.ok("enqueue", "Write another file", "--id", "t2")
    away = house("sync")
    assert away.exit_code == 1
    assert f"{server.url} is away" in away.stdout
    assert "1 change waits to be sent" in away.stdout
    assert house("sync", "--json").exit_code == 1
    server.restart_tcp()
    said = house.json("sync")
    assert (said["mode"], said["pending"], said["conflicts"]) == ("online", 0, 0)
    assert house.ok("sync") == f"{server.url} answers; nothing waits to be sent\n"
    assert server.ask(server.backend.get_task("t2")).title == "Write another file"


def test_what_waits_is_listed_with_its_maker_and_its_reason(house: House, server: Live) -> None:
    none = house("sync", "--list")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "nothing waits to be sent\n")
    server.stop_tcp()
    house.ok("enqueue", "Write another file", "--id", "t2")
    house.ok("cancel", "t1")
    created, cancelled = house.json("sync", "--list")
    assert (created["task_id"], created["operation"], created["tries"]) == ("t2", "create", 0)
    assert created["summary"] == "create t2: Write another file"
    assert created["by"].startswith("human:")
    assert "the server is away" in created["why"]
    assert (cancelled["task_id"], cancelled["operation"]) == ("t1", "cancel")
    said = house.ok("sync", "--list")
    assert "create t2: Write another file" in said
    assert "not sent yet" in said
    assert house.json("status")["sync"]["pending"] == 2
    server.restart_tcp()
    house.json("sync")
    assert house.json("sync", "--list") == []


@pytest.mark.parametrize(("choice", "queue"), [("mine", "cancelled"), ("theirs", "incoming")])
def test_a_conflict_is_listed_and_settled(house: House, server: Live, choice: str, queue: str) -> None:
    conflict_id = in_conflict(house, server)
    (found,) = house.json("conflicts")
    assert (found["task_id"], found["operation"], found["theirs"]["title"]) == (
        "t1", "cancel", "Write a better file",
    )  # fmt: skip
    listed = house("conflicts")
    assert conflict_id in listed.stdout
    assert "Write a better file" in listed.stdout
    assert "octopoid settle" in listed.stderr
    assert house.json("status")["sync"]["conflicts"] == 1
    assert "octopoid conflicts" in house("status").stderr
    assert house.json("settle", conflict_id, choice) == {
        "settled": conflict_id, "choice": choice, "conflicts": 0,
    }  # fmt: skip
    assert server.ask(server.backend.get_task("t1")).queue == queue
    assert house.json("conflicts") == []
    assert house("settle", conflict_id, choice).exit_code == 3


def test_wrong_usage_and_what_is_not_there(house: House) -> None:
    assert house("settle", "nothing", "theirs").exit_code == 3
    assert house("settle", "nothing", "both").exit_code == 2
    assert house("settle", "nothing").exit_code == 2
    none = house("conflicts")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "nothing is in conflict\n")


def test_over_a_store_of_its_own_there_is_nothing_to_send(
    tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house(tmp_path, gitrepo, monkeypatch)
    house.ok("init", "--local")
    assert "there is no server" in house.ok("sync")
    assert "there is no server" in house("sync", "--list").stderr
    assert house.json("conflicts") == []
    assert house.json("status")["sync"] == {"state": "local", "pending": 0, "conflicts": 0}
    assert not [one for one in house.json("doctor") if one["what"] == "server"]
