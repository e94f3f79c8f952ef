"""The chat as a WebSocket: everything said comes as it is stored, and what is sent is said.

The log is the queue: each client has a place in it and gets what follows, so that no client's slowness takes
memory here. One that takes nothing for long is let go, and goes on later from where it was.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection

from backend.errors import BadInput, OctopoidError, StoreBusy
from backend.model import Json, MessageType
from backend.server.auth import TooOften, Unauthorized
from backend.server.caller import RECHECK_NAME, Forbidden
from backend.server.chat import place_of, read_chat, say
from backend.server.events import MAX_STREAMS, Streams, end_tasks, wait_for_events
from backend.server.problems import TooManyStreams, as_problem
from backend.server.wire import backend_of, make, read_query
from backend.server.worker_bodies import ChatBody, ChatMessage, ChatSocketQuery
from backend.wire import decode, encode, to_json

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PAGE = 100
SEND_S = 30.0
"""How long a client may take nothing of what is sent to it."""
RECHECK_S = 15.0
"""How long a key that was revoked may still be told things."""
MESSAGES = "/api/v1/chat/messages"
GOING_AWAY, POLICY, AGAIN_LATER = 1001, 1008, 1013
FRAMES = {
    MessageType.REQUEST: "worker_request",
    MessageType.RESPONSE: "human_response",
    MessageType.STATUS: "status",
}
KINDS = {frame: kind for kind, frame in FRAMES.items()}


class ChatSocket:
    """Serves one client until it leaves, falls behind, or the server stops."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        wanted = read_query(connection, ChatSocketQuery)
        streams: Streams = scope["app"].state.streams
        if streams.count >= MAX_STREAMS:
            raise TooManyStreams(f"{MAX_STREAMS} streams are open", "close one, or try again later")
        if None not in (wanted.conversation_id, wanted.task_id) and wanted.conversation_id != wanted.task_id:
            raise BadInput("conversation_id and task_id say the same", "give one of them: the task's id")
        after = await _start(connection, wanted)
        await receive()  # websocket.connect
        streams.count += 1
        try:
            await send({"type": "websocket.accept"})
            code = await _Client(connection, receive, send).serve(after, wanted, streams)
            if code is not None:
                await asyncio.wait_for(send({"type": "websocket.close", "code": code}), SEND_S)
        except (OSError, TimeoutError):
            return  # it has gone
        finally:
            streams.count -= 1


async def _start(connection: HTTPConnection, wanted: ChatSocketQuery) -> int:
    backend = backend_of(connection)
    if wanted.last_message_id is not None:
        return await place_of(backend, wanted.last_message_id)
    return await backend.last_seq() if wanted.after is None else wanted.after


class _Client:
    """One connection: a task that tells it what is said, and one that hears what it says."""

    def __init__(self, connection: HTTPConnection, receive: Receive, send: Send) -> None:
        self._connection = connection
        self._receive = receive
        self._send = send
        self._sending = asyncio.Lock()

    async def serve(self, after: int, wanted: ChatSocketQuery, streams: Streams) -> int | None:
        """Until it ends; the code to close with, if it is still there."""
        task_id = wanted.conversation_id or wanted.task_id
        telling = asyncio.create_task(self._tell(after, task_id, streams))
        hearing = asyncio.create_task(self._hear())
        try:
            done, _ = await asyncio.wait({telling, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if telling in done:
                return telling.result()
            hearing.result()
            return None
        finally:
            await end_tasks(telling, hearing)

    async def _tell(self, after: int, task_id: str | None, streams: Streams) -> int | None:
        backend, loop = backend_of(self._connection), asyncio.get_running_loop()
        checked = loop.time()
        try:
            while not streams.closing.is_set():
                if loop.time() - checked > RECHECK_S:
                    await self._recheck("GET")
                    checked = loop.time()
                seq = await backend.last_seq()
                rows, after = await read_chat(backend, after, PAGE, task_id)
                for said in rows:
                    await self._frame(_frame_of(said))
                if len(rows) < PAGE:
                    await wait_for_events(backend, seq, RECHECK_S, streams)
        except TimeoutError:
            return None  # it takes nothing, so it would not take a goodbye either
        except (Unauthorized, Forbidden, TooOften):
            return POLICY
        except StoreBusy:
            return AGAIN_LATER
        return GOING_AWAY

    async def _hear(self) -> None:
        while (message := await self._receive())["type"] == "websocket.receive":
            raw = message.get("text")
            if raw is None:
                raw = message["bytes"]
            try:
                await self._frame(await self._heard(raw))
            except TimeoutError:
                return

    async def _heard(self, raw: str | bytes) -> Json:
        """What is answered to one frame: that it was said, or why it was not."""
        reference: Any = None
        try:
            data = _object(raw)
            reference = data.pop("ref", None)
            await self._recheck("POST")
            said = await say(self._connection, _body(data))
        except OctopoidError as error:
            return {**as_problem(error), "type": "error", "ref": reference}
        return {"type": "said", "ref": reference, "id": said.id, "seq": said.seq}

    async def _recheck(self, method: str) -> None:
        """Ask again what was asked when the connection began: a key may have been revoked since.

        Raises:
            Unauthorized, TooOften, Forbidden.
        """
        if RECHECK_NAME in self._connection.scope:
            await self._connection.scope[RECHECK_NAME](method, MESSAGES)

    async def _frame(self, data: Json) -> None:
        async with self._sending:
            frame = {"type": "websocket.send", "text": encode(data).decode()}
            await asyncio.wait_for(self._send(frame), SEND_S)


def _frame_of(said: ChatMessage) -> Json:
    return {"type": FRAMES[said.message_type], **to_json(said)}


def _object(raw: str | bytes) -> Json:
    try:
        data = decode(raw.encode() if isinstance(raw, str) else raw)
    except ValueError as error:
        raise BadInput("the frame is no JSON", str(error)) from error
    if not isinstance(data, dict):
        raise BadInput("the frame is no object", "send a JSON object")
    return data


def _body(data: Json) -> ChatBody:
    """A frame as something said; `type` is another word for `message_type`."""
    kind = data.pop("type", None)
    body = make(ChatBody, data)
    if kind is None:
        return body
    if kind not in KINDS:
        raise BadInput(f"type {str(kind)[:40]!r} is not known", f"give {', '.join(KINDS)}")
    return replace(body, message_type=KINDS[kind])
