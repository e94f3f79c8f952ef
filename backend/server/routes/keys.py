"""Keys: made, listed and revoked by an administrator, or by the user whose process owns the store."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import OctopoidError
from backend.keys import KeyKeeper, NewKey
from backend.server.caller import take_actor
from backend.server.wire import backend_of, make, no_query, read_body, respond, respond_rows
from backend.wire import to_json

router = APIRouter(prefix="/keys")


class NoKeys(OctopoidError):
    """This server keeps no keys."""

    slug = "no-keys"
    http_status = 501


def keeper_of(request: Request) -> KeyKeeper:
    backend = backend_of(request)
    if isinstance(backend, KeyKeeper):
        return backend
    raise NoKeys("this server keeps no keys", "ask the server whose store it is")


@router.get("")
async def list_keys(request: Request) -> Response:
    no_query(request)
    return await respond_rows("keys", await keeper_of(request).list_keys(), to_json)


@router.post("")
async def create_key(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    created = await keeper_of(request).create_key(make(NewKey, body), actor=actor)
    headers = {"Cache-Control": "no-store"}
    return respond({**to_json(created.key), "token": created.token}, 201, headers)


@router.post("/{key_id}/revoke")
async def revoke_key(request: Request, key_id: str) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    make(_Empty, body)
    return respond(to_json(await keeper_of(request).revoke_key(key_id, actor=actor)))


@dataclass(frozen=True, slots=True)
class _Empty:
    """A body without fields."""
