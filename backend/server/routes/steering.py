"""Steering: whether intake is paused, and what runs have cost."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.clock import to_iso
from backend.server.bodies import CostQuery, PauseBody, PauseQuery, ResumeBody
from backend.server.caller import require_machine, take_actor
from backend.server.wire import backend_of, make, query_dict, read_body, respond
from backend.wire import from_json, pause_json

router = APIRouter()


@router.get("/pause")
async def get_pause(request: Request) -> Response:
    wish = from_json(PauseQuery, query_dict(request, PauseQuery), strict=True)
    return respond(pause_json(await backend_of(request).get_pause(machine=wish.machine)))


@router.post("/pause")
async def pause(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    wish = make(PauseBody, body)
    if wish.machine is not None:
        require_machine(request, wish.machine)
    got = await backend_of(request).pause(
        actor=actor, reason=wish.reason, until=wish.until, machine=wish.machine
    )
    return respond(pause_json(got))


@router.post("/resume")
async def resume(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    wish = make(ResumeBody, body)
    if wish.machine is not None:
        require_machine(request, wish.machine)
    return respond(pause_json(await backend_of(request).resume(actor=actor, machine=wish.machine)))


@router.get("/cost")
async def cost(request: Request) -> Response:
    """What runs started since a time have cost, in US dollars."""
    since = from_json(CostQuery, query_dict(request, CostQuery), strict=True).since
    cost_usd = await backend_of(request).cost_since(since)
    return respond({"since": to_iso(since), "cost_usd": cost_usd})
