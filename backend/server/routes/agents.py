"""Agents: the worker slots, as their machines reported them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.model import Agent
from backend.server.bodies import ReportBody
from backend.server.caller import require_machine
from backend.server.wire import backend_of, make, no_query, read_body, respond_rows
from backend.wire import agent_json, from_json

router = APIRouter()


@router.get("/agents")
async def list_agents(request: Request) -> Response:
    no_query(request)
    return await respond_rows("agents", await backend_of(request).list_agents(), agent_json)


@router.put("/orchestrators/{orchestrator_id}/agents")
async def report_agents(request: Request, orchestrator_id: str) -> Response:
    """Replace what is known of this machine's agents."""
    require_machine(request, orchestrator_id)
    body = make(ReportBody, await read_body(request))
    agents = [from_json(Agent, one, strict=True) for one in body.agents]
    await backend_of(request).report_agents(orchestrator_id, agents)
    return Response(status_code=204)
