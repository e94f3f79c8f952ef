"""Messages of the Agent Client Protocol: JSON-RPC 2.0, one object in a line.

What is read comes from programs of any version: everything has a default, and unknown fields are passed over.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from backend.model import Json

PROTOCOL: Final = 1
AUTH_REQUIRED: Final = -32000
UNKNOWN_METHOD: Final = -32601


class Problem(msgspec.Struct):
    """The error of a response."""

    code: int = 0
    message: str = ""
    data: Any = None


class Line(msgspec.Struct):
    """A request, a notification (no id) or a response (no method)."""

    id: int | str | None = None
    method: str | None = None
    params: dict[str, Any] = {}
    result: Any = None
    error: Problem | None = None


class AgentInfo(msgspec.Struct):
    name: str = ""
    version: str = ""


class AgentCapabilities(msgspec.Struct):
    loadSession: bool = False


class Initialized(msgspec.Struct):
    """The reply to `initialize`."""

    protocolVersion: int = 0
    agentInfo: AgentInfo | None = None
    agentCapabilities: AgentCapabilities = msgspec.field(default_factory=AgentCapabilities)


class Session(msgspec.Struct):
    """The reply to `session/new`; that to `session/load` names no session."""

    sessionId: str | None = None


class Cost(msgspec.Struct):
    amount: float = 0.0
    currency: str = ""


class Update(msgspec.Struct):
    """One `session/update`, of whatever kind."""

    sessionUpdate: str
    content: Any = None
    messageId: str | None = None
    toolCallId: str = ""
    name: str | None = None
    title: str | None = None
    kind: str | None = None
    status: str | None = None
    rawInput: Any = None
    rawOutput: Any = None
    cost: Cost | None = None


class Updated(msgspec.Struct):
    update: Update
    sessionId: str | None = None


class ToolCall(msgspec.Struct):
    """The tool that a permission is asked for."""

    toolCallId: str = ""
    name: str | None = None
    title: str | None = None
    kind: str | None = None
    rawInput: Any = None
    content: Any = None


class Option(msgspec.Struct):
    optionId: str
    kind: str = ""
    name: str = ""


class Permission(msgspec.Struct):
    """`session/request_permission`."""

    toolCall: ToolCall
    options: list[Option] = []


class Form(msgspec.Struct):
    properties: dict[str, dict[str, Any]] = {}


class Elicitation(msgspec.Struct):
    """`elicitation/create`: a form to be filled in."""

    message: str = ""
    mode: str = "form"
    requestedSchema: Form = msgspec.field(default_factory=Form)


class Tokens(msgspec.Struct):
    """What one turn has used."""

    inputTokens: int | None = None
    outputTokens: int | None = None
    cachedReadTokens: int | None = None
    cachedWriteTokens: int | None = None


class Prompted(msgspec.Struct):
    """The reply to `session/prompt`: how the turn ended."""

    stopReason: str = ""
    usage: Tokens | None = None


def request(name: str, method: str, params: Json) -> bytes:
    """A request of ours; `name` is its JSON-RPC id."""
    return _line({"id": name, "method": method, "params": params})


def notification(method: str, params: Json) -> bytes:
    return _line({"method": method, "params": params})


def result(request_id: int | str, value: Json) -> bytes:
    return _line({"id": request_id, "result": value})


def failure(request_id: int | str, code: int, message: str) -> bytes:
    return _line({"id": request_id, "error": {"code": code, "message": message}})


def prompt(name: str, session: str, text: str) -> bytes:
    """Words for the agent, under an id that its reply will have."""
    params = {"sessionId": session, "prompt": [{"type": "text", "text": text}]}
    return request(name, "session/prompt", params)


def _line(message: Json) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", **message}) + b"\n"
