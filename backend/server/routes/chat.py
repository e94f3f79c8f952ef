"""The chat: what agents ask and people answer, with a place in the log for each thing said."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import BadInput
from backend.server.chat import place_of, read_chat, say
from backend.server.events import Streams, wait_for_events
from backend.server.problems import UpgradeRequired
from backend.server.wire import backend_of, read_query, read_record, respond, respond_rows
from backend.server.worker_bodies import ChatBody, ChatEventQuery, ChatMessage, ChatQuery
from backend.wire import event_json, to_json

router = APIRouter(prefix="/chat")


@router.get("/messages")
async def chat_messages(request: Request) -> Response:
    """What was said, oldest first: at once, or after a wait for the first of it."""
    wanted = read_query(request, ChatQuery)
    backend, streams = backend_of(request), _streams(request)
    task_id = wanted.conversation_id or wanted.task_id
    if wanted.conversation_id not in (None, task_id) or wanted.task_id not in (None, task_id):
        raise BadInput("conversation_id and task_id say the same", "give one of them: the task's id")
    after = wanted.after
    if wanted.last_message_id is not None:
        after = await place_of(backend, wanted.last_message_id)
    if wanted.parent_message_id is not None:
        task_id = (await backend.get_message(wanted.parent_message_id)).conversation_id
    until = asyncio.get_running_loop().time() + wanted.wait
    while True:
        seq = await backend.last_seq()
        rows, after = await read_chat(backend, after, wanted.limit, task_id, wanted.takes)
        left = until - asyncio.get_running_loop().time()
        if rows or left <= 0 or streams.closing.is_set():
            return await respond_rows("messages", rows, to_json, next_after=after)
        await wait_for_events(backend, seq, left, streams)


@router.post("/messages")
async def post_chat_message(request: Request) -> Response:
    body = await read_record(request, ChatBody)
    said: ChatMessage = await say(request, body)
    return respond(to_json(said), 201)


@router.get("/events")
async def chat_events(request: Request) -> Response:
    """The log of messages, as it is."""
    wanted = read_query(request, ChatEventQuery)
    rows = await backend_of(request).chat(after=wanted.after, limit=wanted.limit, task_id=wanted.task_id)
    return await respond_rows("events", rows, event_json)


@router.get("/ws")
async def chat_socket_wanted(request: Request) -> Response:
    """What is answered where the WebSocket is, to a request that does not ask for one."""
    raise UpgradeRequired(
        "this address is a WebSocket", "connect with a WebSocket client, or use chat/messages"
    )


def _streams(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams
