"""The queue as workers see it: enqueue, claim, complete, fail, and how long it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.ids import asked_id
from backend.interface import Action, Backend
from backend.model import AgentStatus, ClaimRequest, Json, Pause, Priority, Queue, RunPatch, RunStatus
from backend.server import crew
from backend.server.caller import default_actor, require_machine, require_run, require_task
from backend.server.orders import STATUSES, end_of, enqueue, head_of, new_task, order_of, wish_of
from backend.server.wire import backend_of, no_query, read_record, respond
from backend.server.worker_bodies import ClaimWorkBody, CompleteBody, EnqueueBody, FailBody, Worker
from backend.service.runs import EXTERNAL
from backend.service.sessions import check_name
from backend.wire import to_json

router = APIRouter(prefix="/queue")

HIGH = (Priority.P0, Priority.P1)


@router.post("/enqueue")
async def enqueue_work(request: Request) -> Response:
    """Queue a task: one that is there, or a new one (201)."""
    body = await read_record(request, EnqueueBody)
    actor, backend = default_actor(request), backend_of(request)
    if body.task_id is None:
        task = await backend.create_task(new_task(body, actor), actor=actor)
        return respond(to_json(order_of(task)), 201)
    if body.title is not None or body.id is not None:
        raise BadInput("task_id names a task that is there", "leave out the title, or leave out task_id")
    await require_task(request, body.task_id)
    return respond(to_json(order_of(await enqueue(backend, body.task_id, body.priority, actor))))


@router.post("/claim")
async def claim_work(request: Request) -> Response:
    """The first task that the worker may have, with its run; 204 and no body when there is none."""
    body = await read_record(request, ClaimWorkBody)
    backend = backend_of(request)
    worker = await crew.require_worker(backend, body.worker_id)
    require_machine(request, worker.orchestrator_id)
    if body.session_id is not None:
        check_name(body.session_id)
    wish = ClaimRequest(
        worker.orchestrator_id, worker.name, EXTERNAL, body.execution_id or asked_id(), body.lease_seconds,
        crew.roles_for(worker, body.capabilities), scope=body.scope,
    )  # fmt: skip
    await backend.heartbeat(worker.orchestrator_id, cycle_at=None)
    pause = await backend.get_pause(machine=worker.orchestrator_id)
    claim = None if pause.paused else await backend.claim(wish)
    if claim is None:
        await crew.refresh(backend, worker, reason=_why_idle(pause))
        return Response(status_code=204)
    run = claim.run
    if run.status is RunStatus.STARTING:
        patch = RunPatch(status=RunStatus.RUNNING, session_id=body.session_id)
        run = await backend.update_run(run.id, patch)
    await crew.refresh(backend, worker)
    return respond(to_json(order_of(claim.task, run)))


@router.post("/complete")
async def complete_work(request: Request) -> Response:
    """Hand in the work; a person, or whoever reviews, accepts it."""
    body = await read_record(request, CompleteBody)
    worker = await _holder(request, body.worker_id, body.execution_id)
    backend = backend_of(request)
    wish = await wish_of(backend, worker, body, Action.SUBMIT)
    if body.turns_used is not None and wish.run_id is not None:
        await _note_turns(backend, wish.run_id, body.turns_used)
    task = await backend.transition(replace(wish, head_sha=head_of(body), run_end=end_of(body)))
    await crew.refresh(backend, worker)
    return respond(to_json(order_of(task)))


@router.post("/fail")
async def fail_work(request: Request) -> Response:
    """Give the work up with a reason."""
    body = await read_record(request, FailBody)
    worker = await _holder(request, body.worker_id, body.execution_id)
    backend = backend_of(request)
    wish = await wish_of(backend, worker, body, Action.FAIL)
    task = await backend.transition(replace(wish, reason=body.reason, run_end=end_of(body)))
    await crew.refresh(backend, worker)
    return respond(to_json(order_of(task)))


@router.get("/status")
async def queue_status(request: Request) -> Response:
    """How many work orders there are in each state, what waits by priority, and what the workers do."""
    no_query(request)
    backend = backend_of(request)
    waiting, counts = await backend.count_waiting(), await backend.count_queues()
    orders: Counter[str] = Counter(dict.fromkeys(sorted(set(STATUSES.values())), 0))
    for queue in Queue:
        orders[STATUSES[queue]] += counts.get(queue, 0)
    statuses = Counter(worker.status for worker in await crew.list_workers(backend))
    said: Json = {
        "queues": {
            "high_priority": sum(waiting.get(one, 0) for one in HIGH),
            "default": waiting.get(Priority.P2, 0),
            "low_priority": waiting.get(Priority.P3, 0),
        },
        "work_orders": dict(orders),
        "workers": {status.value: statuses[status] for status in AgentStatus},
        "questions": len(await backend.open_questions()),
    }
    return respond(said)


async def _holder(request: Request, worker_id: str, run_id: str | None) -> Worker:
    worker = await crew.require_worker(backend_of(request), worker_id)
    require_machine(request, worker.orchestrator_id)
    await require_run(request, run_id)
    return worker


async def _note_turns(backend: Backend, run_id: str, turns: int) -> None:
    run = await backend.get_run(run_id)
    if run.status is not RunStatus.ENDED:
        await backend.update_run(run_id, RunPatch(turns=turns))


def _why_idle(pause: Pause) -> str:
    if not pause.paused:
        return "nothing waits that it may claim"
    return f"intake is paused by {pause.by}" + (f": {pause.reason}" if pause.reason else "")
