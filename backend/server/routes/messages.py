"""Messages: the conversations of tasks, and the questions among them."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.model import NewMessage
from backend.pages import MessageFilter
from backend.server.bodies import AnswerBody, MessageQuery, WithdrawBody
from backend.server.caller import require_run, take_actor
from backend.server.pages import read_messages, respond_span
from backend.server.wire import (
    backend_of,
    make,
    no_query,
    read_body,
    read_query,
    read_record,
    respond,
)
from backend.wire import message_json

router = APIRouter(prefix="/messages")


@router.get("")
async def list_messages(request: Request) -> Response:
    wanted = read_query(request, MessageQuery)
    undelivered = wanted.state == "undelivered"
    if wanted.run_id and not undelivered:
        raise BadInput("run_id goes with state=undelivered", "leave it out")
    listed = MessageFilter(
        unfinished=wanted.state == "unfinished",
        open=wanted.state == "open",
        undelivered=wanted.run_id if undelivered else None,
    )
    read = read_messages(backend_of(request), listed)
    return await respond_span("messages", wanted, read, message_json)


@router.post("")
async def post_message(request: Request) -> Response:
    new = await read_record(request, NewMessage)
    await require_run(request, new.run_id)
    return respond(message_json(await backend_of(request).post_message(new)), 201)


@router.get("/{message_id}")
async def get_message(request: Request, message_id: str) -> Response:
    no_query(request)
    return respond(message_json(await backend_of(request).get_message(message_id)))


@router.post("/{message_id}/answer")
async def answer(request: Request, message_id: str) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    text = make(AnswerBody, body).text
    return respond(message_json(await backend_of(request).answer(message_id, text, actor=actor)))


@router.post("/{message_id}/withdraw")
async def withdraw(request: Request, message_id: str) -> Response:
    body = await read_record(request, WithdrawBody)
    await _require_run_of(request, message_id)
    return respond(message_json(await backend_of(request).withdraw(message_id, body.reason)))


@router.post("/{message_id}/delivered")
async def mark_delivered(request: Request, message_id: str) -> Response:
    make(_Empty, await read_body(request))
    await _require_run_of(request, message_id)
    return respond(message_json(await backend_of(request).mark_delivered(message_id)))


async def _require_run_of(request: Request, message_id: str) -> None:
    await require_run(request, (await backend_of(request).get_message(message_id)).run_id)


@dataclass(frozen=True, slots=True)
class _Empty:
    """A body without fields."""
