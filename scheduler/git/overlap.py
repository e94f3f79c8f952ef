"""Overlap: which running and waiting work touches the same files, and whether it would conflict."""

from __future__ import annotations

from scheduler.git.facts import changed_paths
from scheduler.git.hub import Hub
from scheduler.git.merge_tree import merge_tree

__all__ = ["changed_paths", "trial_merge"]


def trial_merge(hub: Hub, a: str, b: str) -> list[str]:
    """Paths that conflict when the two commits are merged; empty when they fit together.

    Raises:
        UnrelatedHistories: the commits share no history.
    """
    return list(merge_tree(hub, a, b).conflicts)
