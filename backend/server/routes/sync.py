"""How the process that answers stands with a server of its own, and what that one did not take."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.server.bodies import PendingQuery, SettleBody
from backend.server.caller import take_actor
from backend.server.wire import backend_of, make, no_query, read_body, read_query, respond, respond_rows
from backend.wire import to_json

router = APIRouter(prefix="/sync")


@dataclass(frozen=True, slots=True)
class Nothing:
    """No fields."""


@router.get("")
async def sync_state(request: Request) -> Response:
    no_query(request)
    return respond(to_json(await backend_of(request).sync_state()))


@router.get("/pending")
async def pending(request: Request) -> Response:
    wanted = read_query(request, PendingQuery)
    found = await backend_of(request).list_pending(wanted.limit)
    return await respond_rows("changes", found, to_json)


@router.get("/conflicts")
async def conflicts(request: Request) -> Response:
    no_query(request)
    return await respond_rows("conflicts", await backend_of(request).list_conflicts(), to_json)


@router.post("/conflicts/{conflict_id}/settle")
async def settle(request: Request, conflict_id: str) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    wish = make(SettleBody, body)
    await backend_of(request).settle_conflict(conflict_id, wish.choice, actor=actor)
    return Response(status_code=204)


@router.post("/now")
async def sync_now(request: Request) -> Response:
    make(Nothing, await read_body(request))
    return respond(to_json(await backend_of(request).sync_now()))
