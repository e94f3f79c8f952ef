"""After a restart: every run that the store believes alive is compared with reality."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable

from backend.clock import Clock, from_ms
from backend.errors import NotFound, OctopoidError
from backend.interface import Backend
from backend.model import Outcome, Run, RunEnd, RunStatus
from scheduler.agents.interface import AgentUnavailable
from scheduler.agents.registry import adapter_for
from scheduler.fleet import Fleet, give_back
from scheduler.follow import Following
from scheduler.project import Project
from scheduler.runs.adopt import find_runs, is_up, stop
from scheduler.runs.rundir import RunDir, RunDirState

log = logging.getLogger(__name__)

NEVER_STARTED = "the scheduler ended before the agent was started"


class Recovery:
    """Adopts live runs, queues ended ones to be settled, and gives back what never started."""

    def __init__(
        self,
        backend: Backend,
        project: Project,
        fleet: Fleet,
        clock: Clock,
        is_starting: Callable[[str], bool],
    ) -> None:
        """`is_starting` says whether the slot of that name starts a run at this moment."""
        self._backend = backend
        self._project = project
        self._fleet = fleet
        self._clock = clock
        self._is_starting = is_starting

    async def recover(self, *, server_away: bool) -> None:
        """Take over what an earlier scheduler left.

        Args:
            server_away: what this machine remembers proves no run's end, so no agent is ended; `compare`
                makes up for it when the server is back.
        """
        await asyncio.to_thread(self._stop_checks)
        await self.compare(end_strangers=not server_away)

    async def compare(self, *, end_strangers: bool = True) -> None:
        """Make what runs here and what the store believes to run here the same.

        What is followed or being started is left alone.
        """
        # Before the store is asked: a run that is claimed meanwhile is then known to it.
        strangers = await asyncio.to_thread(self._agents_alive) if end_strangers else []
        live = [
            run
            for run in await self._backend.list_runs(live=True)
            if run.orchestrator_id == self._project.orchestrator_id
        ]
        known = {run.id for run in live} | self._fleet.following.keys() | self._fleet.starting.keys()
        await asyncio.to_thread(_end_all, [run_dir for run_dir in strangers if run_dir.id not in known])
        for run in live:
            if self._is_ours(run):
                continue
            try:
                await self._reconcile(run)
            except (OctopoidError, OSError):
                # One run that cannot be understood must not keep all the others from being followed.
                log.exception("run %s of task %s is left as it is", run.id, run.task_id)

    def _is_ours(self, run: Run) -> bool:
        """Whether this scheduler looks after the run already."""
        fleet = self._fleet
        return run.id in fleet.following or run.id in fleet.starting or self._is_starting(run.agent_name)

    def _agents_alive(self) -> list[RunDir]:
        """The runs of which something runs. Blocking."""
        found = find_runs(self._project.layout.runs)
        return [run_dir for run_dir, state in found if is_up(run_dir, state)]

    def _stop_checks(self) -> None:
        """Checks of the last scheduler are repeated; their processes must not go on beside the new ones."""
        if not self._project.checks_dir.exists():
            return
        for place in self._project.checks_dir.iterdir():
            for run_dir, state in find_runs(place / "runs"):
                if is_up(run_dir, state):
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


def _end_all(run_dirs: list[RunDir]) -> None:
    """End agents whose runs have ended as far as the store knows: nobody would follow them. Blocking."""
    for run_dir in run_dirs:
        log.warning("run %s has ended, and its agent is ended too", run_dir.id)
        _end(run_dir)


def _end(run_dir: RunDir) -> None:
    try:
        stop(run_dir, "kill")
    except OctopoidError as error:
        log.error("run %s cannot be ended: %s", run_dir.id, error)
