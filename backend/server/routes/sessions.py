"""Sessions: the conversations of agent programs, by the programs' own ids."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.ids import asked_id
from backend.model import Json
from backend.pages import SessionFilter
from backend.server import crew
from backend.server.caller import default_actor, require_machine, take_actor
from backend.server.pages import read_sessions, respond_span
from backend.server.wire import (
    backend_of,
    make,
    no_query,
    read_body,
    read_query,
    read_record,
    respond,
)
from backend.server.worker_bodies import SessionBody, SessionEndBody, SessionQuery
from backend.sessions import NewSession, Session
from backend.wire import to_json

router = APIRouter(prefix="/sessions")


def session_json(session: Session) -> Json:
    return {**to_json(session), "worker_id": crew.worker_of(session.orchestrator_id)}


@router.get("")
async def list_sessions(request: Request) -> Response:
    wanted = read_query(request, SessionQuery)
    machine = None if wanted.worker_id is None else crew.machine_of(wanted.worker_id)
    read = read_sessions(backend_of(request), SessionFilter(wanted.task_id, machine, wanted.live))

    def fits(session: Session) -> bool:
        return wanted.status in (None, session.status.value)

    return await respond_span("sessions", wanted, read, session_json, fits)


@router.post("")
async def open_session(request: Request) -> Response:
    """Note a session; one that is known goes on, also after its end. A worker need not name its run."""
    body = await read_record(request, SessionBody)
    new = await _described(request, body)
    require_machine(request, new.orchestrator_id)
    return respond(session_json(await backend_of(request).open_session(new)), 201)


async def _described(request: Request, body: SessionBody) -> NewSession:
    if (body.worker_id is None) == (body.orchestrator_id is None or body.agent_name is None):
        raise BadInput(
            "who drives the session is not clear", "give worker_id, or orchestrator_id and agent_name"
        )
    backend = backend_of(request)
    machine, name, run_id = body.orchestrator_id, body.agent_name, body.run_id
    if body.worker_id is not None:
        worker = await crew.require_worker(backend, body.worker_id)
        machine, name = worker.orchestrator_id, worker.name
        if run_id is None and body.task_id is not None:
            task = await backend.get_task(body.task_id)
            run_id = task.run_id if task.orchestrator_id == machine else None
    assert machine is not None
    assert name is not None
    return NewSession(body.id or asked_id(), body.session_id, machine, name, body.task_id, run_id)


@router.get("/{session_id}")
async def get_session(request: Request, session_id: str) -> Response:
    no_query(request)
    return respond(session_json(await backend_of(request).get_session(session_id)))


@router.post("/{session_id}/heartbeat")
async def touch_session(request: Request, session_id: str) -> Response:
    make(_Empty, await read_body(request))
    backend = backend_of(request)
    require_machine(request, (await backend.get_session(session_id)).orchestrator_id)
    return respond(session_json(await backend.touch_session(session_id)))


@router.post("/{session_id}/end")
async def end_session(request: Request, session_id: str) -> Response:
    """End a session with a reason; no lease ends with it."""
    body = await read_body(request)
    actor = take_actor(request, body)
    reason = make(SessionEndBody, body).reason
    backend = backend_of(request)
    require_machine(request, (await backend.get_session(session_id)).orchestrator_id)
    return respond(session_json(await backend.end_session(session_id, reason, actor=actor)))


@router.delete("/{session_id}")
async def delete_session(request: Request, session_id: str) -> Response:
    """The same without a reason of one's own. Its record stays."""
    no_query(request)
    backend = backend_of(request)
    require_machine(request, (await backend.get_session(session_id)).orchestrator_id)
    actor = default_actor(request)
    await backend.end_session(session_id, f"ended by {actor}", actor=actor)
    return Response(status_code=204)


@dataclass(frozen=True, slots=True)
class _Empty:
    """A body without fields."""
