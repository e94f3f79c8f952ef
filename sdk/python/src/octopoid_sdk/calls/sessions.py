"""Sessions: conversations of agent programs, by our id or by the programs' own."""

from __future__ import annotations

from octopoid_sdk.calls.pages import read_pages
from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.fleet_records import Session


def open_session(
    session_id: str,
    *,
    worker_id: str | None = None,
    orchestrator_id: str | None = None,
    agent_name: str | None = None,
    task_id: str | None = None,
    run_id: str | None = None,
    id: str | None = None,
    scope: str | None = None,
) -> Steps[Session]:
    """Note a session; one that is known goes on, also after its end.

    Args:
        session_id: the agent program's own name for it.
        worker_id: who drives it; or else `orchestrator_id` and `agent_name`.

    Raises:
        Duplicate: it belongs to another machine, or the id is taken.
    """
    body = {
        "session_id": session_id,
        "worker_id": worker_id,
        "orchestrator_id": orchestrator_id,
        "agent_name": agent_name,
        "task_id": task_id,
        "run_id": run_id,
        "id": id,
        "scope": scope,
    }
    session: Session = yield request("POST", "sessions", body=body)
    return session


def get_session(session_id: str) -> Steps[Session]:
    session: Session = yield request("GET", "sessions", session_id)
    return session


def list_sessions(
    *,
    task_id: str | None = None,
    worker_id: str | None = None,
    status: str | None = None,
    live: bool | None = None,
    limit: int | None = None,
) -> Steps[list[Session]]:
    """Sessions in order of their beginning: all of them, however many pages that takes.

    Args:
        status: active, idle or terminated.
        live: only those that have not ended.
    """
    wanted = {"task_id": task_id, "worker_id": worker_id, "status": status, "live": live}
    found: list[Session] = yield from read_pages("sessions", "sessions", params=wanted, limit=limit)
    return found


def touch_session(session_id: str) -> Steps[Session]:
    """Note a sign of life.

    Raises:
        Conflict: it has ended.
    """
    session: Session = yield request("POST", "sessions", session_id, "heartbeat", body={})
    return session


def end_session(session_id: str, reason: str, *, actor: str | None = None) -> Steps[Session]:
    """End a session; no lease ends with it."""
    body = {"reason": reason, "actor": actor}
    session: Session = yield request("POST", "sessions", session_id, "end", body=body)
    return session


def delete_session(session_id: str) -> Steps[None]:
    """End a session without a reason of one's own; its record stays."""
    yield request("DELETE", "sessions", session_id)
