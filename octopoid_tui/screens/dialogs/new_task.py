"""The form for a new task."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from backend.errors import BadInput
from backend.ids import check_id
from backend.model import Priority
from octopoid_tui.actions import Context
from octopoid_tui.screens.dialogs.form import Field, FormDialog
from octopoid_tui.snapshot import Snapshot

if TYPE_CHECKING:
    from octopoid_tui.ports import TaskDraft

TITLE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Form:
    """What was typed, as it was typed."""

    title: str = ""
    body: str = ""
    role: str = "implement"
    priority: str = "P2"
    branch: str = ""
    blocked_by: str = ""
    needs: str = ""
    project: str = ""

    @classmethod
    def of_draft(cls, text: str, context: Context) -> Form:
        """The form as it was left, or one that has only the project it is opened from."""
        return cls(**json.loads(text)) if text else cls(project=context.project.id if context.project else "")

    def to_draft(self) -> str:
        return json.dumps(asdict(self))

    def problems(self, snapshot: Snapshot) -> dict[str, str]:
        """What is wrong, by field."""
        found: dict[str, str] = {}
        title = self.title.strip()
        if not title:
            found["title"] = "a task needs a title"
        elif len(title) > TITLE_LIMIT:
            found["title"] = f"{len(title)} characters; {TITLE_LIMIT} are the most"
        if self.priority.strip().upper() not in list(Priority):
            found["priority"] = "one of P0 (most urgent), P1, P2, P3"
        found |= _bad_names("role", self.role or " ") | _bad_names("needs", self.needs)
        found |= _bad_names("project", self.project)
        unknown = [name for name in words(self.blocked_by) if name not in snapshot.tasks]
        if unknown:
            found["blocked_by"] = f"no task {', '.join(unknown)}"
        return found

    def draft(self) -> TaskDraft:
        from scheduler.desk import TaskDraft  # brings git with it: not before it is needed

        return TaskDraft(
            title=self.title.strip(),
            body=self.body,
            role=self.role.strip(),
            priority=Priority(self.priority.strip().upper()),
            project_id=self.project.strip() or None,
            base_branch=self.branch.strip() or None,
            blocked_by=words(self.blocked_by),
            needs=words(self.needs),
        )


def words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _bad_names(field: str, text: str) -> dict[str, str]:
    names = words(text)
    if field == "role" and len(names) != 1:
        return {field: "one role, such as implement"}
    if field == "project" and len(names) > 1:
        return {field: "one project's id, or nothing"}
    for name in names:
        try:
            check_id(name, field)
        except BadInput as error:
            return {field: str(error)}
    return {}


FIELDS = (
    Field("title", "Title", "what is to be done, in one line"),
    Field("body", "Description", long=True),
    Field("role", "Role", "implement"),
    Field("priority", "Priority", "P0, P1, P2 or P3"),
    Field("project", "Project", "a project's id; none when empty"),
    Field("branch", "Base branch", "the project's, or the main branch, when empty"),
    Field("blocked_by", "Blocked by", "ids of tasks that come first"),
    Field("needs", "Needs", "names of resources"),
)


class NewTask(FormDialog):
    def __init__(self, form: Form, snapshot: Snapshot, problem: str = "", focus: str = "") -> None:
        super().__init__(
            "New task",
            FIELDS,
            asdict(form),
            lambda values: Form(**values).problems(snapshot),
            problem=problem,
            focus=focus,
        )

    @property
    def form(self) -> Form:
        """What was typed; its opener reads it after the dialog was left."""
        return Form(**self.values)
