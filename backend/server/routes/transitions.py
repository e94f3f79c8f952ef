"""Transitions: `POST /tasks/{id}/{action}` for every action a client may ask for."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.interface import Action, Transition
from backend.model import Json
from backend.server.problems import NoSuchAddress
from backend.server.wire import API_ACTOR, asked_version, backend_of, make, read_body, respond_task
from backend.wire import task_json

router = APIRouter()

ACTIONS = {action.value: action for action in Action} | {"requeue": Action.RELEASE}
"""By the last part of the address. The service refuses those that are no transition of their own."""


@router.post("/tasks/{task_id}/{action}")
async def transition(request: Request, task_id: str, action: str) -> Response:
    """Change the task's state as the transition table allows."""
    if action not in ACTIONS:
        raise NoSuchAddress(f"{action[:40]!r} is no action on a task", f"there are {', '.join(ACTIONS)}")
    body = await read_body(request)
    body.setdefault("actor", str(API_ACTOR))
    _take_if_match(request, body)
    wish = make(Transition, body, task_id=task_id, action=ACTIONS[action].value)
    return respond_task(task_json(await backend_of(request).transition(wish)))


def _take_if_match(request: Request, body: Json) -> None:
    version = asked_version(request)
    if version is None:
        return
    if body.setdefault("version", version) != version:
        raise BadInput("If-Match and the body name different versions", "give one of them")
