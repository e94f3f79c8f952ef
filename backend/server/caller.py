"""Who a request comes from, and for which machine it may act."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from backend.errors import OctopoidError
from backend.keys import KeyScope
from backend.model import Actor, Json, SenderType, Task
from backend.server.plans import ByQuery
from backend.server.wire import API_ACTOR, backend_of, read_query
from backend.wire import parse_actor

SCOPE_NAME = "octopoid.caller"
RECHECK_NAME = "octopoid.recheck"
"""Where the scope of a connection that stays open has what asks again whether its key is good."""


class Forbidden(OctopoidError):
    """The key does not allow this."""

    slug = "forbidden"
    http_status = 403


@dataclass(frozen=True, slots=True)
class Caller:
    """The key a request came with."""

    key_id: str
    label: str
    scope: KeyScope
    orchestrator_id: str | None


def caller_of(request: HTTPConnection) -> Caller | None:
    """The caller; None on a connection that needs no key."""
    found: Caller | None = request.scope.get(SCOPE_NAME)
    return found


def default_actor(request: HTTPConnection) -> Actor:
    """Who did what a client asked for without saying who it is."""
    caller = caller_of(request)
    return API_ACTOR if caller is None else Actor(SenderType.SYSTEM, f"key-{caller.key_id}")


def take_actor(request: HTTPConnection, body: Json) -> Actor:
    """Take `actor` out of a body."""
    given = body.pop("actor", None)
    return default_actor(request) if given is None else parse_actor(given)


def query_actor(request: HTTPConnection) -> Actor:
    """Who deletes something: the `actor` of the query."""
    given = read_query(request, ByQuery).actor
    return default_actor(request) if given is None else parse_actor(given)


def require_machine(request: HTTPConnection, orchestrator_id: str | None) -> None:
    """
    Raises:
        Forbidden: the key is bound to another machine.
    """
    caller = caller_of(request)
    if caller is None or caller.orchestrator_id in (None, orchestrator_id):
        return
    raise Forbidden(
        f"this key acts for {caller.orchestrator_id}, not for {orchestrator_id or 'no machine'}",
        "use that machine's own key",
    )


def require_holder(request: HTTPConnection, task: Task) -> None:
    """
    Raises:
        Forbidden: the task is held by a machine that the key does not act for.
    """
    if task.orchestrator_id is not None:
        require_machine(request, task.orchestrator_id)


async def require_task(request: HTTPConnection, task_id: str) -> None:
    """The same of a task that has still to be read; nothing is read for a key that is not bound."""
    if _is_bound(request):
        require_holder(request, await backend_of(request).get_task(task_id))


async def require_run(request: HTTPConnection, run_id: str | None) -> None:
    """
    Raises:
        Forbidden: the run is another machine's.
        NotFound: there is no such run.
    """
    if run_id is not None and _is_bound(request):
        require_machine(request, (await backend_of(request).get_run(run_id)).orchestrator_id)


def _is_bound(request: HTTPConnection) -> bool:
    caller = caller_of(request)
    return caller is not None and caller.orchestrator_id is not None
