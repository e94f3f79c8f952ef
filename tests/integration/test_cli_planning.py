"""`octopoid projects` and `drafts`, without a scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_house import House, make_house


@pytest.fixture
def house(tmp_path: Path, gitrepo: type, monkeypatch: pytest.MonkeyPatch) -> House:
    house = make_house(tmp_path, gitrepo, monkeypatch)
    house.ok("init")
    house.shell_agent("true")
    return house


def test_projects_are_made_listed_and_shown(house: House) -> None:
    made = house.json(
        "projects", "create", "Faster site", "--id", "site", "--description", "All of it", "--auto-accept"
    )
    assert (made["title"], made["auto_accept"], made["status"]) == ("Faster site", True, "active")
    other = house.ok("projects", "create", "Other").strip()
    assert [one["id"] for one in house.json("projects")] == ["site", other]
    assert "Faster site" in house.ok("projects", "list")
    task = house.json("enqueue", "First", "--id", "t1", "--project", "site")
    assert task["auto_accept"] is True
    shown = house.json("projects", "show", "site")
    assert (shown["project"]["id"], [one["id"] for one in shown["tasks"]]) == ("site", ["t1"])
    assert "0 of 1 tasks done" in house.ok("projects", "show", "site")
    for arguments, status in (
        (("projects", "show", "none"), 3), (("projects", "create"), 2), (("projects", "show"), 2),
        (("projects", "create", "X", "--id", "../x"), 2), (("projects", "create", "Y", "--id", "site"), 4),
    ):  # fmt: skip
        assert house(*arguments).exit_code == status, arguments


def test_a_task_starts_from_its_projects_branch(house: House) -> None:
    house.repo.git("branch", "release")
    house.ok("projects", "create", "Release", "--id", "rel", "--branch", "release")
    assert house.json("enqueue", "First", "--project", "rel")["base_branch"] == "release"
    assert house.json("enqueue", "Second", "--project", "rel", "--branch", "main")["base_branch"] == "main"


def test_a_project_is_edited(house: House) -> None:
    house.ok("projects", "create", "Site", "--id", "site")
    edited = house.json(
        "projects", "edit", "site", "--title", "Faster", "--auto-accept", "--state", "abandoned"
    )
    assert (edited["title"], edited["auto_accept"], edited["status"]) == ("Faster", True, "abandoned")
    edited = house.json("projects", "edit", "site", "--no-auto-accept", "--state", "active")
    assert (edited["title"], edited["auto_accept"], edited["status"]) == ("Faster", False, "active")
    assert house("projects", "edit", "site").exit_code == 2
    assert house("projects", "create", "Other", "--state", "completed").exit_code == 2


def test_a_project_that_is_closed_takes_no_task(house: House) -> None:
    house.ok("projects", "create", "Site", "--id", "site")
    house.ok("projects", "edit", "site", "--state", "completed")
    refused = house("enqueue", "Late", "--project", "site")
    assert refused.exit_code == 4
    assert "octopoid projects edit site --state active" in refused.stderr
    house.ok("projects", "edit", "site", "--state", "active")
    house.ok("enqueue", "In time", "--project", "site")


def test_a_draft_is_written_changed_and_becomes_tasks(house: House) -> None:
    house.ok("projects", "create", "Site", "--id", "site")
    made = house.json("drafts", "create", "Cache the pages", "--id", "d1", "--text", "All of them.")
    assert (made["title"], made["body"], made["status"]) == ("Cache the pages", "All of them.", "idea")
    edited = house.json("drafts", "edit", "d1", "--project", "site", "--state", "proposed")
    assert (edited["project_id"], edited["status"], edited["body"]) == ("site", "proposed", "All of them.")
    assert [one["id"] for one in house.json("drafts")] == ["d1"]
    assert "All of them." in house.ok("drafts", "show", "d1")
    titles = ("--task", "Measure", "--task", "Cache")
    tasks = [
        house.json("show", one)["task"] for one in house.json("drafts", "promote", "d1", *titles)["tasks"]
    ]
    assert [(one["title"], one["project_id"]) for one in tasks] == [("Measure", "site"), ("Cache", "site")]
    assert house.json("drafts", "show", "d1")["status"] == "promoted"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("show",), 2),
        (("show", "none"), 3),
        (("create", "X", "--project", "none"), 3),
        (("edit", "d1"), 2),
        (("edit", "d1", "--state", "promoted"), 2),
        (("promote", "none"), 3),
        (("create", "D", "--task", "T"), 2),
        (("list", "extra"), 2),
    ],
)
def test_what_a_draft_cannot_be_is_refused(house: House, arguments: tuple[str, ...], status: int) -> None:
    house.ok("drafts", "create", "Old", "--id", "d1")
    assert house("drafts", *arguments).exit_code == status
    assert house.json("drafts", "show", "d1")["title"] == "Old"
