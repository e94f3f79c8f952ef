"""Evidence: what checks said about a task's commits."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.model import Evidence
from backend.server.bodies import RowQuery
from backend.server.caller import require_run, require_task
from backend.server.pages import read_evidence, respond_span
from backend.server.wire import backend_of, no_query, read_query, read_record, respond, respond_rows
from backend.wire import evidence_json

router = APIRouter()


@router.get("/evidence")
async def unfinished_evidence(request: Request) -> Response:
    wanted = read_query(request, RowQuery)
    return await respond_span("evidence", wanted, read_evidence(backend_of(request)), evidence_json)


@router.get("/tasks/{task_id}/evidence")
async def list_evidence(request: Request, task_id: str) -> Response:
    no_query(request)
    return await respond_rows("evidence", await backend_of(request).list_evidence(task_id), evidence_json)


@router.post("/tasks/{task_id}/evidence")
async def add_evidence(request: Request, task_id: str) -> Response:
    evidence = await read_record(request, Evidence, task_id=task_id)
    await require_task(request, task_id)
    await require_run(request, evidence.run_id)
    await backend_of(request).add_evidence(evidence)
    return respond(evidence_json(evidence), 201)
