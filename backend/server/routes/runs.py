"""Runs: show, list, follow, end."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.model import RunEnd, RunPatch
from backend.pages import RunFilter
from backend.server.bodies import RunQuery
from backend.server.caller import require_run
from backend.server.pages import read_runs, respond_span
from backend.server.wire import backend_of, no_query, read_query, read_record, respond
from backend.wire import run_json

router = APIRouter(prefix="/runs")


@router.get("")
async def list_runs(request: Request) -> Response:
    wanted = read_query(request, RunQuery)
    read = read_runs(backend_of(request), RunFilter(wanted.task_id, wanted.live))
    return await respond_span("runs", wanted, read, run_json)


@router.get("/{run_id}")
async def get_run(request: Request, run_id: str) -> Response:
    no_query(request)
    return respond(run_json(await backend_of(request).get_run(run_id)))


@router.patch("/{run_id}")
async def update_run(request: Request, run_id: str) -> Response:
    patch = await read_record(request, RunPatch)
    await require_run(request, run_id)
    return respond(run_json(await backend_of(request).update_run(run_id, patch)))


@router.post("/{run_id}/end")
async def end_run(request: Request, run_id: str) -> Response:
    end = await read_record(request, RunEnd)
    await require_run(request, run_id)
    return respond(run_json(await backend_of(request).end_run(run_id, end)))
