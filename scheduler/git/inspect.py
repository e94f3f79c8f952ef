"""Looking at the user's repository, without changing a byte of it.

GitPython reads here what it reads by itself: refs, HEAD, remotes. It starts programs with the environment
it inherited, `GIT_*` variables included, and cannot be told to drop any; so whatever needs a git process
(the state of the files), and everything that writes, goes through `run`, whose environment is explicit.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from scheduler.git.run import Git


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote and its address, without user name and password."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class RepoFacts:
    """The user's repository: `current_branch` is None when HEAD is detached, `head_sha` when it is empty.

    `dirty` counts tracked files with changes, `untracked` files that are neither tracked nor ignored.
    """

    root: Path
    branches: tuple[str, ...]
    current_branch: str | None
    head_sha: str | None
    dirty: int
    untracked: int
    remotes: tuple[Remote, ...]
    is_bare: bool
    is_shallow: bool
    linked_worktrees: tuple[Path, ...]


def inspect(path: Path) -> RepoFacts:
    """Read the facts of the repository that `path` is in.

    Raises:
        NotARepository: there is none.
    """
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # no git is needed, so none is looked for
    import git  # here, since it takes a tenth of a second that most starts need not pay

    user = Git.user(path)
    assert user.git_dir is not None
    with git.Repo(user.git_dir) as repo:
        try:
            head: str | None = git.SymbolicReference.dereference_recursive(repo, "HEAD")
        except ValueError:
            head = None
        dirty, untracked = (0, 0) if user.work_tree is None else _count_changes(user)
        return RepoFacts(
            root=user.work_tree or user.git_dir,
            branches=tuple(sorted(branch.name for branch in repo.heads)),
            current_branch=None if repo.head.is_detached else repo.head.reference.name,
            head_sha=head,
            dirty=dirty,
            untracked=untracked,
            remotes=tuple(Remote(remote.name, _without_secrets(remote.url)) for remote in repo.remotes),
            is_bare=user.work_tree is None,
            is_shallow=(Path(repo.common_dir) / "shallow").is_file(),
            linked_worktrees=tuple(_linked(Path(repo.common_dir))),
        )


def _count_changes(user: Git) -> tuple[int, int]:
    rows = user.run("status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=all").fields
    untracked = sum(row.startswith("?? ") for row in rows)
    return len(rows) - untracked, untracked


def _linked(common_dir: Path) -> list[Path]:
    notes = sorted(common_dir.glob("worktrees/*/gitdir"))
    return [Path(note.read_text("utf-8", "surrogateescape").strip()).parent for note in notes]


def _without_secrets(url: str) -> str:
    return re.sub(r"^([a-z][a-z0-9+.-]*://)[^/@]*@", r"\1", url, flags=re.IGNORECASE)
