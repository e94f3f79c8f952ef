"""Roles are files: shipped, overridden, and refused with a reason when they are not well formed."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import BadInput, ConfigError
from scheduler.roles import load_role

GOOD = "---\nproduces: commits\n---\nDo {{task_title}}.\n"


def write(folder: Path, text: str | bytes, name: str = "implement") -> Path:
    path = folder / f"{name}.md"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("name", "produces", "in_place"),
    [
        ("implement", "commits", False), ("test", "commits", False), ("fix", "commits", False),
        ("review", "verdict", True), ("resolve", "commits", True), ("breakdown", "tasks", False),
    ],
)  # fmt: skip
def test_shipped_roles(tmp_path: Path, name: str, produces: str, in_place: bool) -> None:
    role = load_role(name, tmp_path)
    assert (role.name, role.produces, role.in_place) == (name, produces, in_place)


def test_a_file_of_the_project_replaces_the_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert load_role("implement", tmp_path).template == "Do {{task_title}}.\n"
    assert load_role("test", tmp_path).template != "Do {{task_title}}.\n"


def test_a_role_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("commits", "tasks"), "poet")
    assert load_role("poet", tmp_path).produces == "tasks"


def test_a_missing_role_says_where_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="role 'poet' has no prompt") as caught:
        load_role("poet", tmp_path)
    assert str(tmp_path / "poet.md") in caught.value.next_step


@pytest.mark.parametrize("name", ["../implement", "a/b", "", ".hidden", "x" * 65])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        load_role(name, tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Do it.\n", "no frontmatter"),
        ("", "no frontmatter"),
        ("---\nproduces: commits\nDo it.\n", "no frontmatter"),
        ("---\nproduces: [\n---\nx\n", "cannot be read"),
        ("---\nsummary: x\n---\nx\n", "no `produces`"),
        ("---\n- produces\n---\nx\n", "no `produces`"),
        ("---\n\n---\nx\n", "no `produces`"),
        (b"---\nproduces: commits\n---\n\xff\xfe\n", "cannot be read"),
        (GOOD + "{{no_such_value}}", "names {{no_such_value}}"),
        (GOOD + "{{#no_such_value}}x{{/no_such_value}}", "names {{no_such_value}}"),
        (GOOD + "{{#feedback}}x", "not closed"),
        (GOOD + "x{{/feedback}}", "not closed"),
        (GOOD + "{{#feedback}}{{#checks}}x{{/checks}}{{/feedback}}", "within another"),
    ],
)
def test_a_file_that_is_not_well_formed_is_named_with_the_reason(
    tmp_path: Path, text: str | bytes, why: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_role("implement", tmp_path)
    assert str(path) in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ("produces: notes", "cannot produce 'notes'"),
        ("produces: [commits]", "cannot produce"),
        ("produces: verdict", "cannot have in_place: false"),
        ("produces: tasks\nin_place: true", "cannot have in_place: true"),
    ],
)
def test_what_no_role_can_produce(tmp_path: Path, properties: str, why: str) -> None:
    write(tmp_path, GOOD.replace("produces: commits", properties))
    with pytest.raises(ConfigError, match=why):
        load_role("implement", tmp_path)
