"""What can be read off commits in the hub. Nothing here changes anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.git.hub import Hub
from scheduler.git.names import check_sha

DIFF_CAP = 4 << 20
_MARKER = r"^(<{7}|>{7}|\|{7})( |$)"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: id and the first line of its message, as written by whoever made it."""

    sha: str
    subject: str


@dataclass(frozen=True, slots=True)
class DiffStat:
    """Size of a change: files, and lines added and removed (binary files count no lines)."""

    files: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Diff:
    """A unified diff as bytes; `truncated` when it was cut at the cap."""

    patch: bytes
    truncated: bool


def is_ancestor(hub: Hub, older: str, newer: str) -> bool:
    """Whether `newer` contains `older`; a commit contains itself."""
    return hub.git.says("merge-base", "--is-ancestor", check_sha(older), check_sha(newer))


def merge_base(hub: Hub, a: str, b: str) -> str | None:
    """The best common ancestor; None when the histories are unrelated."""
    found = hub.git.run("merge-base", check_sha(a), check_sha(b), ok_codes=(0, 1))
    return found.text.strip() or None


def commits_between(hub: Hub, base: str, head: str, limit: int = 1000) -> list[Commit]:
    """Commits of `head` that `base` does not contain, newest first."""
    fields = hub.git.run(
        "log", "-z", f"-n{limit}", "--format=%H %s", f"{check_sha(base)}..{check_sha(head)}", "--"
    ).fields
    return [Commit(*field.split(" ", 1)) for field in fields]


def count_commits(hub: Hub, base: str, head: str) -> int:
    """How many commits `head` has that `base` does not contain."""
    return int(hub.git.text("rev-list", "--count", f"{check_sha(base)}..{check_sha(head)}", "--"))


def changed_paths(hub: Hub, base: str, head: str) -> list[str]:
    """Paths that differ between two commits; a rename is both its paths."""
    return hub.git.run(
        "diff-tree", "-r", "-z", "--name-only", "--no-renames", check_sha(base), check_sha(head), "--"
    ).fields


def diff_stat(hub: Hub, base: str, head: str) -> DiffStat:
    """Files and lines changed between two commits."""
    rows = hub.git.run(
        "diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv",
        check_sha(base), check_sha(head), "--",
    ).fields  # fmt: skip
    counts = [row.split("\t", 2)[:2] for row in rows]
    added = sum(int(plus) for plus, _ in counts if plus != "-")
    removed = sum(int(minus) for _, minus in counts if minus != "-")
    return DiffStat(len(rows), added, removed)


def diff(
    hub: Hub, base: str, head: str, context: int = 3, cap: int = DIFF_CAP, paths: Sequence[str] = ()
) -> Diff:
    """The unified diff between two commits, renames found, cut at `cap` bytes."""
    done = hub.git.run(
        "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames", "--full-index",
        f"--unified={max(0, context)}", check_sha(base), check_sha(head), "--",
        *(f":(literal,top){path}" for path in paths),
        max_output=cap, cut=True,
    )  # fmt: skip
    return Diff(done.stdout, done.truncated)


def entries(hub: Hub, base: str, head: str) -> list[tuple[str, str, str]]:
    """Changed entries between two commits as (new mode, new object, path); mode 000000 is a deletion."""
    fields = hub.git.run(
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--no-renames",
        "--no-abbrev",
        check_sha(base),
        check_sha(head),
        "--",
    ).fields
    rows = []
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        _, mode, _, blob, _ = meta.split(" ")
        rows.append((mode, blob, path))
    return rows


def blob(hub: Hub, sha: str, cap: int = 1 << 20) -> bytes:
    """The first `cap` bytes of a blob."""
    return hub.git.run("cat-file", "blob", check_sha(sha), max_output=cap, cut=True).stdout


def has_conflict_markers(hub: Hub, base: str, head: str) -> list[str]:
    """Changed files that hold more conflict markers at `head` than at `base`."""
    paths = changed_paths(hub, base, head)
    before, after = _markers(hub, base, paths), _markers(hub, head, paths)
    return [path for path in paths if after.get(path, 0) > before.get(path, 0)]


def _markers(hub: Hub, commit: str, paths: Sequence[str]) -> dict[str, int]:
    wanted = set(paths)
    if not wanted:
        return {}
    done = hub.git.run(
        "grep", "-I", "-z", "--count", "--full-name", "--no-textconv", "-E", "-e", _MARKER,
        check_sha(commit), "--", ok_codes=(0, 1),
    )  # fmt: skip
    text = done.stdout.decode("utf-8", "surrogateescape")
    # Each hit is `<commit>:<path>NUL<count>LF`.
    found = re.findall(r"[0-9a-f]{40,64}:([^\0]+)\0(\d+)\n", text)
    return {path: int(count) for path, count in found if path in wanted}
