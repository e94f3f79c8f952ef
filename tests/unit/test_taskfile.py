"""Task files of both forms: what they mean, what is refused, and that nothing is lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.clock import from_ms
from backend.errors import BadInput
from backend.ids import PATTERN
from backend.model import Complexity, Priority, TaskType
from backend.taskfile import HistoryEntry, TaskFile, read_task_file, render_task_file

OLDER = """\
# [TASK-7d21f0aa] Cache the product list

ROLE: implement
PRIORITY: P1
BRANCH: main
CREATED: 2026-02-10T17:40:03Z
CREATED_BY: ana
PROJECT: PROJ-0badcafe
BLOCKED_BY: TASK-11c0ffee, TASK-22decade
CHECKS: gk-architecture, gk-tests
BREAKDOWN_DEPTH: 1
SKIP_PR: false
EXPEDITE: yes

## Context
The list page makes one query per product. Cache it for 60 s.

## Acceptance Criteria
- [ ] second request makes no query

CLAIMED_BY: impl-2
CLAIMED_AT: 2026-02-10T18:02:11
SUBMITTED_AT: 2026-02-10T18:55:40
COMMITS_COUNT: 3

## Review Feedback (rejection #1)
The cache isn't cleared when stock changes.

CLAIMED_BY: impl-5
"""

YAML = """\
---
id: TASK-7d21f0aa
title: Cache the product list
role: implement
priority: P1
branch: main
project_id: PROJ-0badcafe
blocked_by: [TASK-11c0ffee, TASK-22decade]
created: 2026-02-10T17:40:03Z
created_by: ana
checks: [gk-architecture, gk-tests]
expedite: true
---
## Context
The list page makes one query per product.
"""


def test_older_form() -> None:
    task = read_task_file(OLDER)
    assert task.id == "TASK-7d21f0aa"
    assert task.title == "Cache the product list"
    assert (task.role, task.priority, task.branch) == ("implement", Priority.P1, "main")
    assert task.created_at == datetime(2026, 2, 10, 17, 40, 3, tzinfo=UTC)
    assert (task.created_by, task.project_id) == ("ana", "PROJ-0badcafe")
    assert task.blocked_by == ("TASK-11c0ffee", "TASK-22decade")
    assert task.checks == ("gk-architecture", "gk-tests")
    assert task.extra == {"breakdown_depth": 1, "skip_pr": False, "expedite": True}
    assert task.body == (
        "## Context\nThe list page makes one query per product. Cache it for 60 s.\n\n"
        "## Acceptance Criteria\n- [ ] second request makes no query\n\n"
        "## Review Feedback (rejection #1)\nThe cache isn't cleared when stock changes."
    )


def test_older_form_keeps_every_turn_of_the_lifecycle_and_the_last_one_counts() -> None:
    task = read_task_file(OLDER)
    assert [e.value for e in task.history if e.key == "claimed_by"] == ["impl-2", "impl-5"]
    assert task.last["claimed_by"] == "impl-5"
    assert task.last["commits_count"] == "3"


def test_yaml_form() -> None:
    task = read_task_file(YAML)
    older = read_task_file(OLDER)
    for name in ("id", "title", "role", "priority", "branch", "project_id", "blocked_by", "created_at",
                 "created_by", "checks"):  # fmt: skip
        assert getattr(task, name) == getattr(older, name)
    assert task.extra == {"expedite": True}
    assert task.body == "## Context\nThe list page makes one query per product."


def test_a_file_that_says_little_has_the_defaults() -> None:
    """L-10: a branch that is not given is not made up."""
    task = read_task_file("# Fix the login\n\nIt fails.")
    assert task == TaskFile(title="Fix the login", body="It fails.")
    assert (task.priority, task.branch, task.role, task.id) == (Priority.P2, None, None, None)


def test_keys_in_fenced_blocks_are_text() -> None:
    tildes = "~~~~ text\n# [TASK-00000000] no\n~~~\nBRANCH: no\n~~~~"
    body = f"## Form\n```\nROLE: review\nCLAIMED_BY: x\n```\n{tildes}"
    header = "# [TASK-7d21f0aa] Describe the form\nROLE: implement"
    task = read_task_file(f"```\nROLE: test\n```\n{header}\n\n{body}\n")
    assert task.role == "implement"
    assert task.title == "Describe the form"
    assert task.history == ()
    assert task.body == f"```\nROLE: test\n```\n{body}"


def test_the_first_header_key_counts_and_later_ones_stay_in_the_body() -> None:
    task = read_task_file("# T\nROLE: implement\nROLE: review\n\n## Context\nPRIORITY: P0\nBRANCH: dev\n")
    assert (task.role, task.priority, task.branch) == ("implement", Priority.P2, None)
    assert task.body == "ROLE: review\n\n## Context\nPRIORITY: P0\nBRANCH: dev"


def test_prose_that_looks_like_a_key_stays_prose() -> None:
    task = read_task_file("# T\nROLE: implement\nGK: strict\n\nSome words.\nNOTE: keep this.\n")
    assert task.extra == {"gk": "strict"}
    assert task.body == "Some words.\nNOTE: keep this."


def test_an_empty_value_does_not_swallow_the_next_line() -> None:
    task = read_task_file("# T\nBRANCH:\nROLE: implement\nBLOCKED_BY: None\nPROJECT: None\n")
    assert (task.branch, task.role, task.blocked_by, task.project_id) == (None, "implement", (), None)


def test_ids_have_one_form() -> None:
    """L-33: the older form leaves the prefix out in places; it never does after reading."""
    task = read_task_file("# [TASK-7d21f0aa] T\nBLOCKED_BY: 11c0ffee,TASK-22decade, GH-12, 11c0ffee\n")
    assert task.blocked_by == ("TASK-11c0ffee", "TASK-22decade", "GH-12")
    assert read_task_file("---\ntitle: t\nid: 0012\nblocked_by: 11c0ffee\n---").blocked_by == ("11c0ffee",)
    assert read_task_file("---\ntitle: t\nid: 0012\n---").id == "0012"


def test_brackets_that_hold_no_id_belong_to_the_title() -> None:
    assert read_task_file("# [WIP] Fix\n").title == "[WIP] Fix"
    assert read_task_file("# [GH-12] Fix\n").id == "GH-12"


def test_title_from_the_heading_of_a_yaml_file() -> None:
    task = read_task_file("---\nrole: implement\n---\n\n# [TASK-1] Fix it\n\nNow.\n")
    assert (task.id, task.title, task.body) == ("TASK-1", "Fix it", "Now.")
    task = read_task_file("---\nrole: implement\n---\n```\n# no\n```\nIntro\n# Fix it\n")
    assert (task.title, task.body) == ("Fix it", "```\n# no\n```\nIntro\n# Fix it")


def test_yaml_words_mean_what_they_say() -> None:
    """No Norway, no sexagesimal numbers, no dates, no octal: text stays the text that was written."""
    known = "title: 007\nbranch: 1.10\nauto_accept: yes"
    unknown = "country: no\nat: 12:30:45\nday: 2026-02-10\nn: 010"
    task = read_task_file(f"---\n{known}\n{unknown}\n---")
    assert (task.title, task.branch, task.auto_accept) == ("007", "1.10", True)
    assert task.extra == {"country": "no", "at": "12:30:45", "day": "2026-02-10", "n": "010"}


def test_types_and_lists() -> None:
    task = read_task_file(
        "---\ntitle: t\ntype: Bugfix\ncomplexity: xl\npriority: p0\nneeds: db, gpu\nauto_accept: 0\n"
        "x: {a: [1, 2.5]}\n---"
    )
    assert (task.type, task.complexity, task.priority) == (TaskType.BUGFIX, Complexity.XL, Priority.P0)
    assert (task.needs, task.auto_accept, task.extra) == (("db", "gpu"), False, {"x": {"a": [1, 2.5]}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-10T18:02:11", datetime(2026, 2, 10, 18, 2, 11, tzinfo=UTC)),
        ("2026-02-10 17:40:03", datetime(2026, 2, 10, 17, 40, 3, tzinfo=UTC)),
        ("2026-02-10T17:40:03.123456+02:00", datetime(2026, 2, 10, 15, 40, 3, 123000, tzinfo=UTC)),
        ("2026-02-10", datetime(2026, 2, 10, tzinfo=UTC)),
    ],
)
def test_times(text: str, expected: datetime) -> None:
    assert read_task_file(f"---\ntitle: t\ncreated: {text}\n---").created_at == expected


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("---\ntitle: t\nrole: [\n---\nbody", 4, "not YAML"),
        ("---\ntitle: t\n\trole: x\n---", 3, "tab"),
        ("\n\n---\ntitle: t\ntitle: u\n---", 5, "twice, first on line 4"),
        ("---\ntitle: t\n", 1, "no end"),
        ("---\n- a\n---\n# t", 2, "keys and values"),
        ("---\na: &x 1\ntitle: *x\n---", 2, "anchor"),
        ("---\ntitle: !!python/object:os.system x\n---", 2, "tag"),
        ("---\ntitle: t\n<<: {a: 1}\n---", 3, "merge"),
        ("---\nrole: implement\n---\nbody", 1, "no title"),
        ("---\ntitle: t\npriority: P9\n---", 3, "use one of P0, P1, P2, P3"),
        ("---\ntitle: t\npriority: high\n---", 3, "P0, P1, P2, P3"),
        ("---\ntitle: t\nid: ../../etc/passwd\n---", 3, "not usable"),
        ("---\ntitle: t\nid: -rf\n---", 3, "not usable"),
        ("---\ntitle: t\nblocked_by: [ok, 'a b']\n---", 3, "not usable"),
        ("---\ntitle: t\nbranch: --upload-pack=evil\n---", 3, "not usable"),
        ("---\ntitle: t\nrole: {a: 1}\n---", 3, "single value"),
        ("---\ntitle: t\nproject: a\nproject_id: b\n---", 3, "both given"),
        ("---\ntitle: t\nauto_accept: maybe\n---", 3, "true or false"),
        ("---\ntitle: t\ncreated: yesterday\n---", 3, "no time"),
        ("---\ntitle: t\ncreated: 0001-01-01T00:00+23:59\n---", 3, "no time"),
        ('---\ntitle: "a\\0b"\n---', 2, "NUL"),
        ("# [TASK-../../x] t\n", 1, "not usable"),
        ("# t\nPRIORITY: urgent\n", 2, "P0, P1, P2, P3"),
        ("no heading at all", 1, "no title"),
        ("", 1, "no title"),
        ("# t\n\nbo\0dy", 3, "NUL"),
        ("---\ntitle: " + "x" * 501 + "\n---", 2, "longer than 500"),
        ("---\ntitle: t\na: " + "[" * 40 + "]" * 40 + "\n---", 3, "deeper"),
        ("---\ntitle: t\na: \x1b[2J\n---", 3, "control character"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_task_file(text, "t.md")
    message = str(caught.value)
    assert message.startswith(f"t.md:{line}: ")
    assert words in message
    assert caught.value.next_step


def bombs() -> list[str]:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    merges = "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    return [
        f"---\ntitle: t\na0: &a0 x\n{levels}---\n",
        f"---\ntitle: t\na0: &a0 {{x: y}}\n{merges}---\n",
        "---\ntitle: t\na: " + "[" * 500_000,
        "---\ntitle: t\na: " + "{a: " * 200_000 + "\n---\n",
        "---\ntitle: t\n" + "? " * 300_000 + "\n---\n",
        "---\ntitle: t\n" + "- " * 300_000 + "\n---\n",
    ]


@pytest.mark.parametrize("text", bombs(), ids=["alias", "merge", "list", "mapping", "keys", "nested"])
def test_bombs_are_refused(text: str) -> None:
    """Expanded, the smallest of them would fill the memory."""
    with pytest.raises(BadInput):
        read_task_file(text)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "TASK-7d21f0aa.md"
    path.write_bytes(b"\xef\xbb\xbf" + YAML.replace("\n", "\r\n").encode())
    assert read_task_file(path) == read_task_file(YAML)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"# t\n\xff", "task.md:2 is not UTF-8"), (b"x" * ((1 << 20) + 1), "larger than 1024 KiB")],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "task.md"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words):
        read_task_file(path)


def test_missing_files_and_folders_are_bad_input(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.md", tmp_path):
        with pytest.raises(BadInput, match=r"cannot be read|not a regular file"):
            read_task_file(path)


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40).map(
    lambda t: " ".join(t.split())
)
names = st.from_regex(PATTERN, fullmatch=True).filter(
    lambda t: ".." not in t and not t.endswith((".", ".lock")) and t != "None"
)
listed = words.filter(lambda t: t not in ("", "None"))
scalars = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | words | st.floats(-1e30, 1e30)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    words.filter(lambda t: t not in ("", "<<")), inner, max_size=3), max_leaves=8)  # fmt: skip
bodies = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=200)
KNOWN = frozenset(TaskFile.__dataclass_fields__) | {"project", "created", "base_branch", "<<", ""}
tasks = st.builds(
    TaskFile,
    title=words.filter(bool),
    body=bodies.map(str.strip),
    id=st.none() | names,
    role=st.none() | names,
    priority=st.sampled_from(Priority),
    branch=st.none() | st.sampled_from(["main", "1.10", "feature/x", "no", "e5", "0x1f"]),
    project_id=st.none() | names,
    blocked_by=st.lists(names, max_size=3, unique=True).map(tuple),
    needs=st.lists(listed, max_size=3).map(tuple),
    checks=st.lists(listed, max_size=3).map(tuple),
    type=st.none() | st.sampled_from(TaskType),
    complexity=st.none() | st.sampled_from(Complexity),
    auto_accept=st.booleans(),
    created_at=st.none() | st.integers(0, 30_000_000_000_000).map(from_ms),
    created_by=st.none() | words.filter(bool),
    extra=st.dictionaries(words.filter(lambda t: t not in KNOWN), values, max_size=4),
    history=st.lists(st.builds(HistoryEntry, key=words.filter(lambda t: t not in ("", "<<")), value=words),
                     max_size=3).map(tuple),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(tasks)
def test_round_trip(task: TaskFile) -> None:
    """L-25: what is written is read back as the same, all of it."""
    assert read_task_file(render_task_file(task)) == task


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("#[]TASK-ROLE: \n`~Pabc\x85\u2028"), max_size=300))
def test_whatever_is_read_survives_being_written(text: str) -> None:
    """L-25, from the other side: any file that can be read at all."""
    try:
        task = read_task_file(text)
    except BadInput:
        return
    assert read_task_file(render_task_file(task)) == task


def test_both_forms_survive_being_written() -> None:
    for text in (OLDER, YAML):
        task = read_task_file(text)
        assert read_task_file(render_task_file(task)) == task
        assert render_task_file(read_task_file(render_task_file(task))) == render_task_file(task)
