"""What agents have no business with: the user's repository and checkout, and the branches of the hub.

Looked at before and after runs. Nothing is ever put back: a person may have made the change.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from scheduler.git.hub import Hub
from scheduler.git.names import FOLLOWED, MERGED, RESERVED, UPSTREAM
from scheduler.git.run import BOT_EMAIL, BOT_NAME, Git

PATHS_LIMIT = 5000
"""Changed paths of a checkout that are compared; more is no state that anybody could be told about."""

STATUS = (
    "status",
    "--porcelain=v1",
    "-z",
    "--no-renames",
    "--untracked-files=normal",
    "--ignore-submodules=all",
)
STATUS_TIMEOUT_S = 30.0
SETTINGS = ("config", "config.worktree", "info/attributes", "info/exclude")
"""Files of a repository that decide what git does there."""

KEPT = ("refs/heads/", UPSTREAM, FOLLOWED, MERGED)
"""Refs of the hub that nothing of ours deletes; a task's own branch is none of them."""

_OURS = f" {BOT_NAME} <{BOT_EMAIL}> ".encode()


class Outside(msgspec.Struct, frozen=True):
    """One look. Each part says by name what a thing is like; what it is like is only compared."""

    settings: dict[str, str]
    """Configuration and hooks of the user's repository."""
    refs: dict[str, str]
    """HEAD, branches and tags of the user's repository; none where only the settings were looked at."""
    files: dict[str, str]
    """What differs from HEAD in the user's checkout."""
    hub: dict[str, str]
    """All refs of the hub."""


def look(hub: Hub, ours: Path | None, before: Outside | None = None) -> Outside:
    """The state of now. Where the settings differ from `before`, git is not asked for the checkout's files:
    it could be made to run a program by that.

    Args:
        ours: the folder of ours in the checkout, whose files do not count; None: not to look at checkout and
            branches at all.

    Raises:
        GitError: the repository cannot be looked at.
    """
    user = Git.user(hub.source)
    assert user.git_dir is not None
    common = Path(user.text("rev-parse", "--path-format=absolute", "--git-common-dir"))
    with hub.lock.held("look at the repository"):
        settings = _settings(common)
        if ours is None:
            return Outside(settings, {}, {}, _refs(hub.git))
        known = before.files if before is not None and settings != before.settings else None
        files = _files(user, ours.resolve()) if known is None else known
        refs = {"HEAD": _content(user.git_dir / "HEAD"), **_refs(user, "refs/heads", "refs/tags")}
        return Outside(settings, refs, files, _refs(hub.git))


def changed(before: Outside, after: Outside, hub: Hub) -> tuple[str, ...]:
    """What has changed between two looks and was not done by a git of ours, in words. Blocking, brief."""
    common = Path(Git.user(hub.source).text("rev-parse", "--path-format=absolute", "--git-common-dir"))
    both = bool(before.refs and after.refs)
    refs = _differing(before.refs, after.refs) if both else []
    refs = [name for name in refs if not _is_ours(common, name, after.refs)]
    kept = [
        name
        for name in _differing(before.hub, after.hub)
        if (_is_kept(name) if name not in after.hub else not _is_ours(hub.path, name, after.hub))
    ]
    found = [f".git/{name}" for name in _differing(before.settings, after.settings)]
    found += [name.removeprefix("refs/heads/") for name in refs]
    found += _differing(before.files, after.files) if both else []
    return (*found, *(f"{name} in {hub.path}" for name in kept))


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _is_kept(name: str) -> bool:
    return name.startswith(KEPT) and not name.startswith(f"refs/heads/{RESERVED}/")


def _is_ours(git_dir: Path, name: str, refs: Mapping[str, str]) -> bool:
    """Whether a ref got its value by a git of ours, as the log of that ref tells."""
    try:
        last = (git_dir / "logs" / name).read_bytes().splitlines()[-1]
    except (OSError, IndexError):
        return False
    return _OURS in last and last.split(b" ")[1].decode("ascii", "replace") == refs.get(name)


def _refs(git: Git, *patterns: str) -> dict[str, str]:
    rows = git.text("for-each-ref", "--format=%(objectname) %(refname)", *patterns).splitlines()
    return {name: sha for sha, _, name in (row.partition(" ") for row in rows)}


def _settings(git_dir: Path) -> dict[str, str]:
    found = {name: _content(git_dir / name) for name in SETTINGS if (git_dir / name).exists()}
    hooks = git_dir / "hooks"
    for hook in sorted(hooks.iterdir()) if hooks.is_dir() else []:
        if not hook.name.endswith(".sample"):
            found[f"hooks/{hook.name}"] = _stamp(hook)
    return found


def _files(user: Git, ignored: Path) -> dict[str, str]:
    if user.work_tree is None:
        return {}
    rows = user.run(*STATUS, timeout=STATUS_TIMEOUT_S).fields[:PATHS_LIMIT]
    paths = [(row[:2], row[3:]) for row in rows]
    top = user.work_tree
    return {path: f"{code} {_stamp(top / path)}" for code, path in paths if not _within(top / path, ignored)}


def _within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return type(error).__name__


def _stamp(path: Path) -> str:
    try:
        found = os.lstat(path)
    except OSError as error:
        return type(error).__name__
    return f"{found.st_mode:o} {found.st_size} {found.st_mtime_ns}"
