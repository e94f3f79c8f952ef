"""The state of the whole fleet as one JSON object."""

from __future__ import annotations

from datetime import datetime

from backend.clock import Clock, day_of, from_ms, to_iso
from backend.interface import Backend
from backend.model import Agent, AgentStatus, Json, Orchestrator, Queue, TaskFilter
from backend.sync import SyncMode, SyncState
from scheduler.presence import is_live, scheduler_running
from scheduler.project import Project

NO_SCHEDULER = "no scheduler is running: octopoid run"
SERVER_AWAY = "not known while the server is away"


async def read_status(backend: Backend, project: Project, clock: Clock) -> Json:
    """What `octopoid status --json` prints."""
    now = from_ms(clock.now_ms())
    counts = await backend.count_queues()
    orchestrators = {one.id: one for one in await backend.list_orchestrators()}
    mine = orchestrators.get(project.orchestrator_id)
    running = scheduler_running(project)
    live = {
        one.id for one in orchestrators.values() if one.id != project.orchestrator_id and is_live(one, now)
    }
    live |= {project.orchestrator_id} if running else set()
    sync = await backend.sync_state()
    unknown = orchestrators.keys() - live - {project.orchestrator_id}
    pause = await backend.get_pause(machine=project.orchestrator_id)
    midnight, _ = day_of(now)
    return {
        "mode": project.config.mode,
        "queues": {queue.value: counts.get(queue, 0) for queue in Queue},
        "scheduler": _scheduler(mine, running, pause.paused, now),
        "agents": await _agents(backend, live, unknown if sync.mode is SyncMode.OFFLINE else set()),
        "leases": await _leases(backend),
        "questions": len(await backend.open_questions()),
        "sync": sync_status(sync),
        "cost_today_usd": round(await backend.cost_since(midnight), 6),
    }


def sync_status(state: SyncState) -> Json:
    """How it stands with the server; how far a synchronisation has got only while one is under way."""
    found: Json = {"state": state.mode.value, "pending": state.pending, "conflicts": state.conflicts}
    return {**found, "progress": state.progress} if state.progress else found


def _scheduler(mine: Orchestrator | None, running: bool, paused: bool, now: datetime) -> Json:
    cycle = mine.last_cycle_at if mine is not None else None
    return {
        "running": running,
        "pid": mine.pid if mine is not None and running else None,
        "paused": paused,
        "last_cycle_age_s": round((now - cycle).total_seconds(), 3) if cycle is not None else None,
    }


async def _agents(backend: Backend, live: set[str], unknown: set[str]) -> list[Json]:
    """Every agent; of machines that are not `live` only that they are silent, or that nobody can know."""

    def silent(agent: Agent) -> str:
        return SERVER_AWAY if agent.orchestrator_id in unknown else NO_SCHEDULER

    return [
        {
            "name": agent.name,
            "role": agent.role,
            "status": (agent.status if agent.orchestrator_id in live else AgentStatus.OFFLINE).value,
            "task_id": agent.task_id,
            "run_id": agent.run_id,
            "pid": agent.pid,
            "reason": agent.reason if agent.orchestrator_id in live else silent(agent),
        }
        for agent in await backend.list_agents()
    ]


async def _leases(backend: Backend) -> list[Json]:
    held = await backend.list_tasks(TaskFilter(queues=frozenset({Queue.CLAIMED, Queue.PROVISIONAL})))
    return [
        {
            "task_id": task.id,
            "run_id": task.run_id,
            "holder": task.claimed_by,
            "orchestrator_id": task.orchestrator_id,
            "expires_at": to_iso(task.lease_expires_at),
        }
        for task in held
        if task.lease_expires_at is not None
    ]
