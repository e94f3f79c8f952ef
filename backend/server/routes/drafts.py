"""Drafts: list, create, show, edit, delete, and promote into tasks."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.interface import Backend
from backend.model import Actor, Json, NewTask
from backend.planning import Draft, DraftPatch, NewDraft
from backend.server.caller import query_actor, take_actor
from backend.server.plans import DraftQuery, PromoteBody
from backend.server.shapes import complete_plan, complete_task, take_from_project
from backend.server.wire import (
    asked_version,
    backend_of,
    make,
    no_query,
    read_body,
    read_query,
    respond_page,
    respond_task,
)
from backend.wire import to_json

router = APIRouter(prefix="/drafts")


@router.get("")
async def list_drafts(request: Request) -> Response:
    """One page of the drafts, oldest first, and how many there are in all."""
    wanted = read_query(request, DraftQuery)
    rows = [
        one
        for one in await backend_of(request).list_drafts()
        if (not wanted.status or one.status in wanted.status)
        and wanted.project_id in (None, one.project_id)
        and wanted.scope in (None, one.scope)
    ]
    return await respond_page("drafts", rows, wanted.limit, wanted.offset)


@router.post("")
async def create_draft(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    new = make(NewDraft, complete_plan(body, actor))
    return respond_task(to_json(await backend_of(request).create_draft(new, actor=actor)), 201)


@router.get("/{draft_id}")
async def get_draft(request: Request, draft_id: str) -> Response:
    no_query(request)
    return respond_task(to_json(await backend_of(request).get_draft(draft_id)))


@router.patch("/{draft_id}")
async def edit_draft(request: Request, draft_id: str) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    version, patch = asked_version(request), make(DraftPatch, body)
    draft = await backend_of(request).edit_draft(draft_id, patch, actor=actor, version=version)
    return respond_task(to_json(draft))


@router.delete("/{draft_id}")
async def delete_draft(request: Request, draft_id: str) -> Response:
    """Forget a draft; the tasks it became stay."""
    actor, version = query_actor(request), asked_version(request)
    await backend_of(request).delete_draft(draft_id, actor=actor, version=version)
    return Response(status_code=204)


@router.post("/{draft_id}/promote")
async def promote_draft(request: Request, draft_id: str) -> Response:
    """Create the tasks that a draft becomes, all or none."""
    body = await read_body(request)
    actor = take_actor(request, body)
    given = make(PromoteBody, body).tasks
    backend = backend_of(request)
    draft = await backend.get_draft(draft_id)
    tasks = [await _task(backend, draft, one, actor) for one in given]
    return respond_task(to_json(await backend.promote_draft(draft_id, tasks, actor=actor)))


async def _task(backend: Backend, draft: Draft, given: Json, actor: Actor) -> NewTask:
    """A task as it is described, and what the description leaves out, from the draft."""
    if not isinstance(given, dict):
        raise BadInput("a task of a draft is no object", "send each as POST /tasks takes it")
    inherited = {"title": draft.title, "project_id": draft.project_id, "scope": draft.scope}
    body = {name: value for name, value in inherited.items() if value is not None} | given
    body.setdefault("body", draft.body)
    return make(NewTask, complete_task(await take_from_project(backend, body), actor))
