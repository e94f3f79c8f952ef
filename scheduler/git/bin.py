"""The bin: removed workspaces, which can be restored until they are purged."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from backend.clock import Clock, SystemClock
from scheduler.git.errors import WorkspaceGone, WorkspaceRefused
from scheduler.git.hub import Hub
from scheduler.git.rescue import rescue
from scheduler.git.workspace import MARKERS, Workspace, delete_tree, marker_of, verify

BIN = ".bin"


@dataclass(frozen=True, slots=True)
class Binned:
    """A removed workspace: its name, where it lies now, and when it was removed (ms since the epoch)."""

    name: str
    path: Path
    removed_ms: int


def remove(workspace: Workspace, hub: Hub, reason: str = "removed", clock: Clock | None = None) -> Path:
    """Save a workspace as it is in this moment under a rescue ref, then move it into the bin.

    Returns:
        Where it lies now.

    Raises:
        WorkspaceGone: it does not exist.
        WorkspaceRefused: it is not ours, holds the hub, or cannot be saved; it stays where it is.
    """
    root = workspace.path.parent
    with hub.lock.held(f"remove workspace {workspace.name}"):
        verify(workspace)
        if hub.root.is_relative_to(workspace.path):
            raise WorkspaceRefused(f"{workspace.path} holds the hub", "it cannot be removed")
        rescue(hub, workspace, reason)
        bin_dir = root / BIN
        bin_dir.mkdir(mode=0o700, exist_ok=True)
        target = bin_dir / f"{workspace.name}-{(clock or SystemClock()).now_ms()}"
        while target.exists():
            target = target.with_name(f"{target.name}0")
        _copy(marker_of(workspace), target.with_name(f"{target.name}.json"))
        workspace.path.rename(target)
        marker_of(workspace).unlink()
    return target


def binned(worktrees_root: Path) -> list[Binned]:
    """What lies in the bin, oldest first."""
    bin_dir = worktrees_root.resolve() / BIN
    found = []
    for path in bin_dir.iterdir() if bin_dir.is_dir() else ():
        name, _, at = path.name.rpartition("-")
        if at.isdecimal() and path.is_dir() and not path.is_symlink():
            found.append(Binned(name, path, int(at)))
    return sorted(found, key=lambda entry: entry.removed_ms)


def restore(entry: Binned, hub: Hub) -> Path:
    """Move a workspace from the bin back to its place.

    Raises:
        WorkspaceRefused: its place is taken.
        WorkspaceGone: the bin does not hold it any more.
    """
    root = entry.path.parent.parent
    target, marker = root / entry.name, root / MARKERS / f"{entry.name}.json"
    with hub.lock.held(f"restore workspace {entry.name}"):
        if not entry.path.is_dir():
            raise WorkspaceGone(f"{entry.path} is not in the bin any more", "restore its rescue ref instead")
        if target.exists() or target.is_symlink():
            raise WorkspaceRefused(f"{target} exists", "move it away, then restore again")
        note = entry.path.with_name(f"{entry.path.name}.json")
        _copy(note, marker)
        entry.path.rename(target)
        note.unlink()
    return target


def purge(worktrees_root: Path, older_than: timedelta, clock: Clock | None = None) -> list[str]:
    """Delete for good what has lain in the bin for longer than `older_than`; returns the names."""
    before = (clock or SystemClock()).now_ms() - older_than / timedelta(milliseconds=1)
    gone = []
    for entry in binned(worktrees_root):
        if entry.removed_ms <= before:
            delete_tree(entry.path)
            entry.path.with_name(f"{entry.path.name}.json").unlink(missing_ok=True)
            gone.append(entry.name)
    return gone


def _copy(note: Path, to: Path) -> None:
    # A second name first, so that a crash leaves the note at both places rather than at none.
    with suppress(FileExistsError):
        os.link(note, to)
