"""Both versions of a change that the server did not take, field by field, as harmless text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from backend.clean import clean, clean_line
from backend.model import Json
from backend.sync import Conflict

CHANGED = "≠"
TEXT_LIMIT = 20_000
"""Characters of one value that are shown; `octopoid conflicts --json` has it whole."""

NAME_LIMIT = 40
ASIDE = frozenset({"kind", "id", "task_id", "conversation_id", "actor", "version", "lease_token"})
"""What says how a change is made, and not what it makes."""

OF_INTEREST = ("queue", "title", "priority", "claimed_by", "reason", "answer", "updated_at")
"""What of the server's version is shown beside the fields that were to be changed, where it has it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one version; `differs` from the other version, which has it too."""

    name: str
    value: str
    differs: bool


def mine_fields(conflict: Conflict) -> tuple[Field, ...]:
    """The change as it was made here."""
    theirs = conflict.theirs or {}
    return tuple(
        _field(name, value, name in theirs and theirs[name] != value)
        for name, value in wanted(conflict.mine).items()
    )


def their_fields(conflict: Conflict) -> tuple[Field, ...]:
    """The server's version: first the fields that were to be changed, then what else tells its state."""
    theirs, mine = conflict.theirs or {}, wanted(conflict.mine)
    names = [name for name in mine if name in theirs]
    names += [name for name in OF_INTEREST if theirs.get(name) is not None and name not in names]
    return tuple(_field(name, theirs[name], name in mine and theirs[name] != mine[name]) for name in names)


def fields_of(change: Json) -> tuple[Field, ...]:
    """A change that waits, beside which there is no other version."""
    return tuple(_field(name, value, False) for name, value in wanted(change).items())


def wanted(change: Json) -> Json:
    """What a change was to make, without its wrapping: a patch, a wish, a run's end."""
    found: Json = {}
    for name, value in change.items():
        if isinstance(value, dict) and name != "metadata":
            found = {**wanted(value), **found}
        elif name not in ASIDE and value not in (None, [], {}, ""):
            found[name] = value
    return found


def _field(name: str, value: object, differs: bool) -> Field:
    return Field(clean_line(name, NAME_LIMIT), said(value), differs)


def said(value: object) -> str:
    """A value as harmless text."""
    if isinstance(value, str):
        return clean(value)[:TEXT_LIMIT].expandtabs(4).rstrip() or "(empty)"
    if value is None:
        return "(nothing)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return ", ".join(clean_line(item, 200) for item in value) or "(none)"
    return clean(json.dumps(value, ensure_ascii=False))[:TEXT_LIMIT]
