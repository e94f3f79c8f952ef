"""Errors on the wire: RFC 9457 problem+json, with the fields that a client needs to raise them again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from backend.errors import BadInput, NotFound, OctopoidError, StoreBusy, StoreFull
from backend.model import Json
from backend.wire import encode

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("backend.server")
log.addHandler(logging.NullHandler())  # without any handler Python would write to the terminal

MEDIA_TYPE = "application/problem+json"

PAUSES_S = {StoreBusy.http_status: 1, StoreFull.http_status: 10}
"""When to come again, by status, where the same request may be answered then."""

STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class BadJson(BadInput):
    """The body is no JSON."""

    slug = "bad-json"
    http_status = 400


class TooLarge(BadInput):
    """The body is larger than the server takes."""

    slug = "too-large"
    http_status = 413


class TooSlow(BadInput):
    """The body does not arrive."""

    slug = "too-slow"
    http_status = 408


class WrongMediaType(BadInput):
    """The body is not sent as JSON."""

    slug = "wrong-media-type"
    http_status = 415


class AnsweredOnce(OctopoidError):
    """The request was answered already, with what is shown once."""

    slug = "answered-once"
    http_status = 409


class NoSuchAddress(NotFound):
    """The server has no such address."""

    slug = "no-such-address"


class WrongMethod(BadInput):
    """The address does not take this method."""

    slug = "wrong-method"
    http_status = 405


class UpgradeRequired(BadInput):
    """The address is a WebSocket."""

    slug = "upgrade-required"
    http_status = 426


class TooManyStreams(StoreBusy):
    """The server holds as many open streams as it may."""

    slug = "too-many-streams"


class Unexpected(OctopoidError):
    """The server has met an error it did not foresee."""

    slug = "unexpected"


def problem(error: OctopoidError, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that stands for `error`."""
    more = dict(headers or {})
    if isinstance(error, StoreBusy | StoreFull):
        more.setdefault("Retry-After", str(PAUSES_S[error.http_status]))
    return Response(encode(as_problem(error)), error.http_status, more, MEDIA_TYPE)


def as_problem(error: OctopoidError) -> Json:
    """What is said of `error`."""
    title = (type(error).__doc__ or "").strip().partition("\n")[0]
    return {
        "type": f"urn:octopoid:problem:{error.slug}",
        "title": title,
        "status": error.http_status,
        "detail": str(error),
        "slug": error.slug,
        "error": error.problem,
        "next_step": error.next_step,
        "details": list(error.details),
    }


def install(app: FastAPI) -> None:
    """Answer every foreseen error of `app` with a problem."""
    app.add_exception_handler(OctopoidError, _answer_ours)
    app.add_exception_handler(HTTPException, _answer_http)


class Catch:
    """Answers and logs what nobody foresaw, so that no traceback reaches the terminal of a screen."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] in STARTS
            await send(message)

        try:
            await self.app(scope, receive, watch_start)
        except OctopoidError as error:
            if started:
                raise
            await problem(error)(scope, receive, send)
        except Exception:
            log.exception("%s %s failed", scope.get("method"), scope.get("path"))
            if started:
                raise
            trouble = Unexpected("the server met an error it did not foresee", "its log has the details")
            await problem(trouble)(scope, receive, send)


async def _answer_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, OctopoidError)
    return problem(error)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path}"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return problem(WrongMethod(f"{where} is not possible", f"allowed: {allowed}"), error.headers)
    if error.status_code == 404:
        return problem(NoSuchAddress(f"{where} is no address of this server", "addresses begin with /api/v1"))
    log.error("%s was answered with %s: %s", where, error.status_code, error.detail)
    return problem(Unexpected(f"{where} failed: {error.detail}", "the log of the server has the details"))
