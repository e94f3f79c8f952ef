"""Claims: taking a task, or a lease on one in place."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.model import ClaimRequest, HoldRequest
from backend.server.wire import backend_of, read_record, respond_task
from backend.wire import claim_json

router = APIRouter()


@router.post("/tasks/claim")
async def claim(request: Request) -> Response:
    """The claimed task with its run; 204 and no body when there is nothing to claim."""
    wish = await read_record(request, ClaimRequest)
    got = await backend_of(request).claim(wish)
    return Response(status_code=204) if got is None else respond_task(claim_json(got))


@router.post("/tasks/{task_id}/claim")
async def claim_in_place(request: Request, task_id: str) -> Response:
    """A lease on a provisional task, which stays provisional."""
    wish = await read_record(request, HoldRequest, task_id=task_id)
    return respond_task(claim_json(await backend_of(request).claim_in_place(wish)))
