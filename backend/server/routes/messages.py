"""Messages: the conversations of tasks, and the questions among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.model import NewMessage
from backend.server.wire import (
    backend_of,
    make,
    no_query,
    read_body,
    read_query,
    read_record,
    respond,
    respond_rows,
    take_actor,
)
from backend.wire import message_json

router = APIRouter(prefix="/messages")


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """What `GET /messages` understands: the open questions, or the answers not yet delivered to runs."""

    state: Literal["open", "undelivered"]
    run_id: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerBody:
    """An answer to a request."""

    text: str


@dataclass(frozen=True, slots=True)
class WithdrawBody:
    """Why nobody needs the answer any more."""

    reason: str


@router.get("")
async def list_messages(request: Request) -> Response:
    wanted = read_query(request, MessageQuery)
    backend = backend_of(request)
    if wanted.state == "undelivered":
        return await respond_rows("messages", await backend.undelivered(wanted.run_id), message_json)
    if wanted.run_id:
        raise BadInput("run_id goes with state=undelivered", "leave it out")
    return await respond_rows("messages", await backend.open_questions(), message_json)


@router.post("")
async def post_message(request: Request) -> Response:
    new = await read_record(request, NewMessage)
    return respond(message_json(await backend_of(request).post_message(new)), 201)


@router.get("/{message_id}")
async def get_message(request: Request, message_id: str) -> Response:
    no_query(request)
    return respond(message_json(await backend_of(request).get_message(message_id)))


@router.post("/{message_id}/answer")
async def answer(request: Request, message_id: str) -> Response:
    body = await read_body(request)
    actor = take_actor(body)
    text = make(AnswerBody, body).text
    return respond(message_json(await backend_of(request).answer(message_id, text, actor=actor)))


@router.post("/{message_id}/withdraw")
async def withdraw(request: Request, message_id: str) -> Response:
    body = await read_record(request, WithdrawBody)
    return respond(message_json(await backend_of(request).withdraw(message_id, body.reason)))


@router.post("/{message_id}/delivered")
async def mark_delivered(request: Request, message_id: str) -> Response:
    make(_Empty, await read_body(request))
    return respond(message_json(await backend_of(request).mark_delivered(message_id)))


@dataclass(frozen=True, slots=True)
class _Empty:
    """A body without fields."""
