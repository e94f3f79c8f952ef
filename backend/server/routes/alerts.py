"""What everybody should know for a while, and what runs have used."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.server.bodies import AlertBody, ClearBody, UsageQuery
from backend.server.wire import backend_of, no_query, query_dict, read_record, respond, respond_rows
from backend.wire import from_json, to_json

router = APIRouter()


@router.get("/alerts")
async def list_alerts(request: Request) -> Response:
    no_query(request)
    return await respond_rows("alerts", await backend_of(request).list_alerts(), to_json)


@router.post("/alerts")
async def raise_alert(request: Request) -> Response:
    body = await read_record(request, AlertBody)
    alert = await backend_of(request).raise_alert(body.key, body.reason, until=body.until)
    return respond(to_json(alert))


@router.post("/alerts/clear")
async def clear_alert(request: Request) -> Response:
    body = await read_record(request, ClearBody)
    await backend_of(request).clear_alert(body.key)
    return Response(status_code=204)


@router.get("/usage")
async def usage(request: Request) -> Response:
    wanted = from_json(UsageQuery, query_dict(request, UsageQuery), strict=True)
    found = await backend_of(request).usage(wanted.by, since=wanted.since)
    return await respond_rows("usage", found, to_json)
