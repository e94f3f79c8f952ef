"""Projects: list, create, show, edit, delete."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.planning import NewProject, ProjectPatch
from backend.server.caller import query_actor, take_actor
from backend.server.plans import ProjectQuery
from backend.server.shapes import complete_plan
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

router = APIRouter(prefix="/projects")


@router.get("")
async def list_projects(request: Request) -> Response:
    """One page of the projects, oldest first, and how many there are in all."""
    wanted = read_query(request, ProjectQuery)
    rows = [
        one
        for one in await backend_of(request).list_projects()
        if (not wanted.status or one.status in wanted.status) and wanted.scope in (None, one.scope)
    ]
    return await respond_page("projects", rows, wanted.limit, wanted.offset)


@router.post("")
async def create_project(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    new = make(NewProject, complete_plan(body, actor))
    return respond_task(to_json(await backend_of(request).create_project(new, actor=actor)), 201)


@router.get("/{project_id}")
async def get_project(request: Request, project_id: str) -> Response:
    no_query(request)
    return respond_task(to_json(await backend_of(request).get_project(project_id)))


@router.patch("/{project_id}")
async def edit_project(request: Request, project_id: str) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    version, patch = asked_version(request), make(ProjectPatch, body)
    project = await backend_of(request).edit_project(project_id, patch, actor=actor, version=version)
    return respond_task(to_json(project))


@router.delete("/{project_id}")
async def delete_project(request: Request, project_id: str) -> Response:
    """Forget a project without unfinished tasks."""
    actor, version = query_actor(request), asked_version(request)
    await backend_of(request).delete_project(project_id, actor=actor, version=version)
    return Response(status_code=204)
