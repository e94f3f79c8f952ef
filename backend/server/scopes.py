"""A request that names a scope sees no task, project or draft of another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from backend.errors import BadInput, NotFound, OctopoidError
from backend.ids import check_id
from backend.interface import Backend
from backend.server.guard import BODY_NAME, READ_ONLY
from backend.server.problems import problem
from backend.server.wire import BACKEND_NAME, SCOPE
from backend.wire import decode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

ONE = re.compile(r"/api/v1/(tasks|projects|drafts)/([^/]+)(?:/|$)")
CLAIM = "/api/v1/tasks/claim"
ELSEWHERE = ("/api/v1/keys", "/api/v1/rules", "/api/admin/")
"""There `scope` in a body is what a key may do, whom a rule answers, or part of what is imported."""


class Scopes:
    """Answers 404 where the address is of one thing and the scope named is not its own.

    A request without a scope passes at once; that is nearly every one.
    """

    def __init__(self, app: ASGIApp, backend: Backend) -> None:
        self.app = app
        self._backend = backend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                await self._check(scope)
            except OctopoidError as error:
                await problem(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        found = ONE.match(scope["path"])
        named = asked_scope(scope)
        if found is None or named is None or scope["path"] == CLAIM:
            return
        noun, its_id = found.groups()
        backend: Backend = scope.get(BACKEND_NAME) or self._backend
        if await _scope_of(backend, noun, its_id) != named:
            raise NotFound(f"there is no {noun[:-1]} {its_id[:80]!r} in scope {named}", "leave out the scope")


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
    if scope["method"] not in READ_ONLY and not scope["path"].startswith(ELSEWHERE):
        given += _in_body(scope.get(BODY_NAME, b""))
    if not given:
        return None
    if len(given) > 1 and given[1:] != given[:-1]:
        raise BadInput("the request names two scopes", "name one")
    if not isinstance(given[0], str):
        raise BadInput("the scope is no text", "give a name, or leave it out")
    return check_id(given[0], "scope")


def _in_body(body: bytes) -> list[object]:
    if b'"scope"' not in body:
        return []
    try:
        data = decode(body)
    except ValueError:
        return []  # the route says what is wrong with it
    found = data.get(SCOPE) if isinstance(data, dict) else None
    return [] if found is None else [found]
