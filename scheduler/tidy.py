"""Housekeeping: worktrees whose work is safe in the hub go to the bin after their retention time."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path

from backend.clock import Clock, from_ms
from backend.errors import NotFound, OctopoidError
from backend.interface import Backend
from backend.model import OPEN_QUEUES
from scheduler.git.bin import purge, remove
from scheduler.git.hub import Hub
from scheduler.git.rescue import rescue
from scheduler.git.workspace import MARKERS, Workspace, delete_tree, load
from scheduler.old_runs import clear_old_runs
from scheduler.project import Project

log = logging.getLogger(__name__)

BIN_RETENTION = timedelta(hours=24)
"""How long a removed worktree can be brought back from the bin."""


class Tidier:
    """Removes what nobody needs any more, and never what is in use."""

    def __init__(self, backend: Backend, project: Project, hub: Hub, clock: Clock) -> None:
        self._backend = backend
        self._project = project
        self._hub = hub
        self._clock = clock

    async def tidy(self) -> None:
        root = self._project.layout.worktrees
        for workspace in await asyncio.to_thread(_workspaces, root):
            if await self._expendable(workspace):
                await asyncio.to_thread(self._remove, workspace)
        await asyncio.to_thread(purge, root, BIN_RETENTION)
        await self._tidy_homes()
        await clear_old_runs(
            self._backend,
            self._project.layout.runs,
            from_ms(self._clock.now_ms()),
            keep=timedelta(days=self._project.config.retention.runs_days),
            keep_in_bin=BIN_RETENTION,
        )

    async def _tidy_homes(self) -> None:
        """Remove what agent programs remember of tasks that are over, after the same time."""
        keep = timedelta(hours=self._project.config.retention.worktrees_hours)
        now = from_ms(self._clock.now_ms())
        homes = self._project.layout.homes
        for home in await asyncio.to_thread(lambda: list(homes.iterdir()) if homes.is_dir() else []):
            try:
                task = await self._backend.get_task(home.name)
            except NotFound:
                continue
            if task.queue not in OPEN_QUEUES and now - task.updated_at > keep:
                await asyncio.to_thread(delete_tree, home)

    async def _expendable(self, workspace: Workspace) -> bool:
        """Whether the run that used it ended longer ago than the retention time."""
        try:
            runs = await self._backend.list_runs(task_id=workspace.task_id)
        except NotFound:
            return False
        run = next((run for run in runs if run.attempt == workspace.attempt), None)
        if run is None or run.ended_at is None:
            return False
        keep = timedelta(hours=self._project.config.retention.worktrees_hours)
        return from_ms(self._clock.now_ms()) - run.ended_at > keep

    def _remove(self, workspace: Workspace) -> None:
        try:
            rescue(self._hub, workspace, "its retention time is over")
            remove(workspace, self._hub)
        except OctopoidError as error:
            log.error("worktree %s is kept: %s", workspace.path, error)


def _workspaces(root: Path) -> list[Workspace]:
    """Every worktree there is, by its marker."""
    names = [marker.stem.rpartition("-") for marker in (root / MARKERS).glob("*.json")]
    return [load(root, task_id, int(attempt)) for task_id, _, attempt in names]
