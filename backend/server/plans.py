"""What requests about projects and drafts carry, and those of a scheduler's round."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

import msgspec

from backend.model import Event, Json, Message, Pause, Queue, Task
from backend.planning import DraftStatus, ProjectStatus
from backend.server.bodies import Count, Seq


@dataclass(frozen=True, slots=True)
class ProjectQuery:
    """What `GET /projects` understands."""

    status: tuple[ProjectStatus, ...] = ()
    scope: str | None = None
    limit: Count = 50
    offset: Count = 0


@dataclass(frozen=True, slots=True)
class DraftQuery:
    """What `GET /drafts` understands."""

    status: tuple[DraftStatus, ...] = ()
    project_id: str | None = None
    scope: str | None = None
    limit: Count = 50
    offset: Count = 0


@dataclass(frozen=True, slots=True)
class ByQuery:
    """Who deletes it."""

    actor: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectBody:
    """A new project. Only the title is needed."""

    title: str
    id: str | None = None
    description: str = ""
    base_branch: str | None = None
    auto_accept: bool = False
    scope: str | None = None
    metadata: Json = field(default_factory=dict)
    created_by: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class DraftBody:
    """A new draft. Only the title is needed."""

    title: str
    id: str | None = None
    body: str = ""
    project_id: str | None = None
    file_path: str | None = None
    tags: tuple[str, ...] = ()
    scope: str | None = None
    metadata: Json = field(default_factory=dict)
    created_by: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class PromoteBody:
    """The tasks that a draft becomes, each as `POST /tasks` takes it; what is left out is the draft's."""

    tasks: list[Json]
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class PollBody:
    """Which machine asks, for which roles, and up to which event it knows."""

    orchestrator_id: str
    roles: tuple[str, ...] = ()
    limit: Annotated[int, msgspec.Meta(ge=0, le=200)] = 10
    """Claimable tasks of each role; without roles, of all together."""
    after: Seq | None = None
    """Events after this one are in the answer; without it, none are."""
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease of one of the machine's live runs."""

    task_id: str
    run_id: str
    lease_token: int
    lease_expires_at: datetime


@dataclass(frozen=True, slots=True)
class LostLease:
    """A live run whose lease is gone: its process is to be stopped."""

    task_id: str
    run_id: str
    lease_token: int
    queue: Queue
    held_by: str | None


@dataclass(frozen=True, slots=True)
class Poll:
    """What one round of a scheduler needs to know."""

    queues: dict[str, int]
    pause: Pause
    claimable: dict[str, list[Task]]
    answers: list[Message]
    leases: list[HeldLease]
    lost: list[LostLease]
    events: list[Event]
    next_after: int
    """What to give as `after` the next time."""


@dataclass(frozen=True, slots=True)
class Imported:
    """How many records of each kind an import has brought."""

    imported: dict[str, int]
