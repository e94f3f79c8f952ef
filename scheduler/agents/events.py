"""What an agent does, in one vocabulary for every kind of agent program."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from backend.clock import from_iso, to_iso
from backend.errors import BadInput

KINDS = frozenset(
    {
        "session.started",  # session_ref, version, model
        "state",  # running, waiting or idle
        "turn.started",
        "message",  # role, text
        "thinking",  # text
        "tool.started",  # tool_id, name, title, input
        "tool.progress",  # tool_id, text
        "tool.finished",  # tool_id, status, output
        "request.opened",  # request_id, question, options; kind, tool, input where it is a permission
        "request.closed",  # request_id, by
        "usage",  # input, output, cache_read, cache_write, cost_usd, turns: totals of the run
        "retry",  # attempt, delay
        "rate_limit",  # status: rejected, warning; resets_in_s, or resets_at in seconds since 1970; reason
        "refused",  # reason: the program may not work at all, whatever the task (a bad key, no login)
        "turn.finished",  # outcome: completed, interrupted, max_turns, budget, error; text, reason
        "sent",  # send_id, text: a message to the agent's input; written by the scheduler alone
        "log",  # stream, text
        "exited",  # code, signal, cause
        "unknown",  # raw
    }
)


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """One normalised event. `offset` is where the next unread byte of `source` begins."""

    at: datetime
    kind: str
    data: dict[str, Any]
    source: str
    """`out`, `err` or `scheduler`: the file of the run directory the event was read from."""
    offset: int


class _Stored(msgspec.Struct):
    at: str
    kind: str
    data: dict[str, Any]
    source: str
    offset: int


def encode(event: AgentEvent) -> bytes:
    """One line of `events.jsonl`."""
    line = msgspec.json.encode(
        {
            "at": to_iso(event.at),
            "kind": event.kind,
            "data": event.data,
            "source": event.source,
            "offset": event.offset,
        }
    )
    return line + b"\n"


def decode(line: bytes) -> AgentEvent:
    """Read one line of `events.jsonl`.

    Raises:
        BadInput: if the line is not an event.
    """
    try:
        raw = msgspec.json.decode(line, type=_Stored)
        return AgentEvent(from_iso(raw.at), raw.kind, raw.data, raw.source, raw.offset)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadInput(f"not an event line ({error})", "the run's events.jsonl is damaged") from error
