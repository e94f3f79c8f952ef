"""Workers: programs that take work over plain HTTP."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import Refused
from backend.ids import asked_id
from backend.interface import Action, Backend, Transition
from backend.model import Actor, AgentStatus, Renewal, SenderType
from backend.server import crew
from backend.server.caller import caller_of, require_machine
from backend.server.renewals import read_leases
from backend.server.wire import backend_of, no_query, read_record, respond, respond_rows
from backend.server.worker_bodies import Worker, WorkerBeatBody, WorkerBody
from backend.wire import to_json

router = APIRouter(prefix="/workers")

GONE = "its worker was taken off the list"


@router.post("")
async def register_worker(request: Request) -> Response:
    """201 for a worker seen for the first time, 200 for one that comes back."""
    body = await read_record(request, WorkerBody)
    caller, backend = caller_of(request), backend_of(request)
    bound = None if caller is None else crew.worker_of(caller.orchestrator_id)
    worker_id = body.id or bound or asked_id()
    require_machine(request, crew.machine_of(worker_id))
    known = {worker.id for worker in await crew.list_workers(backend)}
    worker = await crew.register(backend, worker_id, body)
    return respond(to_json(worker), 200 if worker.id in known else 201)


@router.get("")
async def list_workers(request: Request) -> Response:
    no_query(request)
    return await respond_rows("workers", await crew.list_workers(backend_of(request)), to_json)


@router.get("/{worker_id}")
async def get_worker(request: Request, worker_id: str) -> Response:
    no_query(request)
    return respond(to_json(await crew.get_worker(backend_of(request), worker_id)))


@router.post("/{worker_id}/heartbeat")
async def beat_worker(request: Request, worker_id: str) -> Response:
    """Note that the worker is alive: renew its leases and its sessions; tell it what it has lost."""
    body = await read_record(request, WorkerBeatBody)
    given = read_leases(body.leases, body.lease_seconds)
    backend = backend_of(request)
    worker = await crew.get_worker(backend, worker_id)
    require_machine(request, worker.orchestrator_id)
    await backend.heartbeat(worker.orchestrator_id, cycle_at=None)
    held = await crew.held_by(backend, worker)
    leases = given or [Renewal(task.id, task.fence) for task, _ in held]
    lost = await backend.renew(worker.orchestrator_id, leases, body.lease_seconds) if leases else []
    runs = {run.id for _, run in held}
    sessions = await _touch_sessions(backend, worker, runs, body.session_id)
    said = None if body.status is None else AgentStatus(body.status)
    worker = await crew.refresh(backend, worker, said, body.reason)
    leases_now = [
        {
            "task_id": task.id,
            "execution_id": run.id,
            "lease_token": task.fence,
        }
        for task, run in held
        if task.id not in lost
    ]
    return respond({**to_json(worker), "lost": lost, "leases": leases_now, "sessions": sessions})


async def _touch_sessions(
    backend: Backend, worker: Worker, runs: set[str], session_id: str | None
) -> list[str]:
    """Note a sign of life of a worker's open sessions; which these are."""
    touched = []
    for session in await backend.list_sessions(live=True):
        named = session_id in (session.id, session.session_id)
        if session.orchestrator_id == worker.orchestrator_id and (named or session.run_id in runs):
            await backend.touch_session(session.id)
            touched.append(session.id)
    return touched


@router.delete("/{worker_id}")
async def delete_worker(request: Request, worker_id: str) -> Response:
    """Take a worker off the list: what it holds goes back to the queue, and its sessions end."""
    no_query(request)
    backend = backend_of(request)
    worker = await crew.get_worker(backend, worker_id)
    require_machine(request, worker.orchestrator_id)
    actor = Actor(SenderType.WORKER, worker.name)
    for task, run in await crew.held_by(backend, worker):
        give_back = Transition(
            task.id, Action.RELEASE, actor, reason=GONE, fence=task.fence, run_id=run.id, systemic=True,
            run_end=crew.stopped(GONE),
        )  # fmt: skip
        try:
            await backend.transition(give_back)
        except Refused:  # the lease ended between the two looks, which is what was wanted
            continue
    for session in await backend.list_sessions(live=True):
        if session.orchestrator_id == worker.orchestrator_id:
            await backend.end_session(session.id, GONE, actor=actor)
    await backend.report_agents(worker.orchestrator_id, [])
    return Response(status_code=204)
