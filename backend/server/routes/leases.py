"""Leases: renewed in one call per machine, expired by whoever owns the store."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.server.bodies import RenewBody
from backend.server.caller import require_machine
from backend.server.renewals import read_leases
from backend.server.wire import backend_of, make, read_body, respond, respond_rows
from backend.wire import task_json

router = APIRouter()


@router.post("/orchestrators/{orchestrator_id}/renew")
async def renew(request: Request, orchestrator_id: str) -> Response:
    """Renew leases; answers with the tasks whose lease is lost."""
    require_machine(request, orchestrator_id)
    body = make(RenewBody, await read_body(request))
    leases = read_leases(body.leases, body.lease_seconds)
    lost = await backend_of(request).renew(orchestrator_id, leases, body.lease_seconds)
    return respond({"lost": lost})


@router.post("/leases/expire")
async def expire(request: Request) -> Response:
    """Release every lease that has run out."""
    await read_body(request)
    return await respond_rows("tasks", await backend_of(request).expire_leases(), task_json)
