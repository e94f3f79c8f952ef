"""What routes read from a request and how they answer it."""

from __future__ import annotations

import asyncio
import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.interface import Backend
from backend.model import Actor, Json, SenderType
from backend.server.problems import BadJson, WrongMediaType
from backend.wire import decode, encode, from_json, refuse_unknown, to_json

T = TypeVar("T")

API_ACTOR = Actor(SenderType.SYSTEM, "api")
"""Who did what a client asked for without saying who it is."""

LARGE = 200
"""Rows from which an answer is encoded in a thread: the loop may be drawing a screen."""


SCOPE = "scope"
"""A namespace that every request may name. What has no namespace takes it and is the same."""

BACKEND_NAME = "octopoid.backend"
"""Where a request's scope has a backend of its own, through which its changes are one transaction."""


def backend_of(request: HTTPConnection) -> Backend:
    backend: Backend = request.scope.get(BACKEND_NAME) or request.app.state.backend
    return backend


async def read_body(request: Request) -> Json:
    """The body as an object; an empty body is an empty object.

    Raises:
        BadJson: it is no JSON.
        WrongMediaType: it is not announced as JSON.
        BadInput: it is JSON, but no object; or the address carries query parameters.
    """
    no_query(request)
    raw = await read_raw(request)
    if not raw:
        return _scoped(request, {})
    try:
        data = decode(raw)
    except ValueError as error:
        raise BadJson("the body is no JSON", str(error)) from error
    if not isinstance(data, dict):
        raise BadInput("the body is no object", "send a JSON object")
    return _scoped(request, data)


def _scoped(request: Request, data: Json) -> Json:
    """A body, and in it the scope that the query names."""
    named = request.query_params.get(SCOPE)
    if named is not None and data.setdefault(SCOPE, named) != named:
        raise BadInput("the query and the body name different scopes", "name the scope in one of them alone")
    return data


async def read_raw(request: Request) -> bytes:
    """The body as it came.

    Raises:
        WrongMediaType: it is not announced as JSON.
    """
    raw = await request.body()
    announced = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if raw and announced != "application/json":
        raise WrongMediaType("the body is not announced as JSON", "send Content-Type: application/json")
    return raw


async def read_record(request: Request, kind: type[T], **from_address: Any) -> T:
    """The body as a record, together with the fields that the address gives."""
    return make(kind, await read_body(request), **from_address)


def make(kind: type[T], body: Json, **from_address: Any) -> T:
    """A record from a body and the fields that the address gives; the body may not repeat those."""
    refuse_unknown(from_address.keys() & body.keys(), (), "field, which the address gives already")
    given = {**body, **from_address}
    if SCOPE in given and SCOPE not in {field.name for field in dataclasses.fields(kind)}:  # type: ignore[arg-type]
        del given[SCOPE]
    return from_json(kind, given, strict=True)


def query_dict(request: HTTPConnection, kind: type) -> Json:
    """The query parameters that the dataclass `kind` names, as strings and lists of strings."""
    known = typing.get_type_hints(kind)
    given = request.query_params
    names = [name for name in given if name != SCOPE or name in known]
    refuse_unknown(names, known, "query parameter")
    data: Json = {}
    for name in names:
        values = given.getlist(name)
        if typing.get_origin(known[name]) is tuple:
            data[name] = [part for value in values for part in value.split(",") if part]
        elif len(values) == 1:
            data[name] = values[0]
        else:
            raise BadInput(f"query parameter {name} is given twice", "give it once")
    return data


def read_query(request: HTTPConnection, kind: type[T]) -> T:
    """The query parameters as a dataclass; a tuple takes several, repeated or with commas between."""
    try:
        return msgspec.convert(query_dict(request, kind), kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadInput("the query does not fit", str(error)) from error


@dataclasses.dataclass(frozen=True, slots=True)
class _Nothing:
    """No query parameters."""


def no_query(request: Request) -> None:
    """Refuse any query parameter."""
    if request.url.query:
        read_query(request, _Nothing)


def respond(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode(data), status, headers, "application/json")


def respond_task(data: Json, status: int = 200) -> Response:
    """A task, or another record with a version, which is a strong ETag."""
    return respond(data, status, {"ETag": f'"v{data["version"]}"'})


def _in_loop() -> bool:
    """Whether a loop would be held up; what is answered in its transaction is in a thread already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def respond_rows(
    name: str, rows: Sequence[T], row_json: typing.Callable[[T], Json], **beside: Any
) -> Response:
    """Rows under `name`, with further members `beside` them."""

    def build() -> bytes:
        return encode({name: [row_json(row) for row in rows], **beside})

    raw = await asyncio.to_thread(build) if len(rows) > LARGE and _in_loop() else build()
    return Response(raw, 200, None, "application/json")


async def respond_page(name: str, rows: Sequence[Any], limit: int, offset: int) -> Response:
    """Some of all rows, and how many there are."""
    page = rows[offset : offset + limit]
    return await respond_rows(name, page, to_json, total=len(rows), limit=limit, offset=offset)


def asked_version(request: Request) -> int | None:
    """The version that `If-Match` names, if any.

    Raises:
        BadInput: the header is no ETag of a task.
    """
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    text = given.strip().strip('"')
    if not text.startswith("v") or not text[1:].isdecimal() or len(text) > 19:
        raise BadInput(f"If-Match {given[:40]!r} is no version", 'send the ETag of the task, like "v17"')
    return int(text[1:])
