"""The tools that agents are given, and the Model Context Protocol as far as it takes to serve them.

Each message is one JSON-RPC message. Nothing but the standard library is imported: agents start this often.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

Json = dict[str, Any]

SERVER: Final = "octopoid"
PROTOCOL: Final = "2025-06-18"


def tool(name: str, description: str, properties: Json, required: list[str]) -> Json:
    """A tool as it is listed."""
    schema = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "description": description, "inputSchema": schema}


ASK_HUMAN: Final = tool(
    "ask_human",
    "Ask a person and wait for the answer. It may take hours; nothing else needs to be done meanwhile.",
    {
        "question": {"type": "string"},
        "options": {"type": "array", "items": {"type": "string"}, "description": "Possible answers"},
    },
    ["question"],
)
REPORT_PROGRESS: Final = tool(
    "report_progress",
    "Tell the people who follow this task how you get on, in a sentence.",
    {"text": {"type": "string"}},
    ["text"],
)


def answer_at_once(message: Json, tools: Sequence[Json]) -> Json | None:
    """The reply to a message that needs no person; None for a call of a tool that exists."""
    method = message.get("method")
    if "id" not in message:
        return {
            "jsonrpc": "2.0",
            "result": {},
        }  # a notification; Claude's control protocol wants a reply still
    if method == "initialize":
        params = message.get("params")
        version = params.get("protocolVersion") if isinstance(params, dict) else None
        info = {"name": SERVER, "version": "1"}
        return result(
            message,
            {"protocolVersion": version or PROTOCOL, "capabilities": {"tools": {}}, "serverInfo": info},
        )
    if method == "tools/list":
        return result(message, {"tools": list(tools)})
    if method == "tools/call" and call_of(message)[0] in {one["name"] for one in tools}:
        return None
    if method == "ping":
        return result(message, {})
    error = {"code": -32601, "message": f"unknown: {method} {call_of(message)[0]}".strip()}
    return {"jsonrpc": "2.0", "id": message["id"], "error": error}


def result_of(message: Json, text: str, *, failed: bool = False) -> Json:
    """What a tool's call returns to the model."""
    said: Json = {"content": [{"type": "text", "text": text}]}
    return result(message, {**said, "isError": True} if failed else said)


def cancelled(message: Json) -> Any:
    """The JSON-RPC id of the call that this notification takes back; None when it is another message."""
    params = message.get("params")
    if message.get("method") != "notifications/cancelled" or not isinstance(params, dict):
        return None
    return params.get("requestId")


def call_of(message: Json) -> tuple[str, Json]:
    """The tool that a `tools/call` names, and what it is called with."""
    params = message.get("params")
    if not isinstance(params, dict):
        return "", {}
    arguments = params.get("arguments")
    return str(params.get("name", "")), arguments if isinstance(arguments, dict) else {}


def result(message: Json, value: Json) -> Json:
    return {"jsonrpc": "2.0", "id": message["id"], "result": value}
