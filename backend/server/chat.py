"""Conversations as a chat: what is said, in its place in the log, and saying something.

A request and its answer are one record of the model. Here they are two messages, each where the log has it,
so that whoever has seen one place can go on from there without a hole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from starlette.requests import HTTPConnection

from backend.clean import clean
from backend.errors import BadInput, NotFound
from backend.ids import asked_id
from backend.interface import Backend
from backend.model import Actor, Event, Message, MessageKind, MessageType, NewMessage, SenderType
from backend.server import crew
from backend.server.caller import caller_of, default_actor, require_machine, require_run
from backend.server.orders import lost
from backend.server.wire import backend_of
from backend.server.worker_bodies import ChatBody, ChatMessage
from backend.wire import parse_actor

ENDINGS = {"": "post", ".answer": "answer", ".withdrawal": "withdraw"}
"""What stands behind a message's id for each thing that is said of it, and the event that says it."""

SUFFIXES = {kind: ending for ending, kind in ENDINGS.items()}
PAGE = 500
SENDER_LIMIT = 100

Wanted = Callable[[ChatMessage], bool]


async def read_chat(
    backend: Backend, after: int, limit: int, task_id: str | None = None, wanted: Wanted | None = None
) -> tuple[list[ChatMessage], int]:
    """What was said after a place in the log, and the place up to which was looked."""
    found: list[ChatMessage] = []
    while len(found) < limit:
        events = await backend.chat(after=after, limit=PAGE, task_id=task_id)
        for event in events:
            after = event.seq
            if event.kind not in SUFFIXES:
                continue
            said = said_of(event, await backend.get_message(event.entity_id))
            if wanted is None or wanted(said):
                found.append(said)
            if len(found) == limit:
                break
        if len(events) < PAGE:
            break
    return found, after


async def place_of(backend: Backend, chat_id: str) -> int:
    """The place in the log of something said, by its id.

    Raises:
        NotFound: nothing has this id.
    """
    for ending, kind in ENDINGS.items():
        if chat_id.endswith(ending):
            for event in await backend.events(entity_id=chat_id.removesuffix(ending)):
                if event.entity == "message" and event.kind == kind:
                    return event.seq
    raise NotFound(
        f"there is no message {chat_id[:80]!r}",
        "give the id of a message that GET /api/v1/chat/messages has shown",
    )


async def say(connection: HTTPConnection, body: ChatBody) -> ChatMessage:
    """Store what somebody says: a request or a status as a message, a response as the answer to its request.

    Raises:
        BadInput: it does not say of what, or to what.
        Refused: the request has another answer, or was withdrawn.
        LeaseLost: a worker asks about a task it does not hold.
        Forbidden: the key acts for another machine.
    """
    body = replace(
        body,
        message=clean(body.message).strip(),
        options=tuple(clean(option, newlines=False) for option in body.options),
    )
    if not body.message:
        raise BadInput("the message says nothing", "give a text")
    if body.message_type is MessageType.RESPONSE:
        return await _answer(connection, body)
    backend = backend_of(connection)
    sender = await _sender(connection, body)
    task_id, run_id = await _place(connection, body, sender)
    new = NewMessage(
        id=body.id or asked_id(),
        conversation_id=task_id,
        sender=sender,
        type=body.message_type,
        kind=MessageKind.QUESTION if body.message_type is MessageType.REQUEST else MessageKind.NOTE,
        body=body.message,
        options=body.options,
        parent_message_id=body.parent_message_id,
        run_id=run_id,
    )
    message = await backend.post_message(new)
    await crew.refresh_holder(backend, message.run_id)
    return await _stored(backend, message, "post")


async def _answer(connection: HTTPConnection, body: ChatBody) -> ChatMessage:
    backend = backend_of(connection)
    request = await _asked(backend, body)
    sender = await _sender(connection, body)
    answered = await backend.answer(request.id, body.message, actor=sender)
    await crew.refresh_holder(backend, answered.run_id)
    return await _stored(backend, answered, "answer")


async def _asked(backend: Backend, body: ChatBody) -> Message:
    """The request that a response is to: the one it names, or the only one that is open."""
    place = _conversation(body)
    if body.parent_message_id is not None:
        request = await backend.get_message(body.parent_message_id)
        if place not in (None, request.conversation_id):
            raise BadInput(
                f"message {request.id} is of conversation {request.conversation_id}, not of {place}",
                "leave the conversation out: the message says it",
            )
        return request
    found = [one for one in await backend.open_questions() if place in (None, one.conversation_id)]
    if len(found) == 1:
        return found[0]
    many = "no request is open" if not found else f"{len(found)} requests are open"
    raise BadInput(f"{many}: which is it?", "name it with parent_message_id")


async def _sender(connection: HTTPConnection, body: ChatBody) -> Actor:
    if body.sender_id is not None:
        if not body.sender_id.isprintable() or len(body.sender_id) > SENDER_LIMIT:
            raise BadInput("sender_id is not usable", f"give 1 to {SENDER_LIMIT} printable characters")
        kind = body.sender_type or _usual(body.message_type)
        return parse_actor(f"{kind.value}:{body.sender_id}")
    if body.sender_type is SenderType.WORKER or body.message_type is MessageType.REQUEST:
        raise BadInput("the sender is not named", "give sender_id: a worker's id, or a person's name")
    caller = caller_of(connection)
    name = default_actor(connection).id if caller is None else caller.label
    return Actor(body.sender_type or _usual(body.message_type), name)


def _usual(kind: MessageType) -> SenderType:
    return SenderType.HUMAN if kind is MessageType.RESPONSE else SenderType.WORKER


async def _place(connection: HTTPConnection, body: ChatBody, sender: Actor) -> tuple[str, str | None]:
    """The task that a message is about, and the run of the worker that says it."""
    backend = backend_of(connection)
    place = _conversation(body)
    workers = await crew.list_workers(backend) if sender.type is SenderType.WORKER else []
    worker = next((one for one in workers if one.id == sender.id), None)
    if worker is None:
        if place is None:
            raise BadInput("the conversation is not named", "give conversation_id: the task's id")
        await require_run(connection, body.execution_id)
        return place, body.execution_id
    require_machine(connection, worker.orchestrator_id)
    held = [
        (task, run)
        for task, run in await crew.held_by(backend, worker)
        if place in (None, task.id) and body.execution_id in (None, run.id)
    ]
    if len(held) == 1:
        return held[0][0].id, held[0][1].id
    if place is None:
        raise BadInput("the conversation is not named", "give conversation_id: the task's id")
    task = await backend.get_task(place)
    if body.message_type is MessageType.REQUEST:
        raise lost(task, worker)
    return task.id, None


def _conversation(body: ChatBody) -> str | None:
    if None not in (body.conversation_id, body.task_id) and body.conversation_id != body.task_id:
        raise BadInput("conversation_id and task_id say the same", "give one of them: the task's id")
    return body.conversation_id or body.task_id


async def _stored(backend: Backend, message: Message, kind: str) -> ChatMessage:
    """A message as it has just been said, or was when it was said before."""
    events = await backend.events(entity_id=message.id)
    event = next(one for one in events if one.entity == "message" and one.kind == kind)
    return said_of(event, message)


def said_of(event: Event, message: Message) -> ChatMessage:
    """What an event of a message says."""
    posted = event.kind == "post"
    sender = message.sender if posted else parse_actor(event.actor)
    kinds = {"post": message.type, "answer": MessageType.RESPONSE, "withdraw": MessageType.STATUS}
    texts = {"post": message.body, "answer": message.answer, "withdraw": f"withdrawn: {event.reason}"}
    return ChatMessage(
        seq=event.seq,
        id=f"{message.id}{SUFFIXES[event.kind]}",
        conversation_id=message.conversation_id,
        task_id=message.conversation_id,
        sender_type=sender.type,
        sender_id=sender.id,
        message=texts[event.kind] or "",
        message_type=kinds[event.kind],
        parent_message_id=message.parent_message_id if posted else message.id,
        execution_id=message.run_id,
        options=message.options if posted else (),
        open=posted and message.open,
        created_at=event.at,
    )
