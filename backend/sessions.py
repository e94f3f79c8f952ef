"""Sessions: conversations of agent programs, known by the programs' own ids, to be taken up again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

NAME_LIMIT = 200


class SessionStatus(StrEnum):
    """`idle` is open, but not heard of for two minutes and not waiting for an answer."""

    ACTIVE = "active"
    IDLE = "idle"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session as whoever drives the agent program describes it. `id` is made by the caller."""

    id: str
    session_id: str
    """The agent program's own name for it."""
    orchestrator_id: str
    agent_name: str
    task_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is now. One that has ended stays, and an answer to its question opens it again."""

    id: str
    session_id: str
    orchestrator_id: str
    agent_name: str
    task_id: str | None
    run_id: str | None
    status: SessionStatus
    waiting: bool
    """Whether a question of its run waits for an answer."""
    created_at: datetime
    opened_at: datetime
    """When it was last opened: its age counts from then."""
    last_activity_at: datetime
    terminated_at: datetime | None
    reason: str | None
    """Why it ended."""


def is_name(text: str) -> bool:
    """Whether an agent program's session may be called so."""
    return bool(text.strip()) and len(text) <= NAME_LIMIT and text.isprintable()
