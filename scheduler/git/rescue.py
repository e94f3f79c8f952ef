"""Rescue: everything in a workspace is put under refs of the hub before anything destructive happens."""

from __future__ import annotations

from dataclasses import dataclass

from backend.ids import check_id
from scheduler.git import foreign
from scheduler.git.collect import INCOMING, commit_tree, workspace_tip
from scheduler.git.delivery import fetch_into
from scheduler.git.errors import BadName, GitError, WorkspaceRefused
from scheduler.git.hub import Hub
from scheduler.git.names import RESCUE, RESCUE_MORE, attempt_ref, branch_ref, rescue_more_ref, rescue_ref
from scheduler.git.run import Git
from scheduler.git.snapshot import snapshot
from scheduler.git.workspace import Workspace, verify

MAX_MORE = 100


@dataclass(frozen=True, slots=True)
class Rescue:
    """A saved state: the ref and its commit, whose tree holds the uncommitted and untracked files too.

    `more` are refs of commits that the workspace's HEAD does not contain: other branches, stashes, and
    what was reset away. `warnings` says what could not be saved as commits.
    """

    ref: str
    sha: str
    more: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rescued:
    """A saved state in a list; `at` is seconds since the epoch."""

    ref: str
    sha: str
    task_id: str
    attempt: int
    n: int
    at: int
    subject: str


def rescue(hub: Hub, workspace: Workspace, reason: str) -> Rescue:
    """Save commits, uncommitted and untracked files. A state that is saved already is not saved again.

    A workspace whose repository is broken is saved as files, on top of what was last collected.

    Raises:
        WorkspaceGone: the directory does not exist.
        WorkspaceRefused: it is not the one we made.
    """
    verify(workspace)
    with hub.lock.held(f"rescue {workspace.name}"):
        try:
            return _rescue(hub, workspace, reason)
        finally:
            _drop_incoming(hub, workspace)


def list_rescues(hub: Hub, task_id: str | None = None) -> list[Rescued]:
    """All saved states, or those of one task, oldest first."""
    under = f"{RESCUE}{check_id(task_id, 'task id')}/" if task_id else RESCUE
    rows = hub.git.text(
        "for-each-ref", "--format=%(refname)%00%(objectname)%00%(committerdate:unix)%00%(subject)", under
    )
    found = []
    for row in rows.splitlines():
        ref, sha, at, subject = row.split("\0")
        task, attempt, n = ref.removeprefix(RESCUE).split("/")
        found.append(Rescued(ref, sha, task, int(attempt), int(n), int(at or 0), subject))
    return sorted(found, key=lambda entry: (entry.task_id, entry.attempt, entry.n))


def restore_to_branch(hub: Hub, rescued_ref: str, branch: str) -> str:
    """Make a new branch in the user's repository at a saved state, and return its commit.

    Raises:
        BadName: the ref is no rescue ref, or the branch exists.
    """
    sha = hub.sha(rescued_ref) if rescued_ref.startswith("refs/octopoid/rescue") else None
    if sha is None:
        raise BadName(f"{rescued_ref[:120]!r} is no saved state", "take one from the list of rescues")
    ref, user = branch_ref(branch), Git.user(hub.source)
    with hub.lock.held(f"restore {rescued_ref}"):
        if user.says("show-ref", "--verify", "--quiet", ref):
            raise BadName(f"branch {branch!r} exists in {hub.source}", "give a name that is free")
        fetch_into(user, hub, rescued_ref)
        user.run("update-ref", "-m", f"octopoid: restore {rescued_ref}", ref, sha, "0" * len(sha))
    return sha


def _rescue(hub: Hub, workspace: Workspace, reason: str) -> Rescue:
    tip, others, warnings = _commits(hub, workspace)
    shot = snapshot(hub, workspace.path, tip, with_nested=True)
    last = _last(hub, workspace)
    sha = tip if shot.tree == hub.git.text("rev-parse", f"{tip}^{{tree}}") else ""
    if last and not others and _same(hub, last.sha, sha, shot.tree, tip):
        return Rescue(last.ref, last.sha, (), (*warnings, *shot.warnings))
    if not sha:
        line = " ".join(reason.split())[:200]
        message = f"Rescue of {workspace.task_id} attempt {workspace.attempt}: {line}\n"
        sha = commit_tree(hub, shot.tree, (tip,), message, workspace.identity)
    n = last.n + 1 if last else 1
    ref = rescue_ref(workspace.task_id, workspace.attempt, n)
    more = [
        (rescue_more_ref(workspace.task_id, workspace.attempt, n, index), other)
        for index, other in enumerate(others)
    ]
    changes: list[tuple[str, str, str | None]] = [(ref, sha, None)]
    if not hub.update_refs(changes + [(name, other, None) for name, other in more], f"rescue {reason}"):
        raise GitError(f"{ref} exists already", "rescue again")
    return Rescue(ref, sha, tuple(name for name, _ in more), (*warnings, *shot.warnings))


def _commits(hub: Hub, workspace: Workspace) -> tuple[str, list[str], list[str]]:
    """The commit that was checked out, and further ones nothing else keeps; all are in the hub after."""
    try:
        repo = foreign.read(workspace.path)
        tip, warnings = workspace_tip(workspace, repo)
        wanted = dict.fromkeys([tip, *repo.refs.values(), *repo.logged])
        names = [(sha, f"{INCOMING}{workspace.name}/{index}") for index, sha in enumerate(wanted)]
        foreign.take_over(hub, repo, names[:1])
        foreign.take_over_known(hub, repo, names[1:])
    except WorkspaceRefused as refused:
        collected = hub.sha(attempt_ref(workspace.task_id, workspace.attempt))
        return collected or workspace.start_sha, [], [refused.problem]
    others = _not_kept(hub, tip, workspace)
    return tip, others, warnings


def _not_kept(hub: Hub, tip: str, workspace: Workspace) -> list[str]:
    """Of the commits just taken over, those that neither HEAD nor another rescue contains."""
    prefix = f"{INCOMING}{workspace.name}/"
    rows = hub.git.text("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    taken = [(ref, sha) for ref, sha in (row.split(" ") for row in rows)]
    tips = sorted({sha for _, sha in taken})
    kept_already = (tip, workspace.start_sha, f"--glob={RESCUE}*", f"--glob={RESCUE_MORE}*")
    fresh = set(hub.git.text("rev-list", *tips, "--not", *kept_already).split())
    lost = [sha for sha in tips if sha in fresh]
    kept = hub.git.text("merge-base", "--independent", *lost).split() if lost else []
    return kept[:MAX_MORE]


def _drop_incoming(hub: Hub, workspace: Workspace) -> None:
    listed = hub.git.text("for-each-ref", "--format=delete %(refname)", f"{INCOMING}{workspace.name}/")
    if listed:
        hub.git.run("update-ref", "--stdin", input=f"{listed}\n".encode())


def _same(hub: Hub, last: str, sha: str, tree: str, tip: str) -> bool:
    return last == sha or hub.git.text("show", "-s", "--format=%T %P", last) == f"{tree} {tip}"


def _last(hub: Hub, workspace: Workspace) -> Rescued | None:
    mine = [entry for entry in list_rescues(hub, workspace.task_id) if entry.attempt == workspace.attempt]
    return mine[-1] if mine else None
