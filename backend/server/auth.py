"""Who may call what: keys, their scopes, and how often a key may come."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from backend.errors import OctopoidError
from backend.keys import ApiKey
from backend.server.caller import RECHECK_NAME, SCOPE_NAME, Caller, Forbidden
from backend.server.guard import READ_ONLY
from backend.server.operations import find_operation
from backend.server.problems import problem
from backend.server.rate import CHANGES, FAILURES, READS, Buckets

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

Verify = Callable[[str], Awaitable[ApiKey | None]]
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="octopoid"'}


class Unauthorized(OctopoidError):
    """The request comes without a valid key."""

    slug = "unauthorized"
    http_status = 401


class TooOften(OctopoidError):
    """Too many requests."""

    slug = "too-often"
    http_status = 429


class Auth:
    """Asks each request for a key whose scope covers what it wants. Nothing is read of it before that."""

    def __init__(self, app: ASGIApp, verify: Verify) -> None:
        self.app = app
        self._verify = verify
        self._failures = Buckets(FAILURES)
        self._reads = Buckets(READS)
        self._changes = Buckets(CHANGES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        method = scope.get("method", "GET")  # a WebSocket begins as one
        try:
            caller = await self._admit(scope, method, scope["path"])
        except TooOften as error:
            seconds = str(max(1, math.ceil(float(error.details[0]))))
            await problem(error, {"Retry-After": seconds})(scope, receive, send)
        except Unauthorized as error:
            await problem(error, CHALLENGE)(scope, receive, send)
        except OctopoidError as error:
            await problem(error)(scope, receive, send)
        else:
            scope[SCOPE_NAME] = caller
            scope[RECHECK_NAME] = partial(self._admit, scope)
            await self.app(scope, receive, send)

    async def _admit(self, scope: Scope, method: str, path: str) -> Caller | None:
        public = _is_public(method, path)
        token = _bearer(Headers(scope=scope))
        if token is None and public:
            return None
        key = None if token is None else await self._verify(token)
        if key is None:
            # Only what fails is counted: behind a proxy everybody has the same address.
            _refuse_if(self._failures.take(str((scope.get("client") or ("",))[0])))
            why = "this needs a key" if token is None else "the key is not valid"
            raise Unauthorized(why, "make one with: octopoid keys create --scope work --label NAME")
        buckets = self._reads if method in READ_ONLY else self._changes
        _refuse_if(buckets.take(key.id))
        # Only now: without a key nobody learns which addresses there are.
        operation = find_operation(method, path)
        if operation.needs is not None and not key.scope.covers(operation.needs):
            raise Forbidden(
                f"a key of scope {key.scope} may not {operation.name}", f"it takes scope {operation.needs}"
            )
        return Caller(key.id, key.label, key.scope, key.orchestrator_id)


def _is_public(method: str, path: str) -> bool:
    try:
        return find_operation(method, path).needs is None
    except OctopoidError:
        return False


def _bearer(headers: Headers) -> str | None:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def _refuse_if(wait: float) -> None:
    if wait > 0:
        raise TooOften("too many requests", "wait as long as Retry-After says", (f"{wait:.2f}",))
