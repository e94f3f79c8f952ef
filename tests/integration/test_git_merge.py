"""Integration and delivery: one merge per task, and the user's checkout left alone unless it is clean."""

from __future__ import annotations

import shlex
import subprocess
import threading

import git as gitpython
import pytest

from scheduler.git import delivery
from scheduler.git.collect import collect
from scheduler.git.delivery import deliver_waiting
from scheduler.git.errors import (
    AlreadyMerged,
    MergeConflict,
    RebaseImpossible,
    TargetDiverged,
    TargetMoved,
    UnrelatedHistories,
)
from scheduler.git.hub import Hub
from scheduler.git.merge import integrate
from scheduler.git.run import Git
from scheduler.git.target import drop_waiting

CHECKOUT_MOVES = (".git/index", ".git/refs/heads/main", ".git/logs/")


def done(house, task: str, files: dict[str, str], attempt: int = 1, **kept: str) -> str:
    """A task's collected work: one commit with the files."""
    ws = house.work(task, attempt, **kept)
    house.agent(ws).commit(f"work on {task}", files)
    return collect(house.hub, ws).head_sha


def accept(house, task: str, head: str, **options):
    options = {"approved_by": "una", "attempt": 1, "check": lambda tree, commit: None} | options
    return integrate(house.hub, task, f"Do {task}", head, "main", **options)


def merges_of(house, task: str) -> list[str]:
    """Commits with the task's trailer in the user's branch, read by GitPython as a second opinion."""
    with gitpython.Repo(house.user.path) as repo:
        return [c.hexsha for c in repo.iter_commits("main") if f"Octopoid-Task: {task}\n" in f"{c.message}\n"]


def test_clean_checkout_is_moved_forward(git_house):
    """I1, I8: one merge commit with its trailers; nothing else of the user's repository changes."""
    head = done(git_house, "t1", {"new.txt": "new\n"})
    before = git_house.user.fingerprint(without=CHECKOUT_MOVES)
    seen = []
    got = accept(git_house, "t1", head, check=lambda tree, commit: seen.append((tree, commit)))
    user = git_house.user
    assert (got.where, got.target_branch) == ("checkout", "main")
    assert user.head() == got.merge_sha
    assert seen == [(user.git("rev-parse", "HEAD^{tree}"), got.merge_sha)]
    assert user.git("status", "--porcelain") == ""
    assert user.git("log", "-1", "--format=%s%n%(trailers:only)").splitlines() == [
        "Do t1", "Octopoid-Task: t1", "Octopoid-Attempt: 1", f"Octopoid-Head: {head}",
        "Octopoid-Approved-By: una",
    ]  # fmt: skip
    assert user.git("rev-parse", "HEAD^2") == head
    after = user.fingerprint(without=CHECKOUT_MOVES)
    assert {k: v for k, v in after.items() if k != "new.txt"} == before
    assert list(user.refs()) == ["refs/heads/main"]
    assert merges_of(git_house, "t1") == [got.merge_sha]


def test_branch_that_is_not_checked_out_moves_as_a_ref_alone(git_house):
    git_house.user.git("checkout", "--quiet", "-b", "elsewhere")
    head = done(git_house, "t1", {"new.txt": "new\n"})
    before = git_house.user.fingerprint(without=(".git/refs/heads/main", ".git/logs/refs/heads/main"))
    got = accept(git_house, "t1", head)
    assert got.where == "ref"
    assert git_house.user.head("main") == got.merge_sha
    assert git_house.user.fingerprint(without=(".git/refs/heads/main", ".git/logs/refs/heads/main")) == before


def test_branch_in_a_linked_worktree_is_moved_there(git_house):
    """A ref moved under a linked worktree would show the work as staged deletions."""
    git_house.user.git("checkout", "--quiet", "-b", "elsewhere")
    linked = git_house.tmp / "linked"
    git_house.user.git("worktree", "add", "--quiet", str(linked), "main")
    got = accept(git_house, "t1", done(git_house, "t1", {"new.txt": "new\n"}))
    assert got.where == "checkout"
    assert type(git_house.user)(linked).git("status", "--porcelain") == ""
    assert (linked / "new.txt").exists()


@pytest.mark.parametrize("dirt", ["tracked", "staged", "untracked", "ignored", "merging", "rebasing"])
def test_dirty_checkout_is_never_touched_and_the_command_works(git_house, dirt):
    """The work waits in the hub; the one command in the note takes it."""
    user = git_house.user
    new = "new.log" if dirt == "ignored" else "new.txt"
    ws = git_house.work("t1")
    (ws.path / ".gitignore").write_text("")
    (ws.path / new).write_text("agent's\n")
    head = collect(git_house.hub, ws).head_sha
    if dirt == "tracked":
        user.write({"src/app.py": "mine"})
    elif dirt == "staged":
        user.write({"src/app.py": "mine"})
        user.git("add", "src/app.py")
    elif dirt == "merging":
        (user.path / ".git/MERGE_HEAD").write_text(user.head() + "\n")
    elif dirt == "rebasing":
        user.commit("second", {"z": "z"})
        user.run("rebase", "-i", "HEAD~1", check=False, GIT_SEQUENCE_EDITOR="sed -i 1ibreak")
    else:
        user.write({new: "mine"})
    before = user.fingerprint()
    got = accept(git_house, "t1", head)
    assert got.where == "hub"
    assert user.fingerprint() == before
    if dirt == "merging":
        (user.path / ".git/MERGE_HEAD").unlink()
    elif dirt == "rebasing":
        user.git("rebase", "--continue")
    elif dirt in ("untracked", "ignored"):
        (user.path / new).unlink()
    command = shlex.split(got.note.split("To take it: ", 1)[1])
    env = {"PATH": "/usr/bin:/bin", "HOME": str(git_house.tmp)}
    subprocess.run(command, check=True, env=env, capture_output=True, timeout=120, cwd="/")
    assert (user.path / new).read_text() == "agent's\n"
    assert user.git("merge-base", "--is-ancestor", got.merge_sha, "main") == ""
    assert deliver_waiting(git_house.hub, "main").where == "checkout"
    assert merges_of(git_house, "t1") == [got.merge_sha]


@pytest.mark.parametrize("lock", ["index.lock", "refs/heads/main.lock"])
def test_users_own_git_at_work_is_waited_for(git_house, lock):
    """A lock of the user's git is never removed; the work waits and goes in later."""
    held = git_house.user.path / ".git" / lock
    head = done(git_house, "t1", {"n": "n"})
    held.touch()
    got = accept(git_house, "t1", head)
    assert got.where == "hub"
    assert held.exists()
    assert not (git_house.user.path / "n").exists()
    held.unlink()
    assert git_house.user.git("status", "--porcelain") == ""
    assert deliver_waiting(git_house.hub, "main").where == "checkout"
    assert git_house.user.git("status", "--porcelain") == ""
    assert git_house.user.head() == got.merge_sha


def test_work_the_user_merged_by_hand_counts_as_merged(git_house):
    head = done(git_house, "t1", {"n": "n"})
    git_house.user.git("pull", "--quiet", str(git_house.hub.path), head)
    assert accept(git_house, "t1", head).merge_sha == head
    assert git_house.user.head() == head


def test_update_checkout_can_be_switched_off(git_house):
    before = git_house.user.fingerprint()
    got = accept(git_house, "t1", done(git_house, "t1", {"n": "n"}), update_checkout=False)
    assert got.where == "hub"
    assert git_house.user.fingerprint() == before


def test_waiting_work_is_built_upon_and_delivered_later(git_house):
    user = git_house.user
    heads = {task: done(git_house, task, {f"{task}.txt": task}) for task in ("t1", "t2")}
    user.write({"src/app.py": "mine"})
    first = accept(git_house, "t1", heads["t1"])
    second = accept(git_house, "t2", heads["t2"])
    assert (first.where, second.where) == ("hub", "hub")
    assert git_house.hub.sha(f"{second.merge_sha}^1") == first.merge_sha
    user.git("checkout", "--quiet", "src/app.py")
    sent = deliver_waiting(git_house.hub, "main")
    assert (sent.where, sent.sha) == ("checkout", second.merge_sha)
    assert (user.path / "t1.txt").exists()
    assert (user.path / "t2.txt").exists()
    assert merges_of(git_house, "t1") == [first.merge_sha]


def test_waiting_work_and_the_users_new_commits_are_merged(git_house):
    user = git_house.user
    head = done(git_house, "t1", {"t1.txt": "t1"})
    user.write({"src/app.py": "mine"})
    first = accept(git_house, "t1", head)
    mine = user.commit("my own", {})
    sent = deliver_waiting(git_house.hub, "main")
    assert sent.where == "checkout"
    assert user.git("rev-list", "--parents", "-n1", "HEAD").split()[1:] == [mine, first.merge_sha]
    assert merges_of(git_house, "t1") == [first.merge_sha]


def test_waiting_work_that_conflicts_with_the_user_is_an_error_with_a_way_out(git_house):
    user = git_house.user
    head = done(git_house, "t1", {"README.md": "agent\n"})
    user.write({"README.md": "mine\n"})
    accept(git_house, "t1", head)
    user.commit("my own", {})
    before = user.fingerprint()
    with pytest.raises(TargetDiverged, match="pull --no-rebase") as caught:
        deliver_waiting(git_house.hub, "main")
    assert caught.value.systemic
    assert user.fingerprint() == before
    waiting = drop_waiting(git_house.hub, "main")
    assert git_house.hub.sha(f"refs/octopoid/replaced/main/{waiting}") == waiting
    assert deliver_waiting(git_house.hub, "main").sha == user.head()


def test_conflict_has_no_side_effect(git_house):
    """L-06: paths and messages are named, nothing changes, and it is not systemic."""
    head = done(git_house, "t1", {"README.md": "agent\n"})
    git_house.user.commit("mine", {"README.md": "user\n"})
    before = git_house.user.fingerprint()
    with pytest.raises(MergeConflict) as caught:
        accept(git_house, "t1", head)
    assert caught.value.paths == ("README.md",)
    assert "CONFLICT" in caught.value.messages[0]
    assert not caught.value.systemic
    assert git_house.user.fingerprint() == before
    assert git_house.hub.sha("refs/octopoid/merged/t1") is None


def test_refused_check_changes_nothing(git_house):
    head = done(git_house, "t1", {"n": "n"})

    def refuse(tree: str, commit: str) -> None:
        raise AssertionError("tests fail")

    with pytest.raises(AssertionError, match="tests fail"):
        accept(git_house, "t1", head, check=refuse)
    assert git_house.hub.sha("refs/octopoid/merged/t1") is None
    assert git_house.hub.sha("refs/heads/main") == git_house.user.head()


def test_second_acceptance_returns_the_same_merge(git_house):
    """L-13, story 24: the effect is detected, not repeated."""
    head = done(git_house, "t1", {"n": "n"})
    first = accept(git_house, "t1", head)
    git_house.user.commit("later", {"later": "l"})
    assert accept(git_house, "t1", head).merge_sha == first.merge_sha
    assert merges_of(git_house, "t1") == [first.merge_sha]


@pytest.mark.parametrize("strategy", ["merge", "squash", "rebase"])
def test_merge_is_found_again_after_the_hub_is_lost(git_house, strategy):
    """L-13: with the record gone, the trailers in the user's branch still tell."""
    head = done(git_house, "t1", {"n": "n"})
    git_house.user.commit("meanwhile", {"m": "m"})
    first = accept(git_house, "t1", head, strategy=strategy)
    kept = git_house.tmp / "old.git"
    git_house.hub.path.rename(kept)
    hub = Hub.open(git_house.hub.root, git_house.user.path)
    hub.git.run("fetch", "-q", str(kept), "refs/octopoid/attempts/t1/1:refs/octopoid/attempts/t1/1")
    assert accept(git_house, "t1", head, strategy=strategy).merge_sha == first.merge_sha


def test_other_work_of_the_same_attempt_is_refused_but_a_later_attempt_goes_in(git_house):
    first = accept(git_house, "t1", done(git_house, "t1", {"n": "1"}))
    other = done(git_house, "t1", {"n": "2"}, attempt=2)
    with pytest.raises(AlreadyMerged):
        accept(git_house, "t1", other)
    again = accept(git_house, "t1", other, attempt=2)
    assert again.merge_sha != first.merge_sha


@pytest.mark.parametrize("strategy", ["merge", "squash", "rebase"])
def test_forged_trailer_of_an_agent_does_not_count_as_a_merge(git_house, strategy):
    """An agent writes another task's trailers into its commit; the other task is merged all the same."""
    victim = done(git_house, "victim", {"v": "v"})
    ws = git_house.work("forger")
    git_house.agent(ws).commit(
        f"x\n\nOctopoid-Task: victim\nOctopoid-Attempt: 1\nOctopoid-Head: {victim}", {"f": "f"}
    )
    accept(git_house, "forger", collect(git_house.hub, ws).head_sha, strategy=strategy)
    got = accept(git_house, "victim", victim)
    assert git_house.user.head() == got.merge_sha
    assert (git_house.user.path / "v").exists()


def test_title_cannot_forge_trailers(git_house):
    head = done(git_house, "t1", {"n": "n"})
    got = integrate(
        git_house.hub, "t1", "x\n\nOctopoid-Task: t9\x1b[31m", head, "main",
        approved_by="una\nOctopoid-Task: t8", attempt=1, check=lambda tree, commit: None,
    )  # fmt: skip
    shown = git_house.user.git(
        "show", "-s", "--format=%(trailers:key=Octopoid-Task,valueonly)", got.merge_sha
    )
    assert shown == "t1"
    assert "\x1b" not in git_house.user.git("show", "-s", "--format=%B", got.merge_sha)


def test_squash_is_one_commit_by_the_agent(git_house):
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    agent.commit("one", {"a": "1"})
    agent.commit("two", {"a": "2"})
    got = accept(git_house, "t1", collect(git_house.hub, ws).head_sha, strategy="squash")
    user = git_house.user
    assert user.git("rev-list", "--count", "HEAD") == "2"
    assert user.git("show", "-s", "--format=%an %cn", got.merge_sha) == "Ada Agent Octopoid"


def test_rebase_is_a_line_with_one_marked_commit(git_house):
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    agent.commit("one\n\nOctopoid-Task: t1", {"a": "1"})
    agent.commit("two", {"b": "2"})
    git_house.user.commit("meanwhile", {"c": "3"})
    got = accept(git_house, "t1", collect(git_house.hub, ws).head_sha, strategy="rebase")
    user = git_house.user
    assert user.git("log", "--format=%s").splitlines() == ["two", "one", "meanwhile", "first"]
    assert user.git("rev-list", "--merges", "HEAD") == ""
    assert merges_of(git_house, "t1") == [got.merge_sha] == [user.head()]


def test_rebase_of_merges_is_refused(git_house):
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    agent.git("checkout", "--quiet", "-b", "side")
    agent.commit("side", {"s": "s"})
    agent.git("checkout", "--quiet", "octopoid/t1")
    agent.commit("main", {"m": "m"})
    agent.git("merge", "--quiet", "--no-edit", "side")
    with pytest.raises(RebaseImpossible):
        accept(git_house, "t1", collect(git_house.hub, ws).head_sha, strategy="rebase")


def test_unrelated_history_is_refused(git_house):
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    agent.git("checkout", "--quiet", "--orphan", "new")
    agent.commit("new world", {"a": "a"})
    with pytest.raises(UnrelatedHistories):
        accept(git_house, "t1", collect(git_house.hub, ws).head_sha)


def test_target_that_moves_during_the_check_is_tried_again(git_house):
    head = done(git_house, "t1", {"n": "n"})
    checked = []

    def moving(tree: str, commit: str) -> None:
        checked.append(commit)
        if len(checked) < 3:
            git_house.user.commit(f"move {len(checked)}", {"m": str(len(checked))})
            git_house.hub.sync_base("main")
            deliver_waiting(git_house.hub, "main")

    got = accept(git_house, "t1", head, check=moving)
    assert len(checked) == 3
    assert checked[-1] == got.merge_sha
    assert (git_house.user.path / "m").read_text() == "2"


def test_target_that_never_rests_is_an_error(git_house):
    """Exhaustion is an error, never a silent success."""
    head = done(git_house, "t1", {"n": "n"})
    moves = []

    def moving(tree: str, commit: str) -> None:
        moves.append(git_house.user.commit("move", {"m": str(len(moves))}))
        deliver_waiting(git_house.hub, "main")

    with pytest.raises(TargetMoved):
        accept(git_house, "t1", head, check=moving)
    assert git_house.user.head() == moves[-1]


def test_user_commit_during_the_check_is_kept(git_house):
    """F17: the user commits between our sync and our delivery."""
    head = done(git_house, "t1", {"n": "n"})
    got = accept(git_house, "t1", head, check=lambda tree, commit: git_house.user.commit("mine", {"m": "m"}))
    assert got.where == "checkout"
    assert (git_house.user.path / "m").exists()
    assert (git_house.user.path / "n").exists()
    assert merges_of(git_house, "t1") == [got.merge_sha]


@pytest.mark.parametrize("checked_out", [True, False])
def test_user_commit_between_our_fetch_and_our_delivery_is_kept(git_house, monkeypatch, checked_out):
    """F17: the last instant in which the user can commit; nothing of theirs is lost."""
    user, moves = git_house.user, []
    head = done(git_house, "t1", {"n": "n"})
    if not checked_out:
        user.git("checkout", "--quiet", "-b", "elsewhere")
    sync = delivery.sync_target

    def then_commit(hub, branch):
        synced = sync(hub, branch)
        if not moves:
            tree = user.git("rev-parse", "main^{tree}")
            moves.append(user.git("commit-tree", "-p", "main", "-m", "mine", tree))
            user.git("update-ref", "refs/heads/main", moves[0])
        return synced

    monkeypatch.setattr(delivery, "sync_target", then_commit)
    got = accept(git_house, "t1", head)
    assert got.where == ("checkout" if checked_out else "ref")
    assert {moves[0], got.merge_sha} <= set(user.git("rev-list", "main").split())
    assert user.git("status", "--porcelain") == ""


def test_merge_the_user_took_back_is_not_brought_back(git_house):
    """F17: a reset of the branch after delivery is the user's word; accepting again merges again."""
    head = done(git_house, "t1", {"n": "n"})
    first = accept(git_house, "t1", head)
    git_house.user.git("reset", "--quiet", "--hard", "HEAD~1")
    undone = git_house.user.head()
    assert deliver_waiting(git_house.hub, "main").sha == undone
    other = accept(git_house, "t2", done(git_house, "t2", {"o": "o"}))
    assert not (git_house.user.path / "n").exists()
    assert git_house.user.head() == other.merge_sha
    assert accept(git_house, "t1", head).merge_sha != first.merge_sha
    assert (git_house.user.path / "n").exists()


def test_branch_the_user_rewrote_under_waiting_work_is_an_error(git_house):
    user = git_house.user
    user.commit("second", {"s": "s"})
    head = done(git_house, "t1", {"n": "n"})
    accept(git_house, "t1", head, update_checkout=False)
    user.git("commit", "--quiet", "--amend", "-m", "amended")
    with pytest.raises(TargetDiverged, match="rewritten"):
        deliver_waiting(git_house.hub, "main")


def test_deleted_branch_waits_in_the_hub(git_house):
    """F17: the human deletes the target; nothing is recreated behind their back."""
    head = done(git_house, "t1", {"n": "n"})
    got = accept(git_house, "t1", head, update_checkout=False)
    git_house.user.git("checkout", "--quiet", "-b", "other")
    git_house.user.git("branch", "-D", "main")
    sent = deliver_waiting(git_house.hub, "main")
    assert (sent.where, sent.sha) == ("hub", got.merge_sha)
    assert "main" not in git_house.user.git("branch", "--list", "main")


def test_file_that_needs_a_filter_of_the_users_own_configuration_is_left_to_the_user(git_house):
    """Git LFS is set up in the user's configuration, which we do not read."""
    git_house.user.commit("attributes", {".gitattributes": "*.bin filter=lfs\n"})
    before = git_house.user.fingerprint()
    got = accept(git_house, "t1", done(git_house, "t1", {"big.bin": "pointer"}))
    assert got.where == "hub"
    assert "filter 'lfs'" in got.note
    assert git_house.user.fingerprint() == before


def test_users_hooks_do_not_run(git_house):
    hook = git_house.user.path / ".git/hooks/post-merge"
    hook.parent.mkdir()
    for name in ("post-merge", "post-checkout", "reference-transaction", "post-index-change"):
        script = hook.with_name(name)
        script.write_text(f"#!/bin/sh\ntouch {shlex.quote(str(git_house.tmp / 'ran'))}\n")
        script.chmod(0o755)
    head = done(git_house, "t1", {"n": "n"})
    (git_house.tmp / "ran").unlink(missing_ok=True)
    assert accept(git_house, "t1", head).where == "checkout"
    assert not (git_house.tmp / "ran").exists()


def test_bare_repository_of_the_user(tmp_path, gitrepo):
    user = gitrepo.make(tmp_path / "user", {"a": "a"})
    bare = tmp_path / "bare.git"
    user.git("clone", "--quiet", "--bare", str(user.path), str(bare))
    hub = Hub.open(tmp_path / "octo", bare)
    base = hub.sync_base("main")
    head = hub.git.text("commit-tree", "-p", base, "-m", "work", f"{base}^{{tree}}")
    got = integrate(hub, "t1", "T", head, "main", approved_by="u", attempt=1, check=lambda tree, commit: None)
    assert got.where == "ref"
    assert user.git("--git-dir", str(bare), "rev-parse", "main") == got.merge_sha


def test_parallel_acceptances_all_go_in_once(git_house):
    """L5: none is lost, none is merged twice."""
    heads = {f"t{n}": done(git_house, f"t{n}", {f"{n}.txt": "x"}) for n in range(5)}
    failures = []

    def run(task: str) -> None:
        try:
            accept(git_house, task, heads[task])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in heads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [len(merges_of(git_house, task)) for task in heads] == [1] * 5
    assert git_house.user.git("status", "--porcelain") == ""


class Crash(BaseException):
    """The process dies here."""


def quick_work(hub: Hub, base: str, name: str) -> str:
    """A commit on `base` that adds one file, made without a workspace."""
    blob = hub.git.run("hash-object", "-w", "--stdin", input=name.encode()).text
    rows = hub.git.run("ls-tree", base).text + f"\n100644 blob {blob}\t{name}\n"
    tree = hub.git.run("mktree", input=rows.encode()).text
    return hub.git.text("commit-tree", "-p", base, "-m", f"work on {name}", tree)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "checked_out"), [("merge", True), ("merge", False), ("squash", True), ("rebase", True)]
)
def test_crash_at_every_git_command_then_again(git_house, monkeypatch, strategy, checked_out):
    """F1: after a crash before any git command, a second call ends with exactly one merge, delivered."""
    if not checked_out:
        git_house.user.git("checkout", "--quiet", "-b", "elsewhere")
    start = git_house.hub.sync_base("main")
    run = Git.run
    point, crashed = 0, True
    while crashed:
        point += 1
        task = f"t{point}"
        head = quick_work(git_house.hub, start, task)
        calls = iter(range(1, 1000))

        def crashing(self, *args, calls=calls, point=point, **options):
            if next(calls) == point:
                raise Crash
            return run(self, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Git, "run", crashing)
            try:
                accept(git_house, task, head, strategy=strategy)
                crashed = False
            except Crash:
                pass
        got = accept(git_house, task, head, strategy=strategy)
        assert merges_of(git_house, task) == [got.merge_sha], point
        assert got.where == ("checkout" if checked_out else "ref"), got.note
        assert git_house.user.git("status", "--porcelain") == "", point
    assert point > 20
    assert not list(git_house.user.path.rglob("*.lock"))
