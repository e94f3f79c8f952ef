"""Workspaces: disposable clones that share the hub's objects, one per attempt, never reused.

What makes a directory ours is a marker beside it, out of the agent's reach, that knows its inode.
Removal is a rename into a bin, from which it can be restored until it is purged.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from scheduler.git.errors import GitError, WorkspaceGone, WorkspaceRefused
from scheduler.git.hub import FETCH_TIMEOUT_S, Hub
from scheduler.git.names import check_sha, work_branch, work_ref
from scheduler.git.run import BOT_EMAIL, BOT_NAME, Git

MARKERS = ".markers"
MAKING = ".making"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who commits: a name and an address."""

    name: str = BOT_NAME
    email: str = BOT_EMAIL

    def clean(self) -> Identity:
        """The same without characters that git refuses or that could break a line."""
        name, email = (
            "".join(c for c in text if c.isprintable() and c not in "<>").strip()[:200]
            for text in (self.name, self.email)
        )
        return Identity(name or BOT_NAME, email or BOT_EMAIL)


@dataclass(frozen=True, slots=True)
class Workspace:
    """An agent's directory: where it is, whose it is, and what it started from.

    `base_sha` is the commit the task builds on; `start_sha` what was checked out, which is further on
    when an earlier attempt left commits.
    """

    path: Path
    task_id: str
    attempt: int
    branch: str
    base_sha: str
    start_sha: str
    identity: Identity

    @property
    def name(self) -> str:
        """Name of the directory, its marker and its place in the bin."""
        return self.path.name


def create(
    hub: Hub,
    worktrees_root: Path,
    task_id: str,
    attempt: int,
    start_sha: str,
    identity: Identity,
    base_sha: str | None = None,
) -> Workspace:
    """Make the workspace of one attempt at `start_sha`. A failure leaves nothing behind.

    Raises:
        WorkspaceRefused: the attempt already has, or had, a workspace.
    """
    branch, who = work_branch(task_id), identity.clean()
    root = worktrees_root.resolve()
    workspace = Workspace(
        root / f"{task_id}-{attempt}", task_id, attempt, branch,
        check_sha(base_sha or start_sha), check_sha(start_sha), who,
    )  # fmt: skip
    with hub.lock.held(f"create workspace {workspace.name}"):
        if workspace.path.exists() or workspace.path.is_symlink() or marker_of(workspace).exists():
            raise WorkspaceRefused(
                f"{workspace.path} already exists",
                "a workspace is never reused: remove it, or start the next attempt",
            )
        hub.update_refs([(work_ref(task_id), start_sha, "")], f"start {workspace.name}")
        with _making(root, workspace.name) as new:
            _clone(hub, new, branch, who)
            _write_marker(workspace, new)
            new.rename(workspace.path)
    return workspace


@contextmanager
def checkout(hub: Hub, worktrees_root: Path, commit: str) -> Iterator[Path]:
    """A fresh checkout of any commit of the hub, for running checks in; gone after the block."""
    name = f"check-{secrets.token_hex(6)}"
    ref = work_ref(name)
    with _making(worktrees_root.resolve(), name) as new:
        with hub.lock.held(f"check out {commit[:12]}"):
            hub.update_refs([(ref, check_sha(commit), None)], "check out a candidate")
            try:
                _clone(hub, new, work_branch(name), Identity())
            finally:
                hub.git.run("update-ref", "-d", ref)
        yield new


def load(worktrees_root: Path, task_id: str, attempt: int) -> Workspace:
    """The workspace of an attempt, from its marker.

    Raises:
        WorkspaceGone: there is no marker of it.
    """
    work_branch(task_id)
    marker = worktrees_root.resolve() / MARKERS / f"{task_id}-{attempt}.json"
    try:
        note = json.loads(marker.read_bytes())
    except FileNotFoundError:
        raise WorkspaceGone(
            f"attempt {attempt} of {task_id} has no workspace", "start a new attempt"
        ) from None
    who = Identity(**note["identity"])
    return Workspace(
        worktrees_root.resolve() / f"{task_id}-{attempt}", task_id, attempt, note["branch"],
        note["base_sha"], note["start_sha"], who,
    )  # fmt: skip


def verify(workspace: Workspace) -> None:
    """Make sure that the directory is the one we made.

    Raises:
        WorkspaceGone: it does not exist.
        WorkspaceRefused: it is something else by now.
    """
    if workspace.path.is_symlink():
        raise WorkspaceRefused(f"{workspace.path} is a link now", "look at it by hand; nothing was touched")
    try:
        found = workspace.path.lstat()
    except FileNotFoundError:
        raise WorkspaceGone(f"workspace {workspace.path} does not exist", "start a new attempt") from None
    try:
        note = json.loads(marker_of(workspace).read_bytes())
    except (FileNotFoundError, ValueError) as error:
        raise WorkspaceRefused(
            f"{workspace.path} has no marker, so it may not be ours",
            "look at it by hand; nothing was touched",
        ) from error
    if (note["device"], note["inode"]) != (found.st_dev, found.st_ino):
        raise WorkspaceRefused(
            f"{workspace.path} is another directory than the one made for the task",
            "look at it by hand; nothing was touched",
        )


def discard(workspace: Workspace, hub: Hub) -> None:
    """Delete a workspace that no agent has had yet."""
    with hub.lock.held(f"discard {workspace.name}"):
        verify(workspace)
        delete_tree(workspace.path)
        marker_of(workspace).unlink()


def sweep(hub: Hub, worktrees_root: Path) -> list[str]:
    """Remove what a crash left of half-made workspaces; returns their names. For the start of a scheduler."""
    root, gone = worktrees_root.resolve(), []
    with hub.lock.held("sweep half-made workspaces"):
        making = root / MAKING
        for path in making.iterdir() if making.is_dir() else ():
            delete_tree(path)
            gone.append(path.name)
        for marker in (root / MARKERS).glob("*.json"):
            if not (root / marker.stem).exists():
                marker.unlink()
    return gone


@contextmanager
def _making(root: Path, name: str) -> Iterator[Path]:
    making = root / MAKING
    for folder in (root, root / MARKERS, making):
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    new = making / f"{name}-{secrets.token_hex(4)}"
    try:
        yield new
    except BaseException:
        (root / MARKERS / f"{name}.json").unlink(missing_ok=True)
        raise
    finally:
        delete_tree(new)


def _clone(hub: Hub, dest: Path, branch: str, who: Identity) -> None:
    Git(None).run(
        "clone", "--quiet", "--shared", "--no-tags", "--single-branch", "--template=", f"--branch={branch}",
        "-c", f"user.name={who.name}", "-c", f"user.email={who.email}", "-c", "gc.auto=0",
        "--", str(hub.path), str(dest),
        timeout=FETCH_TIMEOUT_S,
    )  # fmt: skip
    # Ours until the agent gets it. Without a remote, nothing invites it to push or pull.
    own = Git(dest / ".git")
    own.run("remote", "remove", "origin")


def marker_of(workspace: Workspace) -> Path:
    """Where a workspace's marker lies."""
    return workspace.path.parent / MARKERS / f"{workspace.name}.json"


def _write_marker(workspace: Workspace, made: Path) -> None:
    stat = made.lstat()
    note = {
        "nonce": secrets.token_hex(16),
        "device": stat.st_dev,
        "inode": stat.st_ino,
        "branch": workspace.branch,
        "base_sha": workspace.base_sha,
        "start_sha": workspace.start_sha,
        "identity": asdict(workspace.identity),
    }
    marker = marker_of(workspace)
    partial = marker.with_suffix(".new")
    partial.write_text(json.dumps(note))
    os.replace(partial, marker)


def delete_tree(path: Path) -> None:
    """Delete a tree without following links; directories an agent made unreadable are opened first."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    os.chmod(path, 0o700)
    for folder, names, _ in os.walk(path):
        for name in names:
            if not os.path.islink(inner := os.path.join(folder, name)):
                os.chmod(inner, 0o700)
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise GitError(f"cannot delete {path} ({error})", "delete it by hand") from error
