"""How a turn ended, and what it has used. Pure."""

from __future__ import annotations

import re

import msgspec

from scheduler.agents.acp.wire import AUTH_REQUIRED, Problem, Prompted
from scheduler.agents.interface import Draft
from scheduler.agents.usage import Usage

OUTCOMES = {
    "end_turn": "completed",
    "cancelled": "interrupted",
    "max_turn_requests": "max_turns",
}
STATUS = re.compile(r"\b(401|403|429|5\d\d)\b")
"""An HTTP status in the words of an error: the protocol has no field for it."""

NO_KEY = re.compile(r"invalid \S*api.?key|api.?key not valid|unauthorized", re.IGNORECASE)
OUT_OF_TURNS = re.compile(r"maximum number of turns", re.IGNORECASE)
PROVIDER_DOWN_S = 120.0
RATE_LIMITED_S = 300.0
REASON_SHOWN = 2000


def of_turn(reply: Prompted) -> Draft:
    """The end of a turn that the agent reports as such."""
    outcome = OUTCOMES.get(reply.stopReason, "error")
    well = outcome in ("completed", "interrupted")
    reason = None if well else f"its turn ended with: {reply.stopReason}"
    return Draft("turn.finished", {"outcome": outcome, "reason": reason, "text": None})


def of_error(error: Problem, *, doing: str = "", words: str = "") -> list[Draft]:
    """The end of a turn by an error, and what that says of the program or its provider.

    Args:
        doing: what failed, where it was not a turn.
        words: what the agent said last.
    """
    said = error.message
    if error.data is not None:
        said += f" ({msgspec.json.encode(error.data).decode()})"
    reason = ": ".join(filter(None, (doing, said, words)))[:REASON_SHOWN]
    outcome = "max_turns" if OUT_OF_TURNS.search(said) else "error"
    finished = Draft("turn.finished", {"outcome": outcome, "reason": reason, "text": None})
    found = STATUS.search(said)
    status = int(found[1]) if found else None
    if error.code == AUTH_REQUIRED or status in (401, 403) or NO_KEY.search(said):
        return [Draft("refused", {"reason": f"the agent may not work: {reason}"}), finished]
    if status is None:
        return [finished]
    usual = RATE_LIMITED_S if status == 429 else PROVIDER_DOWN_S
    data = {"status": "rejected", "resets_in_s": usual, "http_status": status, "reason": reason}
    return [Draft("rate_limit", data), finished]


def use_of(reply: Prompted) -> Usage:
    """The tokens of the turn, as far as they are told."""
    told = reply.usage
    if told is None:
        return Usage()
    return Usage.of(
        {"input": told.inputTokens, "output": told.outputTokens,
         "cache_read": told.cachedReadTokens, "cache_write": told.cachedWriteTokens}
    )  # fmt: skip
