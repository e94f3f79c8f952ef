"""Orchestrators: the machines that run the scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput, NotFound
from backend.server.bodies import MachineStatusBody, RegisterBody
from backend.server.caller import require_machine
from backend.server.renewals import read_leases
from backend.server.wire import backend_of, make, no_query, read_body, read_record, respond, respond_rows
from backend.wire import orchestrator_json

router = APIRouter(prefix="/orchestrators")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When the scheduler last finished a cycle, if it did since the last heartbeat."""

    cycle_at: datetime | None = None


@router.get("")
async def list_orchestrators(request: Request) -> Response:
    no_query(request)
    rows = await backend_of(request).list_orchestrators()
    return await respond_rows("orchestrators", rows, orchestrator_json)


@router.post("/register")
async def register(request: Request) -> Response:
    """201 for a machine seen for the first time, 200 for one that comes back."""
    body = await read_record(request, RegisterBody)
    require_machine(request, f"{body.cluster}-{body.machine_id}")
    backend = backend_of(request)
    known = {one.id for one in await backend.list_orchestrators()}
    machine = await backend.register(
        body.cluster, body.machine_id, pid=body.pid, repo_url=body.repo_url, instance=body.instance
    )
    return respond(orchestrator_json(machine), 200 if machine.id in known else 201)


@router.get("/{orchestrator_id}")
async def get_orchestrator(request: Request, orchestrator_id: str) -> Response:
    no_query(request)
    for one in await backend_of(request).list_orchestrators():
        if one.id == orchestrator_id:
            return respond(orchestrator_json(one))
    raise NotFound(
        f"orchestrator {orchestrator_id[:80]!r} is not registered",
        "register it with POST /api/v1/orchestrators/register, and use the id that this returns",
    )


@router.patch("/{orchestrator_id}")
async def set_status(request: Request, orchestrator_id: str) -> Response:
    """Note what a machine says of itself; that it is silent is noticed without it."""
    require_machine(request, orchestrator_id)
    body = await read_record(request, MachineStatusBody)
    backend = backend_of(request)
    match body.status:
        case "active":
            machine = await backend.heartbeat(orchestrator_id, cycle_at=None)
        case "offline":
            machine = await backend.leave(orchestrator_id)
        case other:
            raise BadInput(f"{other[:40]!r} is no status of a machine", "say active or offline")
    return respond(orchestrator_json(machine))


@router.post("/{orchestrator_id}/heartbeat")
async def heartbeat(request: Request, orchestrator_id: str) -> Response:
    """Note that the machine is alive, and renew its leases in the same call."""
    require_machine(request, orchestrator_id)
    body = await read_body(request)
    leases, seconds = body.pop("leases", []), body.pop("lease_seconds", None)
    beat = make(Heartbeat, body)
    renewals = []
    if leases:
        if not isinstance(leases, list) or type(seconds) is not int:
            raise BadInput("leases is a list and needs lease_seconds", "give both, or neither")
        renewals = read_leases(leases, seconds)
    backend = backend_of(request)
    machine = await backend.heartbeat(orchestrator_id, cycle_at=beat.cycle_at)
    lost = await backend.renew(orchestrator_id, renewals, seconds) if renewals else []
    return respond({**orchestrator_json(machine), "lost": lost})
