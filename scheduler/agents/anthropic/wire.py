"""What the program is started with, and the lines that it and the scheduler exchange.

It writes events of the common vocabulary, one JSON object `{"kind": …, "data": …}` a line, and two kinds
besides: `request` (something a person has to answer) and `closed` (it no longer wants to know).
`turn.finished` names the messages that were dealt with (`said`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from backend.config.schema import Price

REQUEST = "request"
CLOSED = "closed"


class Settings(msgspec.Struct, frozen=True):
    """The program's only argument, as JSON."""

    worktree: str
    run_dir: str
    session_dir: str
    session: str
    """The session's id; it is gone on with if its file exists."""
    model: str
    permissions: Literal["ask", "accept-edits"] | tuple[str, ...]
    max_turns: int | None = None
    price: Price | None = None


class Order(msgspec.Struct, frozen=True):
    """One line for the program: words of a person, answers to a request, or the end of the turn."""

    do: Literal["say", "reply", "interrupt"]
    id: str
    text: str = ""
    answers: tuple[str, ...] = ()


class Line(msgspec.Struct):
    """One line of the program."""

    kind: str
    data: dict[str, Any]


class AskedOne(msgspec.Struct, frozen=True):
    text: str
    options: tuple[str, ...] = ()


class Asked(msgspec.Struct, frozen=True):
    """The data of a `request`."""

    id: str
    kind: Literal["question", "permission", "progress"]
    ask: AskedOne
    tool: str = ""
    input: dict[str, Any] = {}
