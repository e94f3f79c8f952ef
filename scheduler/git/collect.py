"""Collecting an agent's work: its commits, and what it did not commit, into a ref of the hub."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from scheduler.git import facts, foreign
from scheduler.git.hub import Hub
from scheduler.git.names import attempt_ref, work_ref
from scheduler.git.snapshot import snapshot
from scheduler.git.workspace import Identity, Workspace, verify

INCOMING = "refs/octopoid/incoming/"
MAX_WARNINGS = 50
MAX_LINKS = 200


@dataclass(frozen=True, slots=True)
class Collected:
    """The work of one attempt, as facts relative to the commit the task builds on.

    `extra_commit` is the commit made of uncommitted and untracked files; it is the head when there were
    any. `history_rewritten` says that the head does not contain the base any more.
    """

    head_sha: str
    base_sha: str
    commits: int
    files_changed: int
    added: int
    removed: int
    had_uncommitted: bool
    extra_commit: str | None
    history_rewritten: bool
    warnings: tuple[str, ...]


def collect(hub: Hub, workspace: Workspace) -> Collected:
    """Take over everything an agent left, from outside. The same state collected twice is the same head.

    Raises:
        WorkspaceGone: the directory does not exist.
        WorkspaceRefused: it is not the one we made, or its repository is broken.
    """
    verify(workspace)
    with hub.lock.held(f"collect {workspace.name}"):
        repo = foreign.read(workspace.path)
        tip, warnings = workspace_tip(workspace, repo)
        incoming = f"{INCOMING}{workspace.name}/tip"
        foreign.take_over(hub, repo, [(tip, incoming)])
        shot = snapshot(hub, workspace.path, tip)
        extra = _extra_commit(hub, workspace, repo, tip, shot.tree)
        head = extra or tip
        hub.update_refs(
            [
                (attempt_ref(workspace.task_id, workspace.attempt), head, ""),
                (work_ref(workspace.task_id), head, ""),
                (incoming, "0" * len(head), ""),
            ],
            f"collect {workspace.name}",
        )
    warnings += shot.warnings
    return _facts(hub, workspace, head, extra, warnings)


def commit_tree(
    hub: Hub,
    tree: str,
    parents: tuple[str, ...],
    message: str,
    who: Identity,
    env: dict[str, str] | None = None,
) -> str:
    """Write a commit, by `who` unless `env` names another author."""
    author = {"GIT_AUTHOR_NAME": who.name, "GIT_AUTHOR_EMAIL": who.email}
    made = hub.git.with_env(**(author | (env or {}))).run(
        "commit-tree", tree, *(part for parent in parents for part in ("-p", parent)),
        input=message.encode("utf-8", "surrogateescape"),
    )  # fmt: skip
    return made.text.strip()


def workspace_tip(workspace: Workspace, repo: foreign.ForeignRepo) -> tuple[str, list[str]]:
    """The commit an agent had checked out at the end, and what is odd about it."""
    own = f"refs/heads/{workspace.branch}"
    left = repo.refs.get(own)
    if repo.head is None:
        return left or workspace.start_sha, ["HEAD points to no commit; the task's branch was taken"]
    if repo.head_ref == own:
        return repo.head, []
    where = f"on branch {repo.head_ref[11:]}" if repo.head_ref else "on no branch"
    warnings = [f"the agent ended {where}, not on {workspace.branch}; what it had checked out was taken"]
    if left not in (None, repo.head, workspace.start_sha):
        warnings.append(f"{workspace.branch} points to another commit ({left}); it is kept by a rescue only")
    return repo.head, warnings


def _extra_commit(
    hub: Hub, workspace: Workspace, repo: foreign.ForeignRepo, tip: str, tree: str
) -> str | None:
    merged = repo.merge_head if repo.merge_head and hub.sha(repo.merge_head) else None
    if tree == hub.git.text("rev-parse", f"{tip}^{{tree}}") and merged is None:
        return None
    parents = (tip, merged) if merged and not facts.is_ancestor(hub, merged, tip) else (tip,)
    before = hub.sha(attempt_ref(workspace.task_id, workspace.attempt))
    if before and hub.git.text("show", "-s", "--format=%T %P", before) == " ".join((tree, *parents)):
        return before
    message = f"Uncommitted work of {workspace.task_id} attempt {workspace.attempt}\n"
    return commit_tree(hub, tree, parents, message, workspace.identity)


def _facts(hub: Hub, workspace: Workspace, head: str, extra: str | None, warnings: list[str]) -> Collected:
    base = workspace.base_sha
    stat = facts.diff_stat(hub, base, head)
    warnings = [*warnings, *_suspicious(hub, base, head)]
    if len(warnings) > MAX_WARNINGS:
        warnings[MAX_WARNINGS:] = [f"and {len(warnings) - MAX_WARNINGS} more warnings"]
    return Collected(
        head_sha=head,
        base_sha=base,
        commits=facts.count_commits(hub, base, head),
        files_changed=stat.files,
        added=stat.added,
        removed=stat.removed,
        had_uncommitted=extra is not None,
        extra_commit=extra,
        history_rewritten=not facts.is_ancestor(hub, base, head),
        warnings=tuple(warnings),
    )


def _suspicious(hub: Hub, base: str, head: str) -> list[str]:
    notes = []
    links = 0
    for mode, sha, path in facts.entries(hub, base, head):
        if mode == "160000":
            notes.append(f"{path} is a new or moved submodule")
        elif mode == "120000":
            links += 1
            if links > MAX_LINKS:
                return [*notes, f"more than {MAX_LINKS} links changed; the rest were not looked at"]
            target = facts.blob(hub, sha, 4096).decode("utf-8", "surrogateescape")
            whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if target.startswith("/") or whole == ".." or whole.startswith("../"):
                notes.append(f"{path} is a link out of the repository, to {target}")
    return notes
