"""Work without the server: how far it has got, and what the server did not take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backend.model import Json


class SyncMode(StrEnum):
    """Where the state is that a backend shows."""

    LOCAL = "local"
    """A store of its own: there is nothing to send anywhere."""
    ONLINE = "online"
    OFFLINE = "offline"
    """From the copy on this machine; changes wait until the server is back."""


@dataclass(frozen=True, slots=True)
class SyncState:
    """How this machine stands with its server."""

    mode: SyncMode
    pending: int
    """Changes made here that the server does not have yet."""
    conflicts: int
    """Changes that the server did not take, and nobody has settled."""
    server: str | None
    """Its address; None for a store of its own."""
    since: datetime | None
    """When the mode last changed, as far as known."""
    trouble: str | None
    """Why the server is not reached; None while all is well."""
    progress: str | None = None
    """How far the copy of the server's state has got while it is made anew, as "3,000 of 10,000 tasks"."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change made here that the server does not have yet."""

    id: str
    task_id: str | None
    operation: str
    """What was asked for: create, edit, submit, answer …"""
    summary: str
    """The change in one line."""
    by: str
    """Who made it, as `human:ana`."""
    at: datetime
    """When the change was made here."""
    tries: int
    """How often it was sent without an answer that settles it."""
    why: str
    """What it waits for."""
    mine: Json
    """The change as it was made here."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A change made here that the server did not take, with both versions."""

    id: str
    task_id: str | None
    operation: str
    """What was asked for: create, edit, submit, answer …"""
    summary: str
    """The change in one line, and which run and branch hold work that waits for the decision."""
    problem: str
    """Why the server did not take it."""
    mine: Json
    """The change as it was made here."""
    theirs: Json | None
    """The task, or message, as the server has it; None when it has none."""
    at: datetime
    """When the change was made here."""
    rejected: bool
    """The server refused it for what it is, not because something has changed meanwhile."""


class Choice(StrEnum):
    """How a conflict is settled."""

    MINE = "mine"
    """Ask the server for it again, on top of what it has now."""
    THEIRS = "theirs"
    """Leave everything as the server has it."""


LOCAL = SyncState(SyncMode.LOCAL, 0, 0, None, None, None)
"""What a store of its own says."""
