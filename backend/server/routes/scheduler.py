"""Everything that one round of a scheduler asks for, in one call."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import UnknownOrchestrator
from backend.interface import Backend
from backend.model import Json, Queue, Run, Task, TaskFilter
from backend.server.caller import require_machine
from backend.server.plans import PollBody
from backend.server.wire import backend_of, read_record, respond
from backend.wire import event_json, message_json, pause_json, task_json

router = APIRouter(prefix="/scheduler")

EVENTS = 500


@router.post("/poll")
async def poll(request: Request) -> Response:
    """Counts, pause, what could be claimed, answers to deliver, leases held and lost, and what changed."""
    asked = await read_record(request, PollBody)
    require_machine(request, asked.orchestrator_id)
    backend = backend_of(request)
    known = {one.id for one in await backend.list_orchestrators()}
    if asked.orchestrator_id not in known:
        raise UnknownOrchestrator(
            f"orchestrator {asked.orchestrator_id[:80]!r} was never registered",
            "register it with POST /api/v1/orchestrators/register, and use the id that this returns",
        )
    # Before all else: what changes while the rest is read comes again the next time.
    last_seq = await backend.last_seq()
    counts = await backend.count_queues()
    runs = [run for run in await backend.list_runs(live=True) if run.orchestrator_id == asked.orchestrator_id]
    leases, lost = await _leases(backend, runs)
    answers = await backend.undelivered([run.id for run in runs]) if runs else []
    events = [] if asked.after is None else await backend.events(after=asked.after, limit=EVENTS)
    return respond(
        {
            "queues": {queue.value: counts.get(queue, 0) for queue in Queue},
            "pause": pause_json(await backend.get_pause(machine=asked.orchestrator_id)),
            "claimable": await _claimable(backend, asked),
            "answers": [message_json(message) for message in answers],
            "leases": leases,
            "lost": lost,
            "events": [event_json(event) for event in events],
            "next_after": events[-1].seq if len(events) == EVENTS else last_seq,
        }
    )


async def _claimable(backend: Backend, asked: PollBody) -> dict[str, list[Json]]:
    """The heads of the queue in claim order, by role; of all roles that wait unless some are named."""
    found: dict[str, list[Task]] = {role: [] for role in asked.roles}
    for role in asked.roles or (None,):
        roles = frozenset() if role is None else frozenset({role})
        wanted = TaskFilter(frozenset({Queue.INCOMING}), roles=roles, limit=asked.limit, scope=asked.scope)
        for task in await backend.list_tasks(wanted):
            found.setdefault(task.role, []).append(task)
    return {role: [task_json(task) for task in tasks] for role, tasks in found.items()}


async def _leases(backend: Backend, runs: list[Run]) -> tuple[list[Json], list[Json]]:
    """The leases that a machine's live runs hold, and those that they have lost."""
    held: list[Json] = []
    lost: list[Json] = []
    for run in runs:
        task = await backend.get_task(run.task_id)
        lease = {"task_id": task.id, "run_id": run.id, "lease_token": run.fence}
        if task.run_id == run.id and task.lease_expires_at is not None:
            held.append(lease | {"lease_expires_at": task_json(task)["lease_expires_at"]})
        else:
            lost.append(lease | {"queue": task.queue.value, "held_by": task.claimed_by})
    return held, lost
