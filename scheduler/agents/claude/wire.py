"""Claude Code's messages: the fields that are read, and those that are written.

What is read comes from a program that may be of any version: everything has a default, and unknown fields
and types are passed over.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from backend.model import Json

NAMESPACE = uuid.UUID("5a8d5f0c-0c0b-4f2e-9c55-0c70d01d0001")


class Line(msgspec.Struct):
    """What tells one kind of message from another."""

    type: str
    subtype: str | None = None


class System(msgspec.Struct):
    subtype: str | None = None
    session_id: str | None = None
    model: str | None = None
    claude_code_version: str | None = None
    mcp_servers: list[dict[str, Any]] = []
    state: str | None = None
    attempt: int | None = None
    retry_delay_ms: float | None = None
    error_status: int | None = None
    error: Any = None
    tool_name: str | None = None
    message: Any = None
    description: str | None = None
    status: str | None = None


class Body(msgspec.Struct):
    content: str | list[dict[str, Any]] = ""


class Said(msgspec.Struct):
    """An `assistant` or `user` message: one block of content, or a few."""

    message: Body
    parent_tool_use_id: str | None = None
    is_api_error_message: bool | None = None
    error: str | None = None
    tool_result_meta: list[dict[str, Any]] | None = None


class Progress(msgspec.Struct):
    parent_tool_use_id: str | None = None
    elapsed_time_seconds: float | None = None


class Lifecycle(msgspec.Struct):
    """What has become of a message of ours."""

    command_uuid: str | None = None
    state: str | None = None


class Limit(msgspec.Struct):
    rate_limit_info: dict[str, Any]


class Result(msgspec.Struct):
    subtype: str | None = None
    is_error: bool | None = None
    terminal_reason: str | None = None
    api_error_status: int | None = None
    num_turns: int | None = None
    user_message_uuids: list[str] | None = None
    result: str | None = None
    errors: list[str] | None = None
    total_cost_usd: float | None = None
    modelUsage: dict[str, dict[str, Any]] | None = None


class Asked(msgspec.Struct):
    subtype: str
    tool_name: str = ""
    description: str | None = None
    input: dict[str, Any] = {}
    permission_suggestions: list[dict[str, Any]] | None = None
    message: dict[str, Any] = {}


class ControlRequest(msgspec.Struct):
    request_id: str
    request: Asked


class Cancel(msgspec.Struct):
    request_id: str


class Answered(msgspec.Struct):
    subtype: str
    request_id: str | None = None
    error: str | None = None


class ControlResponse(msgspec.Struct):
    response: Answered


def line(message: Json) -> bytes:
    """One message for its input."""
    return msgspec.json.encode(message) + b"\n"


def message_uuid(run_id: str, send_id: str) -> str:
    """The name of a message of ours, the same after every restart: a second one of it is ignored."""
    return str(uuid.uuid5(NAMESPACE, f"{run_id} {send_id}"))


def user_message(name: str, text: str) -> bytes:
    """A prompt, or a person's words, under a name made by `message_uuid`."""
    return line(
        {
            "type": "user",
            "uuid": name,
            "session_id": "",
            "parent_tool_use_id": None,
            "message": {"role": "user", "content": text},
        }
    )


def control(request_id: str, request: Json) -> bytes:
    return line({"type": "control_request", "request_id": request_id, "request": request})


def success(request_id: str, response: Json) -> bytes:
    answer = {"subtype": "success", "request_id": request_id, "response": response}
    return line({"type": "control_response", "response": answer})


def failure(request_id: str, error: str) -> bytes:
    answer = {"subtype": "error", "request_id": request_id, "error": error}
    return line({"type": "control_response", "response": answer})
