"""Projects and drafts: what people plan in, above single tasks. Frozen records, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from backend.errors import NotFound
from backend.model import Json

if TYPE_CHECKING:
    from backend.interface import Backend


class ProjectStatus(StrEnum):
    """A person's word; a project with unfinished tasks cannot be completed."""

    ACTIVE = "active"
    COMPLETED = "completed"
    ABANDONED = "abandoned"


class DraftStatus(StrEnum):
    IDEA = "idea"
    PROPOSED = "proposed"
    PROMOTED = "promoted"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project as its creator describes it."""

    id: str
    title: str
    created_by: str
    description: str = ""
    base_branch: str | None = None
    auto_accept: bool = False
    scope: str | None = None
    metadata: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProjectPatch:
    """What a person may edit; `None` leaves a field as it is."""

    title: str | None = None
    description: str | None = None
    status: ProjectStatus | None = None
    base_branch: str | None = None
    auto_accept: bool | None = None
    metadata: Json | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """Tasks that belong together, by their `project_id`, and what a new one of them begins with."""

    id: str
    title: str
    description: str
    status: ProjectStatus
    base_branch: str | None
    """Where its tasks start from unless they say otherwise."""
    auto_accept: bool
    """Whether its tasks are merged without asking unless they say otherwise."""
    scope: str | None
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    metadata: Json


@dataclass(frozen=True, slots=True)
class NewDraft:
    """A draft as its author writes it."""

    id: str
    title: str
    created_by: str
    body: str = ""
    project_id: str | None = None
    file_path: str | None = None
    tags: tuple[str, ...] = ()
    scope: str | None = None
    metadata: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DraftPatch:
    """What a person may edit; `None` leaves a field as it is."""

    title: str | None = None
    body: str | None = None
    status: DraftStatus | None = None
    project_id: str | None = None
    file_path: str | None = None
    tags: tuple[str, ...] | None = None
    metadata: Json | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A document that is to become tasks, and those that it has become."""

    id: str
    title: str
    body: str
    status: DraftStatus
    project_id: str | None
    file_path: str | None
    tags: tuple[str, ...]
    task_ids: tuple[str, ...]
    scope: str | None
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    metadata: Json


async def find_project(backend: Backend, project_id: str) -> Project | None:
    """The project that a task names; None when the name is only a label so far."""
    try:
        return await backend.get_project(project_id)
    except NotFound:
        return None
