"""What lies in an agent's `.git`, read as plain files: no git runs with a configuration an agent wrote.

Objects are taken over through a repository of our own that only borrows the agent's object files, so that
`upload-pack` too runs with our configuration. Everything read is checked for its form.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.git.errors import DiskFull, GitError, GitTimeout, WorkspaceRefused
from scheduler.git.hub import FETCH, FETCH_TIMEOUT_S, Hub
from scheduler.git.run import Git

MAX_FILE = 8 << 20
MAX_REFS = 500
MAX_REFLOG = 200
_SHA = r"(?:[0-9a-f]{64}|[0-9a-f]{40})"
_REF = re.compile(r"ref: (refs/[^\0\n]+)")
# The borrowed object files are the agent's: derived data beside them (graphs, bitmaps) may lie.
_DISTRUST = "[core]\n\tcommitGraph = false\n\tmultiPackIndex = false\n[pack]\n\tuseBitmaps = false\n"


@dataclass(frozen=True, slots=True)
class ForeignRepo:
    """An agent's repository: its HEAD, its refs, a merge in progress, commits only its ref log knows."""

    git_dir: Path
    head: str | None
    head_ref: str | None
    refs: dict[str, str]
    merge_head: str | None
    logged: tuple[str, ...]


def read(workspace: Path) -> ForeignRepo:
    """Read the repository in a workspace.

    Raises:
        WorkspaceRefused: its `.git` is not a plain directory any more.
    """
    git_dir = workspace / ".git"
    try:
        mode = git_dir.lstat().st_mode
    except FileNotFoundError:
        raise _refused(workspace, "its .git is gone") from None
    if not stat.S_ISDIR(mode):
        raise _refused(workspace, "its .git was replaced by a file or a link")
    refs = _refs(git_dir)
    text = read_file(git_dir / "HEAD").decode("utf-8", "surrogateescape").strip()
    pointer = _REF.fullmatch(text)
    head_ref = pointer.group(1) if pointer else None
    head = refs.get(head_ref) if head_ref else _sha(text)
    merge_head = _sha(read_file(git_dir / "MERGE_HEAD").decode("ascii", "replace").strip())
    return ForeignRepo(git_dir, head, head_ref, refs, merge_head, _logged(git_dir))


def take_over(hub: Hub, repo: ForeignRepo, wanted: Sequence[tuple[str, str]]) -> None:
    """Bring commits of an agent's repository into the hub, as (commit, hub ref) pairs.

    Raises:
        WorkspaceRefused: the objects are missing, damaged, or borrowed from somewhere else.
    """
    missing = len(wanted) - take_over_known(hub, repo, wanted)
    if missing:
        raise _refused(repo.git_dir.parent, f"{missing} of its commits are missing or damaged")


def take_over_known(hub: Hub, repo: ForeignRepo, wanted: Sequence[tuple[str, str]]) -> int:
    """As `take_over`, but objects that are not there are passed over; returns how many were taken."""
    objects = repo.git_dir / "objects"
    _check_objects(objects, hub)
    with hub.scratch() as scratch:
        ours = scratch / "borrow.git"
        for folder in ("objects/info", "refs/heads"):
            (ours / folder).mkdir(parents=True)
        (ours / "HEAD").write_text("ref: refs/heads/none\n")
        (ours / "config").write_text((hub.path / "config").read_text() + _DISTRUST)
        (ours / "objects/info/alternates").write_bytes(
            os.fsencode(objects) + b"\n" + os.fsencode(hub.path / "objects") + b"\n"
        )
        try:
            specs = _offer(ours, wanted)
            with hub.lock.held("collect commits"):
                if specs:
                    hub.git.run(*FETCH, "--", str(ours), *specs, timeout=FETCH_TIMEOUT_S)
        except (DiskFull, GitTimeout):
            raise
        except GitError as error:
            raise WorkspaceRefused(
                f"the commits in {repo.git_dir} cannot be taken over",
                "its files can still be rescued; start a new attempt",
                command=error.command,
                returncode=error.returncode,
                stderr=error.stderr,
            ) from error
    return len(specs)


def _offer(ours: Path, wanted: Sequence[tuple[str, str]]) -> list[str]:
    """Give every commit that exists a branch in our borrowing repository; returns the refspecs."""
    asked = "".join(f"{sha}^{{commit}}\n" for sha, _ in wanted).encode()
    told = Git(ours).run("cat-file", "--batch-check=%(objecttype) %(objectname)", input=asked)
    specs = []
    for index, ((_, ref), line) in enumerate(zip(wanted, told.text.splitlines(), strict=True)):
        kind, _, sha = line.partition(" ")
        if kind == "commit":
            (ours / f"refs/heads/{index}").write_text(f"{sha}\n")
            specs.append(f"+refs/heads/{index}:{ref}")
    return specs


def read_file(path: Path, cap: int = MAX_FILE) -> bytes:
    """A regular file's content; empty for anything that is none, is a link, or is larger than `cap`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > cap:
            return b""
        return os.read(fd, cap)
    finally:
        os.close(fd)


def _refs(git_dir: Path) -> dict[str, str]:
    refs: dict[str, str] = {}
    packed = read_file(git_dir / "packed-refs").decode("utf-8", "surrogateescape")
    for sha, name in re.findall(rf"^({_SHA}) (refs/[^\0\n]+)$", packed, re.MULTILINE)[:MAX_REFS]:
        refs[name] = sha
    for folder, _, files in os.walk(git_dir / "refs"):
        for file in files:
            path = Path(folder, file)
            sha = _sha(read_file(path, 4096).decode("ascii", "replace").strip())
            if sha and len(refs) < MAX_REFS:
                refs[str(path.relative_to(git_dir))] = sha
    return refs


def _logged(git_dir: Path) -> tuple[str, ...]:
    log = read_file(git_dir / "logs" / "HEAD").decode("utf-8", "surrogateescape")
    pairs = re.findall(rf"^{_SHA} ({_SHA}) ", log, re.MULTILINE)
    return tuple(dict.fromkeys(reversed(pairs)))[:MAX_REFLOG]


def _sha(text: str) -> str | None:
    return text if re.fullmatch(_SHA, text) else None


def _check_objects(objects: Path, hub: Hub) -> None:
    """Refuse object stores that would have us read objects the agent itself may not be able to read."""
    workspace = objects.parent.parent
    if objects.is_symlink() or not objects.is_dir():
        raise _refused(workspace, "its object store is gone or a link")
    for folder, folders, files in os.walk(objects):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(folder, name)):
                raise _refused(workspace, "its object store holds a link")
    allowed = os.fsencode(hub.path / "objects")
    for line in read_file(objects / "info" / "alternates").splitlines():
        if line.strip() and line != allowed:
            raise _refused(workspace, "its object store borrows from another repository")


def _refused(workspace: Path, why: str) -> WorkspaceRefused:
    return WorkspaceRefused(
        f"{workspace} cannot be collected: {why}", "its files can still be rescued; start a new attempt"
    )
