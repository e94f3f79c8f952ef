"""Requests of agents become messages; answers find their way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from backend.clean import clean
from backend.ids import new_id
from backend.interface import Backend
from backend.model import Actor, Message, MessageKind, MessageType, NewMessage, Run, SenderType
from scheduler.agents.interface import Request as TalkRequest
from scheduler.agents.interface import RequestKind
from scheduler.follow import Following
from scheduler.runs.outbox import OutboxItem

INTERRUPT = "interrupt"
"""The option of a note that breaks off the agent's turn."""

TEXT_LIMIT = 16_000
OPTION_LIMIT = 200
OPTIONS_LIMIT = 20
LONGEST_DEADLINE_S = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Request:
    """A question as an agent put it, made harmless."""

    question: str
    options: tuple[str, ...]
    default: str | None
    deadline: datetime | None


def read_request(payload: Mapping[str, object], now: datetime) -> Request:
    """Read an `ask` item of the outbox; what is missing or of a wrong kind is said in the question."""
    text = payload.get("question")
    question = clean(text)[:TEXT_LIMIT] if isinstance(text, str) and text.strip() else "(an empty question)"
    raw = payload.get("options")
    given = raw[:OPTIONS_LIMIT] if isinstance(raw, list) else []
    options = tuple(
        clean(option, newlines=False)[:OPTION_LIMIT] for option in given if isinstance(option, str)
    )
    default = payload.get("default")
    answer = clean(default)[:TEXT_LIMIT].strip() if isinstance(default, str) else ""
    return Request(question, options, answer or None, _deadline(payload.get("deadline_s"), now))


def _deadline(seconds: object, now: datetime) -> datetime | None:
    """The time after so many seconds; what is no number, or longer than a year, is no deadline."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    wait = max(seconds, 0.0)
    return now + timedelta(seconds=wait) if wait <= LONGEST_DEADLINE_S else None


async def post_request(backend: Backend, run: Run, item: OutboxItem, now: datetime) -> Message:
    """Store an agent's question; the same item again is the same message."""
    request = read_request(item.payload, now)
    return await backend.post_message(
        NewMessage(
            id=new_id(),
            conversation_id=run.task_id,
            sender=Actor(SenderType.WORKER, run.agent_name),
            type=MessageType.REQUEST,
            kind=MessageKind.QUESTION,
            body=request.question,
            options=request.options,
            run_id=run.id,
            request_id=item.id,
            deadline=request.deadline,
            default_answer=request.default,
        )
    )


async def post_asks(backend: Backend, run: Run, key: str, request: TalkRequest) -> tuple[Message, ...]:
    """Store what an agent waits for by its own protocol: one message for each of its questions.

    The same request again gives the same messages.
    """
    permission = request.kind in (RequestKind.PERMISSION, RequestKind.PLAN)
    return tuple(
        [
            await backend.post_message(
                NewMessage(
                    id=new_id(),
                    conversation_id=run.task_id,
                    sender=Actor(SenderType.WORKER, run.agent_name),
                    type=MessageType.REQUEST,
                    kind=MessageKind.PERMISSION if permission else MessageKind.QUESTION,
                    body=clean(ask.text)[:TEXT_LIMIT].strip() or "(an empty question)",
                    options=tuple(clean(option, newlines=False)[:OPTION_LIMIT] for option in ask.options),
                    run_id=run.id,
                    request_id=f"{key}.{number}",
                )
            )
            for number, ask in enumerate(request.asks)
        ]
    )


def asked_by_talk(message: Message) -> str | None:
    """The key of the request that this message was made of; None when it came another way."""
    name = message.request_id or ""
    return name.rpartition(".")[0] if name.startswith("talk:") else None


async def post_progress(backend: Backend, run: Run, text: str, request_id: str) -> Message:
    """Store a remark of an agent that asks for nothing."""
    return await backend.post_message(
        NewMessage(
            id=new_id(),
            conversation_id=run.task_id,
            sender=Actor(SenderType.WORKER, run.agent_name),
            type=MessageType.STATUS,
            kind=MessageKind.NOTE,
            body=clean(text)[:TEXT_LIMIT],
            run_id=run.id,
            request_id=request_id,
        )
    )


def deliver(following: Following, message: Message) -> None:
    """Put an answer where the agent waits for it. Blocking, brief; the same answer twice does no harm."""
    assert message.request_id is not None
    assert message.answer is not None
    following.run_dir.write_inbox(
        message.request_id, {"id": message.request_id, "answer": message.answer, "message_id": message.id}
    )
    following.note("request.closed", request_id=message.request_id, by="answer")
