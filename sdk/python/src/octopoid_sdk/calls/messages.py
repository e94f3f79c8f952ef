"""Conversations: questions of agents, answers of people, notes."""

from __future__ import annotations

from collections.abc import Sequence

from octopoid_sdk.calls.pages import read_pages
from octopoid_sdk.calls.tasks import new_id
from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.records import Message


def list_questions() -> Steps[list[Message]]:
    """Every request that nobody has answered, oldest first."""
    found: list[Message] = yield from read_pages("messages", "messages", params={"state": "open"})
    return found


def list_undelivered(run_ids: Sequence[str]) -> Steps[list[Message]]:
    """Answered requests of these runs whose answer has not been delivered."""
    wanted = {"state": "undelivered", "run_id": run_ids}
    found: list[Message] = yield from read_pages("messages", "messages", params=wanted)
    return found


def list_unfinished() -> Steps[list[Message]]:
    """The messages of every task that is neither done nor cancelled, oldest first."""
    found: list[Message] = yield from read_pages("messages", "messages", params={"state": "unfinished"})
    return found


def mark_delivered(message_id: str) -> Steps[Message]:
    """Note that an answer has reached its run."""
    message: Message = yield request("POST", "messages", message_id, "delivered", body={})
    return message


def get_message(message_id: str) -> Steps[Message]:
    message: Message = yield request("GET", "messages", message_id)
    return message


def post_message(
    task_id: str,
    body: str,
    *,
    sender_type: str = "human",
    sender_id: str = "sdk",
    message_type: str = "status",
    kind: str = "note",
    options: Sequence[str] = (),
    parent_message_id: str | None = None,
    run_id: str | None = None,
    id: str | None = None,
) -> Steps[Message]:
    """Post to a task's conversation: a note by default, or a question with `message_type="request"`."""
    data = {
        "id": id or new_id(),
        "conversation_id": task_id,
        "sender_type": sender_type,
        "sender_id": sender_id,
        "message_type": message_type,
        "kind": kind,
        "body": body,
        "options": list(options),
        "parent_message_id": parent_message_id,
        "run_id": run_id,
    }
    message: Message = yield request("POST", "messages", body=data)
    return message


def answer_message(message_id: str, text: str, *, actor: str | None = None) -> Steps[Message]:
    """Answer a question; the same answer again is no error.

    Raises:
        Conflict: it has another answer already, or was withdrawn.
    """
    body = {"text": text, "actor": actor}
    message: Message = yield request("POST", "messages", message_id, "answer", body=body)
    return message


def withdraw_message(message_id: str, reason: str) -> Steps[Message]:
    """Close a question that nobody needs answered any more."""
    message: Message = yield request("POST", "messages", message_id, "withdraw", body={"reason": reason})
    return message
