"""Steering: whether intake is paused, and what runs have cost."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.clock import to_iso
from backend.server.bodies import CostQuery, PauseBody
from backend.server.caller import take_actor
from backend.server.wire import backend_of, make, no_query, query_dict, read_body, respond
from backend.wire import from_json, pause_json

router = APIRouter()


@dataclass(frozen=True, slots=True)
class ResumeBody:
    """Nothing but the actor."""


@router.get("/pause")
async def get_pause(request: Request) -> Response:
    no_query(request)
    return respond(pause_json(await backend_of(request).get_pause()))


@router.post("/pause")
async def pause(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    wish = make(PauseBody, body)
    got = await backend_of(request).pause(actor=actor, reason=wish.reason, until=wish.until)
    return respond(pause_json(got))


@router.post("/resume")
async def resume(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    make(ResumeBody, body)
    return respond(pause_json(await backend_of(request).resume(actor=actor)))


@router.get("/cost")
async def cost(request: Request) -> Response:
    """What runs started since a time have cost, in US dollars."""
    since = from_json(CostQuery, query_dict(request, CostQuery), strict=True).since
    cost_usd = await backend_of(request).cost_since(since)
    return respond({"since": to_iso(since), "cost_usd": cost_usd})
