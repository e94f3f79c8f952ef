"""Collecting what agents leave: committed, uncommitted, odd and hostile."""

from __future__ import annotations

import os
import shutil

import pytest

from scheduler.git import facts
from scheduler.git.collect import collect
from scheduler.git.errors import WorkspaceRefused


def tree(house, commit: str) -> set[str]:
    return set(house.hub.git.run("ls-tree", "-r", "-z", "--name-only", commit).fields)


def test_commits_and_uncommitted_work_are_collected(git_house):
    """L-12, L-55: facts come from the commits, relative to the recorded base."""
    ws = git_house.work("t1")
    head = git_house.agent(ws).commit("feature", {"new.txt": "1\n2\n"})
    (ws.path / "README.md").write_text("one\n")
    (ws.path / "draft.txt").write_text("d\n")
    (ws.path / "noise.log").write_text("ignored")
    got = collect(git_house.hub, ws)
    assert (got.commits, got.files_changed, got.added, got.removed) == (2, 3, 3, 4)
    assert got.had_uncommitted
    assert got.extra_commit == got.head_sha
    assert not got.history_rewritten
    assert got.warnings == ()
    assert tree(git_house, got.head_sha) == {
        "README.md", "src/app.py", ".gitignore", "new.txt", "draft.txt",
    }  # fmt: skip
    subjects = [c.subject for c in facts.commits_between(git_house.hub, got.base_sha, got.head_sha)]
    assert subjects == ["Uncommitted work of t1 attempt 1", "feature"]
    assert git_house.hub.sha("refs/octopoid/attempts/t1/1") == got.head_sha
    assert git_house.agent(ws).head() == head, "the agent's own repository is not touched"


def test_collecting_twice_gives_the_same_head(git_house):
    """L-13: an approval is bound to a commit, so a repeated step must find that commit again."""
    ws = git_house.work("t1")
    (ws.path / "draft.txt").write_text("d\n")
    assert collect(git_house.hub, ws) == collect(git_house.hub, ws)


def test_clean_workspace_has_no_work(git_house):
    got = collect(git_house.hub, git_house.work("t1"))
    assert (got.commits, got.files_changed, got.had_uncommitted) == (0, 0, False)
    assert got.head_sha == got.base_sha


def test_detached_head_and_other_branch_are_taken_with_a_warning(git_house):
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    agent.git("checkout", "--quiet", "--detach")
    detached = agent.commit("loose", {"a": "a"})
    got = collect(git_house.hub, ws)
    assert got.head_sha == detached
    assert "on no branch" in got.warnings[0]
    agent.git("checkout", "--quiet", "octopoid/t1")
    left = agent.commit("left behind", {"b": "b"})
    agent.git("checkout", "--quiet", "-b", "mine", detached)
    got = collect(git_house.hub, ws)
    assert got.head_sha == detached
    assert "on branch mine" in got.warnings[0]
    assert left in got.warnings[1]


def test_rewritten_history_is_flagged(git_house):
    """F17: the base is not in the head any more."""
    git_house.user.commit("second", {"src/app.py": "2"})
    ws = git_house.work("t1")
    git_house.agent(ws).git("reset", "--quiet", "--soft", "HEAD~1")
    git_house.agent(ws).commit("rewritten", {"a": "a"})
    got = collect(git_house.hub, ws)
    assert got.history_rewritten
    assert git_house.hub.sha(got.head_sha)


def test_orphan_branch_without_commit_falls_back_to_the_tasks_branch(git_house):
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    made = agent.commit("made", {"a": "a"})
    agent.git("checkout", "--quiet", "--orphan", "void")
    got = collect(git_house.hub, ws)
    assert got.head_sha == made
    assert "no commit" in got.warnings[0]


def test_packed_and_repacked_workspace(git_house):
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    head = agent.commit("one", {"a": "a"})
    agent.git("pack-refs", "--all")
    agent.git("repack", "-adq")
    assert collect(git_house.hub, ws).head_sha == head


def test_nested_repository_never_becomes_a_submodule(git_house):
    ws = git_house.work("t1")
    inner = type(git_house.user).make(ws.path / "vendor/lib", {"lib.py": "lib"})
    (ws.path / "other.txt").write_text("o")
    git_house.agent(ws).git("init", "--quiet", "src")
    (ws.path / "src/app.py").write_text("changed")
    got = collect(git_house.hub, ws)
    assert tree(git_house, got.head_sha) == {"README.md", ".gitignore", "src/app.py", "other.txt"}
    assert git_house.hub.git.text("show", f"{got.head_sha}:src/app.py") == "changed"
    assert {warning.split(" ")[0] for warning in got.warnings} == {"vendor/lib", "src"}
    assert inner.git("status", "--porcelain") == ""


def test_committed_submodule_and_escaping_links_are_reported(git_house):
    """T17: what leaves the tree is named."""
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    type(git_house.user).make(ws.path / "sub", {"lib.py": "lib"})
    agent.git("add", "sub")
    (ws.path / "etc").symlink_to("/etc")
    (ws.path / "src/up").symlink_to("../../../secret")
    (ws.path / "src/fine").symlink_to("../README.md")
    agent.commit("links")
    notes = "\n".join(collect(git_house.hub, ws).warnings)
    assert "sub is a new or moved submodule" in notes
    assert "etc is a link out of the repository, to /etc" in notes
    assert "src/up is a link out" in notes
    assert "src/fine" not in notes


def test_odd_files(git_house):
    """B11: names that look like options, are no UTF-8 or hold newlines; things that are no files."""
    ws = git_house.work("t1")
    for name in (b"-rf", b"--output=x", b"new\nline", b"\xff\xfe", b":(top)x", b"a b"):
        with open(os.path.join(os.fsencode(ws.path), name), "w") as file:
            file.write("x")
    os.mkfifo(ws.path / "pipe")
    (ws.path / "README.md").unlink()
    os.mkfifo(ws.path / "README.md")
    got = collect(git_house.hub, ws)
    paths = facts.changed_paths(git_house.hub, got.base_sha, got.head_sha)
    assert {os.fsencode(path) for path in paths} >= {b"-rf", b"--output=x", b"new\nline", b"\xff\xfe", b"a b"}
    assert "pipe" not in paths


KEYS = [
    ("core.hooksPath", "HOOKS"),
    ("core.fsmonitor", "CANARY"),
    ("core.sshCommand", "CANARY"),
    ("core.pager", "CANARY"),
    ("core.editor", "CANARY"),
    ("core.alternateRefsCommand", "CANARY"),
    ("core.attributesFile", "ATTRIBUTES"),
    ("uploadpack.packObjectsHook", "CANARY"),
    ("diff.external", "CANARY"),
    ("diff.evil.textconv", "CANARY"),
    ("diff.evil.command", "CANARY"),
    ("filter.evil.clean", "CANARY"),
    ("filter.evil.smudge", "CANARY"),
    ("filter.evil.process", "CANARY"),
    ("merge.evil.driver", "CANARY"),
    ("gpg.program", "CANARY"),
    ("commit.gpgSign", "true"),
    ("credential.helper", "!CANARY"),
    ("remote.origin.uploadpack", "CANARY"),
    ("remote.origin.promisor", "true"),
    ("remote.origin.url", "ext::CANARY"),
    ("extensions.partialClone", "origin"),
    ("protocol.allow", "always"),
    ("protocol.ext.allow", "always"),
    ("alias.add", "!CANARY"),
    ("include.path", "INCLUDED"),
    ("receive.procReceiveRefs", "refs"),
    ("uploadpack.allowAnySHA1InWant", "true"),
]
HOOKS = (
    "applypatch-msg", "pre-commit", "post-commit", "post-checkout", "post-merge", "pre-push", "pre-receive",
    "update", "post-update", "post-receive", "reference-transaction", "push-to-checkout", "pre-auto-gc",
    "post-rewrite", "fsmonitor-watchman", "post-index-change", "pre-rebase", "prepare-commit-msg",
)  # fmt: skip


@pytest.fixture
def poisoned(git_house):
    """A workspace whose repository would run a canary from every place git takes programs from."""
    ws = git_house.work("evil")
    agent = git_house.agent(ws)
    agent.commit("work", {"work.txt": "w", ".gitattributes": "* filter=evil diff=evil merge=evil\n"})
    witness = git_house.tmp / "executed"
    canary = git_house.tmp / "canary"
    canary.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{witness}'\nexit 1\n")
    canary.chmod(0o755)
    hooks = git_house.tmp / "hooks"
    for folder in (hooks, ws.path / ".git/hooks"):
        folder.mkdir(exist_ok=True)
        for name in HOOKS:
            shutil.copy(canary, folder / name)
    (git_house.tmp / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
    (git_house.tmp / "included").write_text(f"[core]\n\tfsmonitor = {canary}\n")
    (ws.path / ".git/info").mkdir(exist_ok=True)
    (ws.path / ".git/info/attributes").write_text("* filter=evil diff=evil merge=evil\n")
    places = {
        "HOOKS": str(hooks),
        "ATTRIBUTES": str(git_house.tmp / "attributes"),
        "INCLUDED": str(git_house.tmp / "included"),
    }
    for key, value in KEYS:
        agent.git("config", key, places.get(value, value.replace("CANARY", str(canary))))
    nested = ws.path / "nested"
    shutil.copytree(ws.path / ".git", nested / ".git")
    (nested / "file").write_text("n")
    (ws.path / "uncommitted.txt").write_text("u")
    (ws.path / "work.txt").write_text("changed")
    return ws, witness


def test_canary_can_run_at_all(git_house, poisoned):
    """Without our care the trap works: git in the workspace runs the agent's program."""
    ws, witness = poisoned
    git_house.agent(ws).run("status", check=False)
    assert witness.exists()


def test_nothing_of_a_poisoned_workspace_is_executed(git_house, poisoned):
    """X1: 28 configuration keys, all hooks, attributes, a nested repository; the whole life of a task."""
    from scheduler.git import bin as git_bin
    from scheduler.git.merge import integrate
    from scheduler.git.overlap import trial_merge
    from scheduler.git.rescue import rescue

    ws, witness = poisoned
    hub = git_house.hub
    got = collect(hub, ws)
    assert hub.git.text("show", f"{got.head_sha}:work.txt") == "changed"
    assert facts.diff(hub, got.base_sha, got.head_sha).patch
    assert trial_merge(hub, got.base_sha, got.head_sha) == []
    rescue(hub, ws, "test")
    git_bin.remove(ws, hub)
    done = integrate(
        hub,
        "evil",
        "Evil",
        got.head_sha,
        "main",
        approved_by="una",
        attempt=1,
        check=lambda tree, commit: None,
    )
    assert done.where in ("checkout", "hub")
    git_house.work("next", start=done.merge_sha)
    assert not witness.exists(), witness.read_text()


def test_missing_objects_are_not_fetched_from_where_the_agent_says(git_house, poisoned):
    """T4: a promisor remote with an `ext::` address would be asked for a missing object."""
    ws, witness = poisoned
    agent = git_house.agent(ws)
    blob = agent.git("rev-parse", "HEAD:work.txt")
    (ws.path / f".git/objects/{blob[:2]}/{blob[2:]}").unlink()
    with pytest.raises(WorkspaceRefused) as caught:
        collect(git_house.hub, ws)
    assert not caught.value.systemic
    assert not witness.exists(), witness.read_text()


def test_replaced_git_directory_is_refused(git_house, poisoned):
    """T5, X2: `.git` as a file or link that leads elsewhere is not followed."""
    ws, witness = poisoned
    (ws.path / ".git").rename(git_house.tmp / "elsewhere.git")
    (ws.path / ".git").write_text(f"gitdir: {git_house.tmp / 'elsewhere.git'}\n")
    with pytest.raises(WorkspaceRefused, match="replaced"):
        collect(git_house.hub, ws)
    (ws.path / ".git").unlink()
    (ws.path / ".git").symlink_to(git_house.tmp / "elsewhere.git")
    with pytest.raises(WorkspaceRefused, match="replaced"):
        collect(git_house.hub, ws)
    (ws.path / ".git").unlink()
    with pytest.raises(WorkspaceRefused, match="gone"):
        collect(git_house.hub, ws)
    assert not witness.exists()


def test_objects_of_other_repositories_are_not_lent(git_house, tmp_path, gitrepo):
    """T20: the scheduler can read more than the agent; it must not read it for the agent."""
    private = gitrepo.make(tmp_path / "private", {"key": "secret"})
    ws = git_house.work("t1")
    alternates = ws.path / ".git/objects/info/alternates"
    honest = alternates.read_text()
    alternates.write_text(honest + f"{private.path}/.git/objects\n")
    (ws.path / ".git/refs/heads/octopoid/t1").write_text(private.head() + "\n")
    with pytest.raises(WorkspaceRefused, match="borrows"):
        collect(git_house.hub, ws)
    alternates.write_text(honest)
    with pytest.raises(WorkspaceRefused, match="missing"):
        collect(git_house.hub, ws)
    sha = private.head()
    folder = ws.path / ".git/objects" / sha[:2]
    folder.mkdir(exist_ok=True)
    (folder / sha[2:]).symlink_to(private.path / ".git/objects" / sha[:2] / sha[2:])
    with pytest.raises(WorkspaceRefused, match="link"):
        collect(git_house.hub, ws)
    assert git_house.hub.sha(sha) is None


@pytest.mark.parametrize(
    "head", ["ref: ../../../../etc/passwd", "ref: refs/../../x", "garbage", "", "\0" * 50]
)
def test_nonsense_in_head_is_survived(git_house, head):
    ws = git_house.work("t1")
    made = git_house.agent(ws).commit("made", {"a": "a"})
    (ws.path / ".git/HEAD").write_text(head)
    assert collect(git_house.hub, ws).head_sha == made


def test_fifo_as_head_does_not_hang(git_house):
    """B5: reading an agent's file never waits for the agent."""
    ws = git_house.work("t1")
    (ws.path / ".git/HEAD").unlink()
    os.mkfifo(ws.path / ".git/HEAD")
    assert collect(git_house.hub, ws).head_sha == ws.start_sha


def test_lying_commit_graph_is_not_believed(git_house):
    """A commit graph beside the agent's objects may name another tree than the commit does."""
    ws = git_house.work("t1")
    agent = git_house.agent(ws)
    head = agent.commit("one", {"a": "a"})
    agent.run("commit-graph", "write", "--reachable")
    graph = ws.path / ".git/objects/info/commit-graph"
    trees = [agent.git("rev-parse", f"{commit}^{{tree}}") for commit in ("HEAD", "HEAD~1")]
    true, false = (bytes.fromhex(sha) for sha in trees)
    honest = graph.read_bytes()
    assert true in honest
    graph.chmod(0o644)
    graph.write_bytes(honest.replace(true, false))
    assert collect(git_house.hub, ws).head_sha == head
    assert git_house.hub.git.text("show", f"{head}:a") == "a"


def test_users_repository_is_untouched_by_a_whole_run(git_house):
    """L-16, X4: checkout, index, configuration and refs are the same bytes."""
    before = git_house.user.fingerprint()
    ws = git_house.work("t1")
    git_house.agent(ws).commit("work", {"a": "a"})
    (ws.path / "b").write_text("b")
    collect(git_house.hub, ws)
    assert git_house.user.fingerprint() == before
