"""The files of a workspace as a tree in the hub, written with our own index and the hub's configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.git.errors import WorkspaceRefused
from scheduler.git.hub import Hub
from scheduler.git.run import Git

MAX_FILE_BYTES = 100 << 20
MAX_LEFT_OUT = 200
ADD_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tree, and what is worth saying about how it came about."""

    tree: str
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    nested: list[str] = field(default_factory=list)
    large: list[str] = field(default_factory=list)


def snapshot(hub: Hub, workspace: Path, head: str, *, with_nested: bool = False) -> Snapshot:
    """Write the workspace's files, ignored ones left out, as a tree.

    Directories that are repositories of their own never become submodules: what `head` tracks in them is
    taken, and the rest too when `with_nested` is set.

    Raises:
        WorkspaceRefused: there are too many nested repositories or huge files to leave out one by one.
    """
    found = _look(workspace)
    with hub.scratch() as scratch:
        git = Git(hub.path, workspace).with_env(GIT_INDEX_FILE=str(scratch / "index"))
        git.run("read-tree", head)
        links = _gitlinks(git)
        left_out = sorted({*found.nested, *found.large, *links})
        if len(left_out) > MAX_LEFT_OUT:
            raise WorkspaceRefused(
                f"{workspace} holds {len(left_out)} nested repositories and huge files",
                "remove or ignore them, then collect again",
            )
        said = _add(git, left_out)
        for path in (path for path in found.nested if path not in links):
            _take_nested(git, workspace, path, with_nested)
        tree = git.text("write-tree")
    notes = [f"{path} is a repository of its own; its untracked files are left out" for path in found.nested]
    if with_nested:
        notes = []
    notes += [f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB and left out" for path in found.large]
    return Snapshot(tree, (*notes, *said))


def _look(workspace: Path) -> _Found:
    found, stack = _Found(), [str(workspace)]
    while stack:
        folder = stack.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue  # git names it among what it could not add
        top = folder == str(workspace)
        if not top and any(entry.name == ".git" for entry in entries):
            found.nested.append(os.path.relpath(folder, workspace))
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != ".git":
                    stack.append(entry.path)
            elif entry.stat(follow_symlinks=False).st_size > MAX_FILE_BYTES:
                found.large.append(os.path.relpath(entry.path, workspace))
    return found


def _gitlinks(git: Git) -> set[str]:
    rows = git.run("ls-files", "--stage", "-z").fields
    return {row.split("\t", 1)[1] for row in rows if row.startswith("160000 ")}


def _add(git: Git, left_out: Sequence[str]) -> list[str]:
    # Submodules and nested repositories are kept out of `add`, which would run `git status` inside them,
    # under their own configuration.
    specs = [":(top)", *(f":(top,exclude,literal){path}" for path in left_out)]
    done = git.run(
        "add", "--all", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul",
        input=b"\0".join(os.fsencode(spec) for spec in specs), ok_codes=(0, 1), timeout=ADD_TIMEOUT_S,
    )  # fmt: skip
    refused = re.findall(r"^(?:error|fatal): (.*)$", done.stderr, re.MULTILINE)
    return [f"git could not add a file: {line[:200]}" for line in refused]


def _take_nested(git: Git, workspace: Path, nested: str, everything: bool) -> None:
    tracked = git.run("ls-files", "-z", "--", f":(top,literal){nested}").fields
    paths = dict.fromkeys([*tracked, *(_files(workspace, nested) if everything else ())])
    if paths:
        git.run(
            "update-index", "--add", "--remove", "--replace", "-z", "--stdin",
            input=b"\0".join(os.fsencode(path) for path in paths), timeout=ADD_TIMEOUT_S,
        )  # fmt: skip


def _files(workspace: Path, folder: str) -> Iterator[str]:
    for at, folders, files in os.walk(workspace / folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in (*files, *(name for name in folders if os.path.islink(os.path.join(at, name)))):
            path = os.path.join(at, name)
            if name != ".git" and (os.path.islink(path) or os.path.isfile(path)):
                yield os.path.relpath(path, workspace)
