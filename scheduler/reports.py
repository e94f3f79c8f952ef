"""What an agent tells by its outbox besides questions: what it has used, and how its work ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backend.errors import BadInput
from scheduler.agents.interface import Draft

COUNTS = ("input", "output", "cache_read", "cache_write", "cost_usd", "turns")
ENDS = {"completed": "completed", "out_of_turns": "max_turns", "error": "error"}
RATE_LIMITED = "rate_limited"


def _usage(payload: Mapping[str, object]) -> Draft:
    counts = {name: payload[name] for name in COUNTS if _is_count(payload.get(name))}
    unusable = sorted(name for name in payload if name not in counts and name != "id")
    if unusable or not counts:
        raise BadInput(
            f"it holds no numbers of what was used{': ' if unusable else ''}{', '.join(unusable)[:200]}",
            f"give totals of the run, of {', '.join(COUNTS)}",
        )
    return Draft("usage", counts)


def _result(payload: Mapping[str, object]) -> Draft:
    outcome, reason = payload.get("outcome"), payload.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise BadInput('"reason" is no text', "say in a sentence why")
    if outcome == RATE_LIMITED:
        seconds = payload.get("resets_in_s")
        until: dict[str, Any] = {"resets_in_s": seconds} if _is_count(seconds) else {}
        return Draft("rate_limit", {"status": "rejected", "reason": reason, **until})
    if not isinstance(outcome, str) or outcome not in ENDS:
        raise BadInput('"outcome" is not known', f"use one of {', '.join((*ENDS, RATE_LIMITED))}")
    return Draft("turn.finished", {"outcome": ENDS[outcome], "reason": reason})


REPORTS: dict[str, Callable[[Mapping[str, object]], Draft]] = {"usage": _usage, "result": _result}
"""How each kind of report is read as an event. They raise `BadInput`."""


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
