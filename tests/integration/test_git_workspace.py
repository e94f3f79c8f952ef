"""Hub and workspaces: creation, removal, the bin."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest

from backend.clock import ManualClock
from scheduler.git import bin as git_bin
from scheduler.git.collect import collect
from scheduler.git.errors import (
    BadName,
    GitError,
    HubTampered,
    MissingBranch,
    NoCommits,
    NotARepository,
    RepositoryUnsupported,
    WorkspaceGone,
    WorkspaceRefused,
)
from scheduler.git.hub import Hub
from scheduler.git.rescue import list_rescues, rescue
from scheduler.git.workspace import checkout, load, sweep


def test_workspace_is_a_shared_clone_on_the_tasks_branch(git_house):
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    assert ws.path.name == "t1-1"
    assert agent.git("symbolic-ref", "HEAD") == "refs/heads/octopoid/t1"
    assert agent.head() == git_house.user.head() == ws.base_sha
    assert (ws.path / ".git/objects/info/alternates").read_text().strip() == str(
        git_house.hub.path / "objects"
    )
    assert agent.git("remote") == ""
    assert agent.git("status", "--porcelain") == ""
    agent.commit("mine", {"x.txt": "x"})
    assert agent.git("log", "-1", "--format=%an <%ae>") == "Ada Agent <ada@example.org>"


def test_later_attempt_starts_where_the_last_one_was_collected(git_house):
    """L-08: the base stays the task's base, the files are those of the attempt before."""
    first = git_house.work("t1")
    git_house.agent(first).commit("half", {"half.txt": "half"})
    got = collect(git_house.hub, first)
    second = git_house.work("t1", 2, start=got.head_sha, base_sha=first.base_sha)
    assert (second.path / "half.txt").read_text() == "half"
    again = collect(git_house.hub, second)
    assert (again.commits, again.base_sha, again.head_sha) == (1, first.base_sha, got.head_sha)


def test_workspace_is_never_reused(git_house):
    git_house.work("t1")
    with pytest.raises(WorkspaceRefused, match="never reused"):
        git_house.work("t1")


def test_failed_creation_leaves_nothing(git_house):
    """F16: neither directory nor marker after a clone that fails."""
    with pytest.raises(GitError):
        git_house.work("t1", start="0" * 39 + "1")
    assert not list(git_house.trees.glob("t1*"))
    assert not list(git_house.trees.glob(".m*/*"))


def test_killed_creation_is_swept(git_house):
    """F16: what a crash leaves of a half-made workspace goes at the next start."""
    git_house.work("t1")
    (git_house.trees / ".making/t2-1-abcd/deep").mkdir(parents=True)
    (git_house.trees / ".markers/t2-1.json").write_text("{}")
    assert sweep(git_house.hub, git_house.trees) == ["t2-1-abcd"]
    assert [path.name for path in (git_house.trees / ".markers").iterdir()] == ["t1-1.json"]
    git_house.work("t2")


def test_parallel_creation_all_succeed(git_house):
    """Story 3: several tasks started at once."""
    start, failures = git_house.hub.sync_base("main"), []

    def make(number: int) -> None:
        try:
            git_house.work(f"t{number}", start=start)
        except GitError as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(git_house.trees.glob("t*"))) == 6


def test_agent_cannot_push_to_the_hub(git_house):
    """T6: refs of the hub are written by the scheduler only."""
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    agent.commit("evil", {"x": "x"})
    before = git_house.hub.git.text("for-each-ref")
    for target in ("refs/heads/main", "refs/heads/new", "refs/octopoid/merged/t1"):
        assert agent.run("push", str(git_house.hub.path), f"HEAD:{target}", check=False).returncode != 0
    assert git_house.hub.git.text("for-each-ref") == before


def test_load_gives_the_same_workspace(git_house):
    ws = git_house.work("t1")
    assert load(git_house.trees, "t1", 1) == ws
    with pytest.raises(WorkspaceGone):
        load(git_house.trees, "t1", 2)


def test_checkout_of_a_candidate_is_gone_after(git_house):
    with checkout(git_house.hub, git_house.trees, git_house.hub.sync_base("main")) as path:
        assert (path / "src/app.py").is_file()
    assert not path.exists()
    assert "check-" not in git_house.hub.git.text("for-each-ref")


def test_removal_saves_the_last_state_and_can_be_undone(git_house):
    """L-05, story 2: what is there at the moment of removal is under a rescue ref; the bin gives it back."""
    ws = git_house.work("t1")
    rescue(git_house.hub, ws, "earlier")
    (ws.path / "draft.txt").write_text("draft")
    gone = git_bin.remove(ws, git_house.hub)
    saved = list_rescues(git_house.hub, "t1")[-1]
    assert (saved.n, git_house.hub.git.text("show", f"{saved.sha}:draft.txt")) == (2, "draft")
    assert gone.is_dir()
    assert not ws.path.exists()
    [entry] = git_bin.binned(git_house.trees)
    assert git_bin.restore(entry, git_house.hub) == ws.path
    assert (ws.path / "draft.txt").read_text() == "draft"
    assert load(git_house.trees, "t1", 1) == ws
    collect(git_house.hub, ws)


def test_purge_deletes_only_what_is_old_and_follows_no_link(git_house):
    outside = git_house.tmp / "outside"
    outside.mkdir()
    (outside / "precious").write_text("p")
    clock = ManualClock()
    for task in ("t1", "t2"):
        ws = git_house.work(task)
        (ws.path / "link").symlink_to(outside)
        git_bin.remove(ws, git_house.hub, clock=clock)
        clock.advance(3600)
    assert git_bin.purge(git_house.trees, timedelta(minutes=90), clock) == ["t1-1"]
    assert [entry.name for entry in git_bin.binned(git_house.trees)] == ["t2-1"]
    assert (outside / "precious").exists()


@pytest.mark.parametrize("trick", ["replaced", "link", "no marker"])
def test_remove_refuses_what_is_not_ours(git_house, trick):
    """Story 38: only the very directory that was made for the task."""
    ws = git_house.work("t1")
    if trick == "no marker":
        (git_house.trees / ".markers/t1-1.json").unlink()
    else:
        ws.path.rename(git_house.tmp / "moved")
        if trick == "replaced":
            ws.path.mkdir()
        else:
            ws.path.symlink_to(git_house.user.path)
    with pytest.raises(WorkspaceRefused):
        git_bin.remove(ws, git_house.hub)
    assert git_house.user.path.is_dir()


def test_deleted_workspace_is_a_typed_error(git_house):
    """F17: the human deletes the directory while the agent runs."""
    ws = git_house.work("t1")
    ws.path.rename(git_house.tmp / "away")
    with pytest.raises(WorkspaceGone):
        collect(git_house.hub, ws)


def test_missing_branch_names_the_nearest(git_house):
    """L-10: a missing base is an error that helps, never another branch."""
    git_house.user.git("branch", "develop")
    with pytest.raises(MissingBranch) as caught:
        git_house.hub.resolve_base("develp")
    assert caught.value.nearest == ("develop",)
    assert not caught.value.systemic
    with pytest.raises(BadName):
        git_house.hub.resolve_base("--upload-pack=touch x")


def test_repository_without_commits(tmp_path, gitrepo):
    user = gitrepo.make(tmp_path / "empty")
    hub = Hub.open(tmp_path / "octo", user.path)
    with pytest.raises(NoCommits):
        hub.resolve_base("main")


def test_no_repository_and_incomplete_ones_are_refused(tmp_path, gitrepo):
    (tmp_path / "plain").mkdir()
    with pytest.raises(NotARepository):
        Hub.open(tmp_path / "octo", tmp_path / "plain")
    user = gitrepo.make(tmp_path / "user", {"a": "a"})
    user.commit("second", {"a": "b"})
    user.git("clone", "--quiet", "--depth=1", f"file://{user.path}", str(tmp_path / "shallow"))
    with pytest.raises(RepositoryUnsupported, match="--unshallow"):
        Hub.open(tmp_path / "octo", tmp_path / "shallow")
    user.git("config", "uploadpack.allowFilter", "true")
    user.git("clone", "--quiet", "--filter=blob:none", f"file://{user.path}", str(tmp_path / "partial"))
    with pytest.raises(RepositoryUnsupported, match="partial"):
        Hub.open(tmp_path / "octo", tmp_path / "partial")


@pytest.mark.parametrize(
    "name", ["config", "hooks/post-update", "info/attributes", "objects/info/alternates"]
)
def test_tampered_hub_is_refused(git_house, name):
    """T4: the hub's configuration is ours, or nothing runs."""
    path = git_house.hub.path / name
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write("[core]\n\tfsmonitor = /bin/true\n")
    with pytest.raises(HubTampered) as caught:
        Hub.open(git_house.hub.root, git_house.user.path)
    assert caught.value.systemic


def test_stale_locks_of_killed_git_go_at_open(git_house):
    """F16: a killed `update-ref` leaves refs/heads/main.lock."""
    hub = git_house.hub
    sha = hub.sync_base("main")
    stale = hub.path / "refs/heads/main.lock"
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.touch()
    Hub.open(hub.root, git_house.user.path)
    assert hub.update_refs([("refs/heads/main", sha, None)], "test")


def test_sha256_repository(tmp_path, gitrepo):
    path = tmp_path / "user"
    path.mkdir()
    user = gitrepo(path)
    user.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main", "--template=")
    user.git("config", "user.name", "U")
    user.git("config", "user.email", "u@example.org")
    user.commit("first", {"a": "a"})
    hub = Hub.open(tmp_path / "octo", user.path)
    assert len(hub.sync_base("main")) == 64


def test_marker_is_out_of_the_agents_reach(git_house):
    ws = git_house.work("t1")
    marker = git_house.trees / ".markers/t1-1.json"
    assert len(json.loads(marker.read_text())["nonce"]) == 32
    assert not marker.is_relative_to(ws.path)
