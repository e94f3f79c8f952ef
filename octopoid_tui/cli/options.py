"""Options of commands that do one of several things: each belongs to some of these only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from backend.errors import BadInput


def refuse_others(
    command: str, action: StrEnum, given: Mapping[str, object], allowed: Collection[str]
) -> None:
    """Refuse what would otherwise be passed over without a word.

    Args:
        given: every option by its name, None where it was not given.
        allowed: the names of those that belong to the action.

    Raises:
        BadInput: another one was given.
    """
    others = [name for name, value in given.items() if value not in (None, []) and name not in allowed]
    if others:
        rest = ", ".join(sorted(allowed)) or "none"
        raise BadInput(
            f"octopoid {command} {action} has no {' and no '.join(others)}", f"what it takes: {rest}"
        )
