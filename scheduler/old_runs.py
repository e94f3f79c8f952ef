"""Directories of runs that ended long ago: first out of the way, then gone. Their work is in the hub."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path

from backend.clock import from_ms, to_ms
from backend.errors import NotFound, OctopoidError
from backend.interface import Backend
from scheduler.git.workspace import delete_tree
from scheduler.runs.adopt import find_runs
from scheduler.runs.rundir import RunDirState

log = logging.getLogger(__name__)

BIN = ".bin"
LIVE = (RunDirState.ALIVE, RunDirState.STARTING)


async def clear_old_runs(
    backend: Backend, runs: Path, now: datetime, *, keep: timedelta, keep_in_bin: timedelta
) -> None:
    """Move run directories into the bin whose run ended longer than `keep` ago, and empty the bin.

    A directory that the store knows nothing of is left alone.
    """
    for run_dir, state in await asyncio.to_thread(find_runs, runs):
        try:
            run = await backend.get_run(run_dir.id)
        except NotFound:
            continue
        if state not in LIVE and run.ended_at is not None and now - run.ended_at > keep:
            await asyncio.to_thread(_move, run_dir.path, now)
    await asyncio.to_thread(_empty, runs / BIN, now - keep_in_bin)


def _move(path: Path, now: datetime) -> None:
    """Out of the way by one rename: half a directory is never found."""
    place = path.parent / BIN
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        path.rename(place / f"{path.name}-{to_ms(now)}")
    except OSError as error:
        log.error("run directory %s is kept: %s", path, error)


def _empty(place: Path, before: datetime) -> None:
    if not place.is_dir():
        return
    for path in place.iterdir():
        at = path.name.rpartition("-")[2]
        if at.isascii() and at.isdecimal() and from_ms(int(at[:15])) <= before:
            try:
                delete_tree(path)
            except OctopoidError as error:
                log.error("%s", error)
