"""What a person's words mean for an agent that wants to use a tool. Whatever is unclear is no permission."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from backend.errors import BadInput
from backend.model import Json

ALLOW = "allow"
ALWAYS = "allow always"
DENY = "deny"
OPTIONS = (ALLOW, ALWAYS, DENY)
"""The choices that a permission's message offers; further words change what they mean."""

_ALLOW = re.compile(r"(?:allow|yes|y)\s*:?\s*(\{.*\})?\s*", re.IGNORECASE | re.DOTALL)
_ALWAYS = re.compile(r"(?:allow\s+always|always\s+allow|always)\s*", re.IGNORECASE)
_DENY = re.compile(r"(?:deny|no|n)(?:\s*:\s*|\s+|$)(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Allow:
    """Go on, with the tool's input as given or changed; `always` for the rest of the session."""

    input: Json | None = None
    always: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    """Do not; the agent reads why."""

    message: str


def read_decision(text: str) -> Allow | Deny:
    """`allow`, `allow {…}` with a changed input, `allow always`, `deny`, `deny: why`; other words deny too.

    Raises:
        BadInput: it allows a changed input, which is no JSON object.
    """
    said = text.strip()
    if _ALWAYS.fullmatch(said):
        return Allow(always=True)
    allowed = _ALLOW.fullmatch(said)
    if allowed is not None:
        return Allow(_object(allowed[1]) if allowed[1] else None)
    if re.match(r"allow\s*:?\s*[{\[]", said, re.IGNORECASE):
        raise _bad("it does not end like one")
    denied = _DENY.fullmatch(said)
    return Deny((denied[1] if denied else said).strip() or "A person does not allow this.")


def _object(text: str) -> Json:
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise _bad(str(error)) from error


def _bad(why: str) -> BadInput:
    return BadInput(f"the changed input is no JSON object: {why}", 'write: allow {"name": "value", …}')


def decide(text: str) -> Allow | Deny:
    """The same for an answer that can no longer be refused: what cannot be read is a denial that says why."""
    try:
        return read_decision(text)
    except BadInput as error:
        return Deny(f"The person's answer could not be read ({error.problem}). Ask again.")
