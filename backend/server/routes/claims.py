"""Claims: taking a task, or a lease on one in place."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput, LeaseLost, Refused
from backend.interface import Backend
from backend.model import Claim, ClaimRequest, HoldRequest, Queue, Renewal, TaskFilter
from backend.server.bodies import ClaimBody, HoldBody, TaskRenewBody
from backend.server.caller import require_holder, require_machine
from backend.server.shapes import complete_claim
from backend.server.wire import backend_of, make, read_body, read_record, respond_task
from backend.wire import claim_json, from_json, task_json

router = APIRouter()

REVIEW = "review"


@router.post("/tasks/claim")
async def claim(request: Request) -> Response:
    """The claimed task with its run; 204 and no body when there is nothing to claim."""
    body = await read_record(request, ClaimBody)
    require_machine(request, body.orchestrator_id)
    wish = from_json(ClaimRequest, complete_claim(body), strict=True)
    backend = backend_of(request)
    if body.queue is Queue.PROVISIONAL.value:
        got = await _claim_for_review(backend, wish)
    else:
        got = await backend.claim(wish)
    return Response(status_code=204) if got is None else respond_task(claim_json(got))


async def _claim_for_review(backend: Backend, wish: ClaimRequest) -> Claim | None:
    """A lease on the first provisional task that nobody holds."""
    role = wish.roles[0] if wish.roles else REVIEW
    for task in await backend.list_tasks(TaskFilter(queues=frozenset({Queue.PROVISIONAL}), scope=wish.scope)):
        if task.run_id is None and wish.task_id in (None, task.id):
            hold = HoldRequest(
                task.id, role, wish.orchestrator_id, wish.agent_name, wish.adapter, wish.run_id,
                wish.lease_seconds, wish.model,
            )  # fmt: skip
            try:
                return await backend.claim_in_place(hold)
            except Refused:  # somebody else was quicker
                if wish.task_id is not None:
                    raise
    return None


@router.post("/tasks/{task_id}/claim")
async def claim_in_place(request: Request, task_id: str) -> Response:
    """A lease on a provisional task, which stays provisional."""
    body = await read_body(request)
    make(HoldBody, body)
    wish = make(HoldRequest, body, task_id=task_id)
    require_machine(request, wish.orchestrator_id)
    return respond_task(claim_json(await backend_of(request).claim_in_place(wish)))


@router.post("/tasks/{task_id}/renew")
async def renew(request: Request, task_id: str) -> Response:
    """Extend the lease on one task; without a fence, the live one."""
    given = await read_body(request)
    if "actor" in given:
        raise BadInput("renew is no transition of its own", "use orchestrators/{id}/renew, or give no actor")
    body = make(TaskRenewBody, given)
    backend = backend_of(request)
    task = await backend.get_task(task_id)
    require_holder(request, task)
    fence = task.fence if body.lease_token is None else body.lease_token
    meant = body.orchestrator_id in (None, task.orchestrator_id)
    lost = [task_id]
    if task.orchestrator_id is not None and meant and body.agent_name in (None, task.claimed_by):
        lease = Renewal(task_id, fence)
        lost = await backend.renew(task.orchestrator_id, [lease], body.lease_duration_seconds)
    if lost:
        raise LeaseLost(
            f"the lease on task {task_id} is lost",
            "stop this run; its branch is kept",
            (f"the task is {task.queue}, held by {task.claimed_by or 'nobody'}",),
        )
    return respond_task(task_json(await backend.get_task(task_id)))
