"""The user's checkouts: where a branch is checked out, and whether it may be moved forward there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from scheduler.git.errors import DirtyCheckout, GitError
from scheduler.git.run import Git

_IN_PROGRESS = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "BISECT_LOG": "a bisection",
}


@dataclass(frozen=True, slots=True)
class Checkout:
    """A working tree of the user's: its directory, git on it, and an operation it is in the middle of."""

    path: Path
    git: Git
    busy: str | None


def find_checkout(user: Git, ref: str) -> Checkout | None:
    """The working tree, main or linked, that has the branch checked out or is about to return to it.

    Raises:
        DirtyCheckout: git says there is one, but its directory is not there.
    """
    for path, head in _worktrees(user):
        if not path.is_dir():
            if head == ref:
                raise DirtyCheckout(
                    f"{ref} is checked out at {path}, which does not exist", "run `git worktree prune`"
                )
            continue
        git = Git.user(path)
        assert git.git_dir is not None
        busy = next((what for name, what in _IN_PROGRESS.items() if (git.git_dir / name).exists()), None)
        if head == ref or _returns_to(git.git_dir, ref):
            return Checkout(path, git, busy)
    return None


def _worktrees(user: Git) -> list[tuple[Path, str | None]]:
    found: list[tuple[Path, str | None]] = []
    path: Path | None = None
    bare = False
    head: str | None = None
    for field in [*user.run("worktree", "list", "--porcelain", "-z").fields, ""]:
        word, _, value = field.partition(" ")
        if word == "worktree":
            path, bare, head = Path(value), False, None
        elif word == "branch":
            head = value
        elif word == "bare":
            bare = True
        elif not field and path is not None:
            if not bare:
                found.append((path, head))
            path = None
    return found


def _returns_to(git_dir: Path, ref: str) -> bool:
    short = ref.removeprefix("refs/heads/")
    for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
        note = git_dir / name
        if note.is_file() and note.read_text("utf-8", "replace").strip() in (ref, short):
            return True
    return False


def fast_forward(checkout: Checkout, ref: str, old: str, new: str, reason: str) -> None:
    """Move the branch and the files of a clean checkout from `old` to `new`.

    Plumbing instead of `git merge`: it writes nothing but the files, the index and this one ref.

    Raises:
        DirtyCheckout: the checkout has changes that this could touch, or needs a filter we do not run.
    """
    git = checkout.git
    if checkout.busy:
        raise DirtyCheckout(f"{checkout.path} is in the middle of {checkout.busy}", "finish it first")
    moved = not _carries(git, new)
    if moved:
        _refuse_dirty(checkout, old, new)
        git.run("update-index", "--refresh", ok_codes=(0, 1))
        git.run("read-tree", "-m", "-u", old, new, timeout=600)
    try:
        git.run("update-ref", "-m", f"octopoid: {reason}", ref, new, old)
    except GitError:
        if moved:
            # Somebody moved or locked the branch in this instant: give the files back as they were.
            git.run("read-tree", "-m", "-u", new, old, timeout=600)
        raise


def _carries(git: Git, new: str) -> bool:
    """Whether index and files are at `new` already, as a crash before the ref was moved leaves them."""
    same = git.says("diff-index", "--cached", "--quiet", "--no-ext-diff", new, "--")
    return same and not git.run("diff-files", "--name-only", "-z").stdout


def _refuse_dirty(checkout: Checkout, old: str, new: str) -> None:
    git = checkout.git
    changed = git.run("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all").fields
    if changed:
        raise DirtyCheckout(f"{checkout.path} has changes of its own", "commit or stash them")
    rows = git.run("diff-tree", "-r", "-z", "--name-status", "--no-renames", old, new).fields
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    deleted = {path for kind, path in pairs if kind == "D"}
    for kind, path in pairs:
        if kind == "A" and (there := _in_the_way(checkout.path, path, deleted)):
            raise DirtyCheckout(
                f"{there} in {checkout.path} is not tracked and would be overwritten", "move it away"
            )
    _refuse_filters(checkout, [path for kind, path in pairs if kind != "D"])


def _in_the_way(top: Path, path: str, deleted: set[str]) -> str | None:
    """The file, ignored or not, that a new path would replace."""
    at, parts = "", path.split("/")
    for part in parts[:-1]:
        at = f"{at}/{part}" if at else part
        try:
            mode = os.lstat(top / at).st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(mode):
            return None if at in deleted else at
    return path if os.path.lexists(top / path) else None


def _refuse_filters(checkout: Checkout, paths: list[str]) -> None:
    """The user's own configuration is not read, so a filter set up there (Git LFS) would be skipped."""
    if not paths:
        return
    asked = b"\0".join(os.fsencode(path) for path in paths)
    told = checkout.git.run("check-attr", "-z", "--stdin", "filter", input=asked).fields
    for path, value in zip(told[::3], told[2::3], strict=True):
        if value not in ("unspecified", "unset", "set", "") and not checkout.git.says(
            "config", "--local", "--get", f"filter.{value}.smudge"
        ):
            raise DirtyCheckout(
                f"{path} needs the filter {value!r} of your own git configuration",
                "take it with your own git",
            )
