"""Merging two commits into a tree, with no index, no files and no side effect."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.git.errors import UnrelatedHistories
from scheduler.git.hub import Hub
from scheduler.git.names import check_sha


@dataclass(frozen=True, slots=True)
class MergedTree:
    """The tree of a merge; with conflicts it holds files with conflict markers."""

    tree: str
    conflicts: tuple[str, ...]
    messages: tuple[str, ...]


def merge_tree(hub: Hub, ours: str, theirs: str) -> MergedTree:
    """Merge two commits.

    Raises:
        UnrelatedHistories: they share no commit.
    """
    done = hub.git.run(
        "merge-tree", "--write-tree", "-z", "--name-only", "--messages", check_sha(ours), check_sha(theirs),
        ok_codes=(0, 1, 128),
    )  # fmt: skip
    if done.returncode == 128:
        if hub.git.says("merge-base", ours, theirs):
            raise hub.git.failure(("merge-tree", ours, theirs), done.returncode, done.stderr)
        raise UnrelatedHistories(
            f"{theirs[:12]} shares no history with {ours[:12]}",
            "the agent replaced the history; reject the work, or take its files over by hand",
        )
    tree, *rest = done.fields
    end = rest.index("") if "" in rest else len(rest)
    conflicts = tuple(dict.fromkeys(rest[:end])) if done.returncode == 1 else ()
    return MergedTree(tree, conflicts, tuple(_messages(rest[end + 1 :])))


def _messages(fields: list[str]) -> list[str]:
    """Messages come as: number of paths, the paths, a kind, the text."""
    found, at = [], 0
    while at < len(fields) and fields[at].isdecimal():
        at += int(fields[at]) + 1
        if fields[at].startswith("CONFLICT"):
            found.append(fields[at + 1].strip())
        at += 2
    return found
