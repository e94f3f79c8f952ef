"""Overlap: which work waiting for review would not merge with which, before anybody accepts either."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.git.hub import Hub
from scheduler.git.merge_tree import merge_tree


def trial_merge(hub: Hub, a: str, b: str) -> list[str]:
    """Paths that conflict when the two commits are merged; empty when they fit together.

    Raises:
        UnrelatedHistories: the commits share no history.
    """
    return list(merge_tree(hub, a, b).conflicts)


def clashes(hub: Hub, head: str, others: Mapping[str, str]) -> dict[str, list[str]]:
    """The tasks among `others` (id to commit) whose work conflicts with `head`, and in which paths."""
    found = {task_id: trial_merge(hub, head, other) for task_id, other in others.items()}
    return {task_id: paths for task_id, paths in found.items() if paths}
