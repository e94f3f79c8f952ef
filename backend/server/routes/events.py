"""Events: the log, page by page, by long-poll, or as a stream."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.server.bodies import EventQuery
from backend.server.events import EventStream, Streams, wait_for_events
from backend.server.wire import backend_of, no_query, read_query, respond, respond_rows
from backend.wire import event_json

router = APIRouter(prefix="/events")


@router.get("")
async def events(request: Request) -> Response:
    """The events after a sequence number: at once, after a wait for the first, or as they come."""
    wanted = read_query(request, EventQuery)
    streams: Streams = request.app.state.streams
    backend = backend_of(request)
    if "text/event-stream" in request.headers.get("accept", ""):
        return EventStream(backend, _last_event_id(request, wanted.after), streams)
    rows = await backend.events(after=wanted.after, limit=wanted.limit, entity_id=wanted.entity_id)
    if not rows and wanted.wait:
        await wait_for_events(backend, wanted.after, wanted.wait, streams)
        rows = await backend.events(after=wanted.after, limit=wanted.limit, entity_id=wanted.entity_id)
    return await respond_rows("events", rows, event_json)


@router.get("/last")
async def last_seq(request: Request) -> Response:
    no_query(request)
    return respond({"seq": await backend_of(request).last_seq()})


def _last_event_id(request: Request, otherwise: int) -> int:
    given = request.headers.get("last-event-id")
    if given is None:
        return otherwise
    if not given.isdecimal() or len(given) > 19 or int(given) >= 2**63:
        raise BadInput(f"Last-Event-ID {given[:40]!r} is no sequence number", "send the last id seen")
    return int(given)
