"""Our own tools, served to Claude Code over its control protocol: no process, no socket, no time-out.

Each `mcp_message` holds one JSON-RPC message of the Model Context Protocol.
"""

from __future__ import annotations

from typing import Final

from backend.model import Json
from scheduler.agents import toolbox
from scheduler.agents.interface import Ask, Request, RequestKind
from scheduler.agents.toolbox import ASK_HUMAN, REPORT_PROGRESS, SERVER, call_of, cancelled, result_of

TOOLS: Final = (ASK_HUMAN, REPORT_PROGRESS)


def answer_at_once(message: Json) -> Json | None:
    """The reply to a message that needs no person; None for a call of a tool that exists."""
    return toolbox.answer_at_once(message, TOOLS)


def request_of(request_id: str, message: Json) -> Request:
    """The request that a call of one of our tools makes."""
    name, arguments = call_of(message)
    if name == "report_progress":
        return Request(request_id, RequestKind.PROGRESS, (Ask(str(arguments.get("text", ""))),))
    options = arguments.get("options")
    chosen = tuple(str(option) for option in options) if isinstance(options, list) else ()
    return Request(request_id, RequestKind.QUESTION, (Ask(str(arguments.get("question", "")), chosen),))


__all__ = ["SERVER", "TOOLS", "answer_at_once", "cancelled", "request_of", "result_of"]
