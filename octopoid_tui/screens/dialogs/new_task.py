"""A form for a new task. It says what is wrong beside the field, and keeps what was typed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static, TextArea

from backend.clean import clean
from backend.errors import BadInput
from backend.ids import check_id
from backend.model import Priority
from octopoid_tui.actions import Context
from octopoid_tui.screens.dialogs.base import Dialog, keys_line
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

    @classmethod
    def of_draft(cls, text: str, context: Context) -> Form:
        """The form as it was left, or an empty one."""
        return cls(**json.loads(text)) if text else cls()

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
    for name in names:
        try:
            check_id(name, field)
        except BadInput as error:
            return {field: str(error)}
    return {}


FIELDS = (
    ("title", "Title", "what is to be done, in one line"),
    ("role", "Role", "implement"),
    ("priority", "Priority", "P0, P1, P2 or P3"),
    ("branch", "Base branch", "the main branch when empty"),
    ("blocked_by", "Blocked by", "ids of tasks that come first"),
    ("needs", "Needs", "names of resources"),
)


class NewTask(Dialog[Form | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter,ctrl+j", "create", "Create", show=False, priority=True)
    ]

    area = getters.query_one("#body-text", TextArea)

    def __init__(self, form: Form, snapshot: Snapshot, problem: str = "") -> None:
        super().__init__()
        self._start = form
        self._snapshot = snapshot
        self._problem = problem
        self.form = form
        """What was typed; its opener reads it after the dialog was left."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -medium") as box:
            box.border_title = "New task"
            with VerticalScroll(classes="dialog-body", can_focus=False):
                yield from self._field(*FIELDS[0])
                with Horizontal(classes="field"):
                    yield Static("Description", classes="label", markup=False)
                    yield TextArea(self._start.body, id="body-text", compact=True)
                for field in FIELDS[1:]:
                    yield from self._field(*field)
            problem = Static(Content(clean(self._problem)), classes="dialog-complaint")
            problem.display = bool(self._problem)
            yield problem
            yield keys_line(("tab", "next field"), ("ctrl+s", "create"), ("esc", "back, all is kept"))

    def _field(self, name: str, label: str, hint: str) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Static(label, classes="label", markup=False)
            field = Input(getattr(self._start, name), placeholder=hint, id=f"field-{name}", compact=True)
            field.cursor_blink = False
            yield field
        yield Static("", id=f"complaint-{name}", classes="complaint", markup=False)

    def on_mount(self) -> None:
        self.query_one("#field-title", Input).focus()

    def _read_fields(self) -> None:
        values = {name: self.query_one(f"#field-{name}", Input).value for name, _, _ in FIELDS}
        self.form = Form(body=self.area.text, **values)

    @on(Input.Changed)
    def _recheck(self, event: Input.Changed) -> None:
        self._read_fields()
        name = (event.input.id or "").removeprefix("field-")
        if self.query_one(f"#complaint-{name}").has_class("-shown"):
            self._complain(name, self.form.problems(self._snapshot).get(name, ""))

    @on(Input.Submitted)
    def _next(self) -> None:
        self.focus_next()

    def _complain(self, name: str, text: str) -> None:
        complaint = self.query_one(f"#complaint-{name}", Static)
        complaint.update(Content(clean(text)))
        complaint.set_class(bool(text), "-shown")

    def action_leave(self) -> None:
        self._read_fields()
        super().action_leave()

    def action_create(self) -> None:
        self._read_fields()
        problems = self.form.problems(self._snapshot)
        for name, _, _ in FIELDS:
            self._complain(name, problems.get(name, ""))
        if not problems:
            self.dismiss(self.form)
        else:
            self.query_one(f"#field-{next(iter(problems))}", Input).focus()
