"""Rescue, and resolving a conflict."""

from __future__ import annotations

import pytest

from scheduler.git import bin as git_bin
from scheduler.git.collect import collect
from scheduler.git.conflict import finish_conflict, prepare_conflict
from scheduler.git.errors import BadName, MergeConflict, UnresolvedConflict, WorkspaceGone
from scheduler.git.facts import changed_paths, has_conflict_markers, is_ancestor
from scheduler.git.merge import integrate
from scheduler.git.overlap import trial_merge
from scheduler.git.rescue import list_rescues, rescue, restore_to_branch
from scheduler.git.workspace import Identity

ADA = Identity("Ada Agent", "ada@example.org")


def show(house, commit: str, path: str) -> str:
    return house.hub.git.text("show", f"{commit}:{path}")


def test_everything_in_a_workspace_is_saved(git_house):
    """L-05: commits, changes, untracked files, stashes, other branches, and what was reset away."""
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    dropped = agent.commit("dropped", {"dropped": "d"})
    agent.git("reset", "--quiet", "--hard", "HEAD~1")
    agent.git("checkout", "--quiet", "-b", "side")
    side = agent.commit("side", {"side": "s"})
    agent.git("checkout", "--quiet", "octopoid/t1")
    agent.write({"README.md": "stashed"})
    agent.git("stash", "--quiet")
    stash = agent.head("refs/stash")
    made = agent.commit("made", {"made": "m"})
    type(git_house.user).make(ws.path / "nested", {"inner.txt": "inner"})
    agent.write({"src/app.py": "changed", "draft": "draft"})
    saved = rescue(git_house.hub, ws, "cancelled by\nuna")
    assert saved.ref == "refs/octopoid/rescue/t1/1/1"
    assert show(git_house, saved.sha, "src/app.py") == "changed"
    assert show(git_house, saved.sha, "draft") == "draft"
    assert show(git_house, saved.sha, "nested/inner.txt") == "inner"
    reachable = git_house.hub.git.text("rev-list", "--glob=refs/octopoid/rescue*/*").split()
    assert {dropped, side, stash, made} <= set(reachable)
    assert [entry.subject for entry in list_rescues(git_house.hub, "t1")] == [
        "Rescue of t1 attempt 1: cancelled by una"
    ]
    assert "incoming" not in git_house.hub.git.text("for-each-ref")


def test_same_state_is_saved_once_and_a_new_one_again(git_house):
    ws = git_house.work("t1")
    (ws.path / "draft").write_text("1")
    first = rescue(git_house.hub, ws, "one")
    assert rescue(git_house.hub, ws, "two").ref == first.ref
    (ws.path / "draft").write_text("2")
    assert rescue(git_house.hub, ws, "three").ref.endswith("/2")
    assert [entry.n for entry in list_rescues(git_house.hub)] == [1, 2]


@pytest.mark.parametrize("damage", ["no .git", "file", "no objects", "bad head"])
def test_broken_repository_is_saved_as_files(git_house, damage):
    """Story 4: an agent's failure never costs its files."""
    ws = git_house.work("t1")
    head = git_house.agent(ws).commit("made", {"made": "m"})
    collect(git_house.hub, ws)
    (ws.path / "draft").write_text("draft")
    dot = ws.path / ".git"
    if damage == "no objects":
        (dot / "objects").rename(git_house.tmp / "objects")
    elif damage == "bad head":
        (dot / "HEAD").write_text("e" * 40)
    else:
        dot.rename(git_house.tmp / "dot")
        if damage == "file":
            dot.write_text("gitdir: /nowhere")
    saved = rescue(git_house.hub, ws, "broken")
    assert saved.warnings
    assert show(git_house, saved.sha, "draft") == "draft"
    assert is_ancestor(git_house.hub, head, saved.sha)
    git_bin.remove(ws, git_house.hub)
    assert not ws.path.exists()


def test_rescue_becomes_a_branch_of_the_user(git_house):
    ws = git_house.work("t1")
    (ws.path / "draft").write_text("draft")
    saved = rescue(git_house.hub, ws, "cancelled")
    before = git_house.user.fingerprint(without=(".git/refs/heads/", ".git/logs/"))
    assert restore_to_branch(git_house.hub, saved.ref, "saved/t1") == saved.sha
    assert git_house.user.git("show", "saved/t1:draft") == "draft"
    assert git_house.user.fingerprint(without=(".git/refs/heads/", ".git/logs/")) == before
    with pytest.raises(BadName, match="exists"):
        restore_to_branch(git_house.hub, saved.ref, "saved/t1")
    with pytest.raises(BadName, match="no saved state"):
        restore_to_branch(git_house.hub, "refs/heads/main", "x")


def test_gone_workspace_cannot_be_rescued(git_house):
    ws = git_house.work("t1")
    ws.path.rename(git_house.tmp / "away")
    with pytest.raises(WorkspaceGone):
        rescue(git_house.hub, ws, "x")


@pytest.fixture
def clash(git_house):
    """A task's head and a target that conflict in README.md, and do not in other files."""
    ws = git_house.work("t1")
    git_house.agent(ws).commit("work", {"README.md": "agent\n", "new.txt": "n"})
    head = collect(git_house.hub, ws).head_sha
    git_house.user.commit("mine", {"README.md": "user\n", "other.txt": "o"})
    target = git_house.hub.sync_base("main")
    assert trial_merge(git_house.hub, head, target) == ["README.md"]
    made = prepare_conflict(git_house.hub, git_house.trees, "t1", 2, head, target, ADA, base_sha=ws.base_sha)
    return made, head, target


@pytest.mark.parametrize("commits", [True, False])
def test_resolved_conflict_is_integrated(git_house, clash, commits):
    """L-06: the agent resolves by editing, commits or not; the result is one merge and then goes in."""
    conflict, head, target = clash
    ws = conflict.workspace
    assert conflict.paths == ("README.md",)
    assert "<<<<<<<" in (ws.path / "README.md").read_text()
    (ws.path / "README.md").write_text("both\n")
    if commits:
        agent = git_house.agent(ws)
        agent.git("add", "--all")
        agent.git("commit", "--quiet", "--no-edit")
        agent.commit("afterthought", {"more.txt": "m"})
    new_head = finish_conflict(git_house.hub, conflict, collect(git_house.hub, ws))
    parents = git_house.hub.git.text("show", "-s", "--format=%P", new_head).split()
    assert parents == [head, target]
    got = integrate(
        git_house.hub, "t1", "T", new_head, "main",
        approved_by="una", attempt=1, check=lambda tree, commit: None,
    )  # fmt: skip
    assert got.where == "checkout"
    assert (git_house.user.path / "README.md").read_text() == "both\n"
    assert (git_house.user.path / "other.txt").exists()
    assert (git_house.user.path / "new.txt").exists()


def test_unresolved_or_abandoned_conflict_is_refused(git_house, clash):
    conflict, head, target = clash
    ws, hub = conflict.workspace, git_house.hub
    with pytest.raises(UnresolvedConflict, match=r"markers are left in README\.md"):
        finish_conflict(hub, conflict, collect(hub, ws))
    git_house.agent(ws).git("merge", "--abort")
    with pytest.raises(UnresolvedConflict, match="does not contain the target"):
        finish_conflict(hub, conflict, collect(hub, ws))
    git_house.agent(ws).git("reset", "--quiet", "--hard", target)
    with pytest.raises(UnresolvedConflict, match="own work"):
        finish_conflict(hub, conflict, collect(hub, ws))
    with pytest.raises(MergeConflict):
        integrate(hub, "t1", "T", head, "main", approved_by="u", attempt=1, check=lambda tree, commit: None)


def test_markers_that_were_there_before_do_not_count(git_house):
    """A repository may hold conflict markers for good reason."""
    text = "<<<<<<< a\n=======\n>>>>>>> b\n"
    git_house.user.commit("docs", {"docs.md": text})
    ws = git_house.work("t1")
    git_house.agent(ws).commit("edit", {"docs.md": text + "more\n", "x.md": "x"})
    got = collect(git_house.hub, ws)
    assert has_conflict_markers(git_house.hub, got.base_sha, got.head_sha) == []
    git_house.agent(ws).commit("bad", {"docs.md": text + text})
    got = collect(git_house.hub, ws)
    assert has_conflict_markers(git_house.hub, got.base_sha, got.head_sha) == ["docs.md"]
    assert changed_paths(git_house.hub, got.base_sha, got.head_sha) == ["docs.md", "x.md"]
