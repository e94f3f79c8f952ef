"""Transitions: `POST /tasks/{id}/{action}` for every action a client may ask for."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.interface import Action, Backend, Transition
from backend.model import Json, RunPatch, Task
from backend.server.bodies import DoneBody, SubmitBody
from backend.server.caller import default_actor, require_holder, require_run, require_task
from backend.server.problems import NoSuchAddress
from backend.server.shapes import HOLDERS, UNREPORTED, holders_wish, is_older, person
from backend.server.wire import asked_version, backend_of, make, read_body, respond_task
from backend.wire import task_json

router = APIRouter()

ACTIONS = {action.value: action for action in Action} | {"requeue": Action.RELEASE}
"""By the last part of the address. The service refuses those that are no transition of their own."""

NAMED_BY = {Action.ACCEPT: "accepted_by", Action.REJECT: "rejected_by"}
"""Where older clients name the person."""


@router.post("/tasks/{task_id}/{action}")
async def transition(request: Request, task_id: str, action: str) -> Response:
    """Change the task's state as the transition table allows."""
    if action not in ACTIONS:
        raise NoSuchAddress(f"{action[:40]!r} is no action on a task", f"there are {', '.join(ACTIONS)}")
    wanted, body = ACTIONS[action], await read_body(request)
    if wanted in HOLDERS and is_older(body):
        after = await _say(request, task_id, wanted, body)
    elif wanted is Action.ACCEPT and not {"actor", "merged_sha"} & body.keys():
        after = await _accept(backend_of(request), await _read(request, task_id, wanted, body))
    else:
        after = await backend_of(request).transition(await _read(request, task_id, wanted, body))
    return respond_task(task_json(after))


async def _read(request: Request, task_id: str, action: Action, body: Json) -> Transition:
    """The wish in a body, if the caller may have it."""
    name = body.pop(NAMED_BY[action], None) if action in NAMED_BY else None
    if name is not None:
        body["actor"] = str(person(name, NAMED_BY[action]))
    body.setdefault("actor", str(default_actor(request)))
    _take_if_match(request, body)
    wish = make(Transition, body, task_id=task_id, action=action.value)
    await require_task(request, task_id)
    await require_run(request, wish.run_id)
    return wish


async def _say(request: Request, task_id: str, action: Action, body: Json) -> Task:
    """A holder's word without a fence: it counts if it comes from where the live lease is."""
    _take_if_match(request, body)
    said: SubmitBody | DoneBody = make(SubmitBody, body) if action is Action.SUBMIT else make(DoneBody, body)
    backend = backend_of(request)
    task = await backend.get_task(task_id)
    require_holder(request, task)
    await require_run(request, said.run_id)
    wish = holders_wish(action, said, task, default_actor(request))
    if isinstance(said, SubmitBody) and said.turns_used is not None and task.run_id is not None:
        await backend.update_run(task.run_id, RunPatch(turns=said.turns_used))
    return await backend.transition(wish)


async def _accept(backend: Backend, wish: Transition) -> Task:
    """Approve, so that an orchestrator merges; what has no commit to be merged is done with that."""
    approved = await backend.transition(replace(wish, action=Action.APPROVE))
    if approved.head_sha != UNREPORTED:
        return approved
    return await backend.transition(replace(wish, version=approved.version, merged_sha=UNREPORTED))


def _take_if_match(request: Request, body: Json) -> None:
    version = asked_version(request)
    if version is None:
        return
    if body.setdefault("version", version) != version:
        raise BadInput("If-Match and the body name different versions", "give one of them")
