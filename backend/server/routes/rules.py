"""Rules: answers that are given by themselves, made and revoked by a person."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.model import NewRule
from backend.server.caller import take_actor
from backend.server.wire import backend_of, make, no_query, read_body, respond, respond_rows
from backend.wire import to_json

router = APIRouter(prefix="/rules")


@router.get("")
async def list_rules(request: Request) -> Response:
    no_query(request)
    return await respond_rows("rules", await backend_of(request).list_rules(), to_json)


@router.post("")
async def create_rule(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    rule = await backend_of(request).create_rule(make(NewRule, body), actor=actor)
    return respond(to_json(rule), 201)


@router.post("/{rule_id}/revoke")
async def revoke_rule(request: Request, rule_id: str) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    make(_Empty, body)
    return respond(to_json(await backend_of(request).revoke_rule(rule_id, actor=actor)))


@dataclass(frozen=True, slots=True)
class _Empty:
    """A body without fields."""
