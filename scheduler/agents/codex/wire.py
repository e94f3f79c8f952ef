"""The app server's messages: the fields that are read, and those that are written.

What is read comes from a program that may be of any version: everything has a default, and unknown fields
and methods are passed over.
"""

from __future__ import annotations

from typing import Any

import msgspec

from backend.model import Json

NOTHING = msgspec.Raw(b"{}")


class Message(msgspec.Struct):
    """A request of the program (method and id), a notification (method), or a response (id)."""

    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = NOTHING
    result: msgspec.Raw = NOTHING
    error: dict[str, Any] | None = None


class Thread(msgspec.Struct):
    id: str


class ThreadOpened(msgspec.Struct):
    thread: Thread
    model: str | None = None


class Failure(msgspec.Struct):
    """Why a turn failed, or a request is tried again. What the program calls the error is a word, or an
    object of one word with the HTTP status."""

    message: str = ""
    codexErrorInfo: str | dict[str, Any] | None = None
    additionalDetails: str | None = None


class Turn(msgspec.Struct):
    id: str
    status: str = ""
    error: Failure | None = None


class TurnChanged(msgspec.Struct):
    turn: Turn
    threadId: str | None = None


class ItemChanged(msgspec.Struct):
    item: dict[str, Any]
    threadId: str | None = None


class Total(msgspec.Struct):
    inputTokens: Any = 0
    cachedInputTokens: Any = 0
    cacheWriteInputTokens: Any = 0
    outputTokens: Any = 0


class ThreadUsage(msgspec.Struct):
    total: Total


class UsageUpdated(msgspec.Struct):
    tokenUsage: ThreadUsage
    threadId: str | None = None


class Window(msgspec.Struct):
    usedPercent: float = 0
    resetsAt: float | None = None


class Limits(msgspec.Struct):
    primary: Window | None = None
    secondary: Window | None = None
    rateLimitReachedType: str | None = None


class LimitsUpdated(msgspec.Struct):
    rateLimits: Limits


class Trouble(msgspec.Struct):
    """A request to the model that failed, and perhaps is tried again."""

    error: Failure
    willRetry: bool = False


class Status(msgspec.Struct):
    type: str = ""
    activeFlags: list[str] = []


class StatusChanged(msgspec.Struct):
    status: Status
    threadId: str | None = None


class Remark(msgspec.Struct):
    """A warning, under one of two names."""

    message: str | None = None
    summary: str | None = None


class Resolved(msgspec.Struct):
    requestId: int | str


class Asked(msgspec.Struct):
    """What any request of the program may hold."""

    turnId: str | None = None
    itemId: str | None = None
    reason: str | None = None
    command: str | None = None
    cwd: str | None = None
    availableDecisions: list[Any] | None = None
    grantRoot: str | None = None
    permissions: dict[str, Any] | None = None
    questions: list[dict[str, Any]] | None = None
    tool: str | None = None
    arguments: Any = None
    serverName: str | None = None
    message: str | None = None
    requestedSchema: dict[str, Any] | None = None


def request(request_id: str, method: str, params: Json) -> bytes:
    return _line({"id": request_id, "method": method, "params": params})


def notification(method: str) -> bytes:
    return _line({"method": method})


def response(request_id: int | str, result: Json) -> bytes:
    return _line({"id": request_id, "result": result})


def failure(request_id: int | str, text: str) -> bytes:
    return _line({"id": request_id, "error": {"code": -32601, "message": text}})


def words(text: str) -> list[Json]:
    """A person's words as input of a turn."""
    return [{"type": "text", "text": text}]


def _line(message: Json) -> bytes:
    return msgspec.json.encode(message) + b"\n"
