"""Names of branches and refs: what we take, git takes."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import OctopoidError
from scheduler.git import names
from scheduler.git.errors import BadName

BAD = [
    "", "-x", "--upload-pack=touch x", "--output=x", "a b", "a..b", "a.lock", "a/b.lock/c", ".a", "a/.b",
    "a/", "/a", "a//b", "a~1", "a^", "a:b", "a?b", "a*b", "a[b", "a\\b", "a@{1}", "@", "HEAD",
    "refs/heads/x", "$(id)", "a;id", "a`id`", "a|b", "a\nb", "a\0b", "a\x1b[31m", "a.", "x" * 201,
    "octopoid", "octopoid/t1", "a\u202eb", "a\u200bb", "\ud800",
]  # fmt: skip
GOOD = ["main", "feature/x-1", "release/1.2", "user@host", "größe", "日本", "a#1", "x=y", "v1.0+b", "_x"]


@pytest.mark.parametrize("name", BAD)
def test_bad_branch_names_are_refused(name):
    """B4, T18, T19: no option, no shell, no control character, no path trick."""
    with pytest.raises(BadName) as caught:
        names.branch_ref(name)
    assert caught.value.next_step
    assert not caught.value.systemic


@pytest.mark.parametrize("name", GOOD)
def test_good_branch_names_are_taken(name):
    assert names.branch_ref(name) == f"refs/heads/{name}"


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("aZ9_.-+@#=/{}~^:é "), max_size=12) | st.text(max_size=8))
def test_what_we_accept_git_accepts(name):
    """B4: the model is `git check-ref-format`."""
    try:
        ref = names.branch_ref(name)
    except BadName:
        return
    assert subprocess.run(["git", "check-ref-format", ref], check=False).returncode == 0


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("aZ9_.-/lock "), min_size=1, max_size=12))
def test_refs_of_tasks_are_refs(task_id):
    try:
        refs = [
            names.work_ref(task_id), names.attempt_ref(task_id, 1), names.rescue_ref(task_id, 1, 2),
            names.rescue_more_ref(task_id, 1, 2, 3), names.merged_ref(task_id),
        ]  # fmt: skip
    except OctopoidError:
        return
    for ref in refs:
        assert subprocess.run(["git", "check-ref-format", ref], check=False).returncode == 0


def test_layout_of_refs():
    assert names.work_ref("t1") == "refs/heads/octopoid/t1"
    assert names.attempt_ref("t1", 2) == "refs/octopoid/attempts/t1/2"
    assert names.rescue_ref("t1", 2, 3) == "refs/octopoid/rescue/t1/2/3"
    with pytest.raises(BadName):
        names.attempt_ref("t1", -1)


@pytest.mark.parametrize("text", ["", "main", "abc", "g" * 40, "A" * 40, "a" * 41, "-" * 40])
def test_only_full_object_ids_pass(text):
    with pytest.raises(BadName):
        names.check_sha(text)
