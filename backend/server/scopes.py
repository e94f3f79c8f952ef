"""A request that names a scope sees no task, project or draft of another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from backend.errors import BadInput, NotFound, OctopoidError
from backend.ids import check_id
from backend.interface import Backend
from backend.model import Json
from backend.server.guard import BODY_NAME, READ_ONLY
from backend.server.problems import problem
from backend.server.wire import BACKEND_NAME, SCOPE
from backend.wire import decode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

ONE = re.compile(r"/api/v1/(tasks|projects|drafts)/([^/]+)(?:/|$)")
CLAIM = "/api/v1/tasks/claim"
TASK_FIELDS = ("task_id", "work_order_id", "conversation_id", "entity_id", "leases")
"""Fields of queries and bodies that name a task, or several in a list of objects."""
ELSEWHERE = ("/api/v1/keys", "/api/v1/rules", "/api/admin/")
"""There `scope` in a body is what a key may do, whom a rule answers, or part of what is imported."""


class Scopes:
    """Answers 404 where a request is about one thing, or names a task, and the scope named is not its own.

    A request without a scope passes at once; that is nearly every one.
    """

    def __init__(self, app: ASGIApp, backend: Backend) -> None:
        self.app = app
        self._backend = backend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            try:
                await self._check(scope)
            except OctopoidError as error:
                await problem(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        named = asked_scope(scope)
        if named is None:
            return
        backend: Backend = scope.get(BACKEND_NAME) or self._backend
        found = ONE.match(scope["path"])
        if found is not None and scope["path"] != CLAIM:
            noun, its_id = found.groups()
            _require(noun, its_id, named, await _scope_of(backend, noun, its_id))
        for task_id in named_tasks(scope):
            try:
                own = await _scope_of(backend, "tasks", task_id)
            except NotFound:
                continue  # whoever answers knows whether it has to be there
            _require("tasks", task_id, named, own)


def _require(noun: str, its_id: str, named: str, own: str | None) -> None:
    if own != named:
        raise NotFound(
            f"there is no {noun[:-1]} {its_id[:80]!r} in scope {named}",
            "name the scope that it is in, or leave the scope out",
        )


def named_tasks(scope: Scope) -> set[str]:
    """The ids of tasks that a request gives beside its address."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    given: list[object] = [query.get(name) for name in TASK_FIELDS]
    body = _body(scope)
    given += [body.get(name) for name in TASK_FIELDS]
    found: set[str] = set()
    for one in given:
        for part in one if isinstance(one, list) else [one]:
            task_id = part.get("task_id") if isinstance(part, dict) else part
            if isinstance(task_id, str):
                found.add(task_id)
    return found


async def _scope_of(backend: Backend, noun: str, its_id: str) -> str | None:
    if noun == "tasks":
        return (await backend.get_task(its_id)).scope
    if noun == "projects":
        return (await backend.get_project(its_id)).scope
    return (await backend.get_draft(its_id)).scope


def asked_scope(scope: Scope) -> str | None:
    """The scope that a request names, in its query or its body.

    Raises:
        BadInput: it is no name, or there are two.
    """
    given: list[object] = []
    if b"scope" in scope["query_string"]:
        given += parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get(SCOPE, [])
    body = _body(scope)
    if body.get(SCOPE) is not None:
        given.append(body[SCOPE])
    if not given:
        return None
    if len(given) > 1 and given[1:] != given[:-1]:
        raise BadInput("the request names two scopes", "name the one that the task, project or draft is in")
    if not isinstance(given[0], str):
        raise BadInput("the scope is no text", "give a name, or leave it out")
    return check_id(given[0], "scope")


def _body(scope: Scope) -> Json:
    """The object in the body of a change; empty where there is none, or it names no scope anywhere."""
    raw: bytes = scope.get(BODY_NAME, b"")
    if scope.get("method", "GET") in READ_ONLY or scope["path"].startswith(ELSEWHERE):
        return {}
    if b'"scope"' not in raw and b"scope" not in scope["query_string"]:
        return {}
    try:
        data = decode(raw)
    except ValueError:
        return {}  # the route says what is wrong with it
    return data if isinstance(data, dict) else {}
