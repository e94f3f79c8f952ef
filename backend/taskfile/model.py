"""What a task file says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from backend.model import Complexity, Json, Priority, TaskType


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line that the first version of Octopoid added to a file as the task went on."""

    key: str
    """In lower case, for example `claimed_by`."""
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFile:
    """A task as its file describes it; None and empty mean that the file does not say.

    Without `branch` it is for whoever creates the task to take the project's main branch.
    """

    title: str
    body: str = ""
    """Markdown with LF line ends, without blank lines around it."""
    id: str | None = None
    role: str | None = None
    priority: Priority = Priority.P2
    branch: str | None = None
    project_id: str | None = None
    blocked_by: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    type: TaskType | None = None
    complexity: Complexity | None = None
    auto_accept: bool = False
    created_at: datetime | None = None
    created_by: str | None = None
    extra: Json = field(default_factory=dict)
    """Keys of the header that are none of the above, with their values as JSON has them."""
    history: tuple[HistoryEntry, ...] = ()

    @property
    def last(self) -> dict[str, str]:
        """The last value of each key of the history."""
        return {entry.key: entry.value for entry in self.history}
