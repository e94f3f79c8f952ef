"""After a restart: every run that the store believes alive is compared with reality."""

from __future__ import annotations

import asyncio
import logging
import shutil

from backend.clock import Clock, from_ms
from backend.errors import NotFound, OctopoidError
from backend.interface import Backend
from backend.model import Outcome, Run, RunEnd, RunStatus
from scheduler.agents.interface import AgentUnavailable
from scheduler.agents.registry import adapter_for
from scheduler.fleet import Fleet, give_back
from scheduler.follow import Following
from scheduler.project import Project
from scheduler.runs.adopt import find_runs, stop
from scheduler.runs.rundir import RunDir, RunDirState

log = logging.getLogger(__name__)

NEVER_STARTED = "the scheduler ended before the agent was started"


class Recovery:
    """Adopts live runs, queues ended ones to be settled, and gives back what never started."""

    def __init__(self, backend: Backend, project: Project, fleet: Fleet, clock: Clock) -> None:
        self._backend = backend
        self._project = project
        self._fleet = fleet
        self._clock = clock

    async def recover(self) -> None:
        await asyncio.to_thread(self._stop_checks)
        live = [
            run
            for run in await self._backend.list_runs(live=True)
            if run.orchestrator_id == self._project.orchestrator_id
        ]
        await asyncio.to_thread(self._stop_strangers, {run.id for run in live})
        for run in live:
            try:
                await self._reconcile(run)
            except (OctopoidError, OSError):
                # One run that cannot be understood must not keep all the others from being followed.
                log.exception("run %s of task %s is left as it is", run.id, run.task_id)

    def _stop_strangers(self, known: set[str]) -> None:
        """End agents whose runs have ended as far as the store knows: nobody would follow them."""
        for run_dir, state in find_runs(self._project.layout.runs):
            if run_dir.id not in known and state in (RunDirState.ALIVE, RunDirState.STARTING):
                log.warning("run %s has ended, and its agent is ended too", run_dir.id)
                _end(run_dir)

    def _stop_checks(self) -> None:
        """Checks of the last scheduler are repeated; their processes must not go on beside the new ones."""
        if not self._project.checks_dir.exists():
            return
        for place in self._project.checks_dir.iterdir():
            for run_dir, state in find_runs(place / "runs"):
                if state in (RunDirState.ALIVE, RunDirState.STARTING):
                    _end(run_dir)
            shutil.rmtree(place, ignore_errors=True)

    async def _reconcile(self, run: Run) -> None:
        run_dir = RunDir(self._project.layout.runs / run.id)
        state = await asyncio.to_thread(_state, run_dir)
        if state is RunDirState.PREPARED or (state is None and run.status is RunStatus.STARTING):
            await give_back(self._backend, run, RunEnd(Outcome.LOST, NEVER_STARTED))
            return
        try:
            adapter = adapter_for(run.adapter)
        except AgentUnavailable:
            log.exception("run %s cannot be followed", run.id)
            return
        now = from_ms(self._clock.now_ms())
        following = await asyncio.to_thread(Following, run, run_dir, adapter, self._clock, now)
        open_requests = [
            message
            for message in await self._backend.list_messages(run.task_id)
            if message.run_id == run.id and message.open
        ]
        following.waiting_for.update(message.id for message in open_requests)
        self._fleet.following[run.id] = following
        log.info("run %s of task %s is adopted: %s", run.id, run.task_id, state)


def _state(run_dir: RunDir) -> RunDirState | None:
    """What the run's files prove; None when it has none."""
    try:
        return run_dir.state()
    except NotFound:
        return None


def _end(run_dir: RunDir) -> None:
    try:
        stop(run_dir, "kill")
    except OctopoidError as error:
        log.error("run %s cannot be ended: %s", run_dir.id, error)
