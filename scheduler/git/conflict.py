"""Resolving a conflict: a workspace in which the merge of the target is in progress, and its way back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scheduler.git import facts
from scheduler.git.collect import Collected
from scheduler.git.errors import GitError, UnresolvedConflict
from scheduler.git.hub import Hub
from scheduler.git.merge_tree import merge_tree
from scheduler.git.names import attempt_ref, check_sha, work_ref
from scheduler.git.replay import commit_on
from scheduler.git.run import Git
from scheduler.git.workspace import Identity, Workspace, create, discard


@dataclass(frozen=True, slots=True)
class Conflict:
    """A workspace at the task's head with the target's merge begun, and the paths to resolve."""

    workspace: Workspace
    target_sha: str
    paths: tuple[str, ...]


def prepare_conflict(
    hub: Hub,
    worktrees_root: Path,
    task_id: str,
    attempt: int,
    head_sha: str,
    target_sha: str,
    identity: Identity,
    base_sha: str | None = None,
) -> Conflict:
    """Make a workspace in which an agent resolves a conflict by editing, and commits or does not.

    The merge is begun by our git, under our configuration, before the agent gets the directory.
    """
    paths = merge_tree(hub, head_sha, target_sha).conflicts
    workspace = create(
        hub, worktrees_root, task_id, attempt, head_sha, identity, base_sha=base_sha or head_sha
    )
    try:
        git = Git(workspace.path / ".git", workspace.path)
        git.run("merge", "--no-commit", "--no-ff", "--quiet", check_sha(target_sha), ok_codes=(0, 1))
    except GitError:
        discard(workspace, hub)
        raise
    return Conflict(workspace, target_sha, paths)


def finish_conflict(hub: Hub, conflict: Conflict, collected: Collected) -> str:
    """Make one clean merge commit of what the agent left, and return it as the task's new head.

    Its parents are the task's head and the target, whatever commits the agent made in between.

    Raises:
        UnresolvedConflict: markers are left, or the target is not in the result (the merge was given up).
    """
    workspace, target = conflict.workspace, conflict.target_sha
    head = collected.head_sha
    for wanted, what in ((target, "the target"), (workspace.start_sha, "the task's own work")):
        if not facts.is_ancestor(hub, wanted, head):
            raise UnresolvedConflict(
                f"the resolution of {workspace.task_id} does not contain {what} ({wanted[:12]})",
                "the merge was given up; have it resolved again",
            )
    left = facts.has_conflict_markers(hub, workspace.start_sha, head)
    if left:
        raise UnresolvedConflict(
            f"conflict markers are left in {', '.join(left[:5])}", "have the conflict resolved again"
        )
    tree = hub.git.text("rev-parse", f"{head}^{{tree}}")
    message = f"Resolve conflicts of {workspace.task_id} with its target\n"
    merged = commit_on(hub, tree, (workspace.start_sha, target), message, author_of=head)
    hub.update_refs(
        [
            (attempt_ref(workspace.task_id, workspace.attempt), merged, ""),
            (work_ref(workspace.task_id), merged, ""),
        ],
        f"resolve {workspace.name}",
    )
    return merged
