"""The chat: what agents ask and people answer, each thing said in its place in the log."""

from __future__ import annotations

from collections.abc import Sequence

from octopoid_sdk.calls.tasks import new_id
from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.fleet_records import ChatMessage, ChatPage
from octopoid_sdk.records import Event


def read_chat(
    *,
    task_id: str | None = None,
    parent_message_id: str | None = None,
    after: int | None = None,
    last_message_id: str | None = None,
    limit: int | None = None,
    wait: float | None = None,
) -> Steps[ChatPage]:
    """What was said, oldest first; `next_after` is what to give as `after` the next time.

    Args:
        wait: seconds to wait for the first of it, up to 25.
    """
    params = {
        "task_id": task_id,
        "parent_message_id": parent_message_id,
        "after": after,
        "last_message_id": last_message_id,
        "limit": limit,
        "wait": wait,
    }
    page: ChatPage = yield request("GET", "chat", "messages", params=params)
    return page


def say(
    message: str,
    *,
    task_id: str | None = None,
    message_type: str = "status",
    sender_type: str | None = None,
    sender_id: str | None = None,
    parent_message_id: str | None = None,
    execution_id: str | None = None,
    options: Sequence[str] | None = None,
    id: str | None = None,
    scope: str | None = None,
) -> Steps[ChatMessage]:
    """Ask, answer or note something.

    Args:
        message_type: request, response or status; a response answers the request `parent_message_id`.
    """
    body = {
        "message": message,
        "task_id": task_id,
        "message_type": message_type,
        "sender_type": sender_type,
        "sender_id": sender_id,
        "parent_message_id": parent_message_id,
        "execution_id": execution_id,
        "options": options,
        "id": id or new_id(),
        "scope": scope,
    }
    said: ChatMessage = yield request("POST", "chat", "messages", body=body)
    return said


def list_chat_events(
    *, after: int = 0, limit: int | None = None, task_id: str | None = None
) -> Steps[list[Event]]:
    """The log of messages after a sequence number, in order."""
    params = {"after": after, "limit": limit, "task_id": task_id}
    page = yield request("GET", "chat", "events", params=params)
    events: list[Event] = page["events"]
    return events
