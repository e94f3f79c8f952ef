"""A form of several fields. It says what is wrong beside the field, and keeps what was typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus
from textual.widgets import Input, Static, TextArea

from backend.clean import clean, clean_line
from octopoid_tui.screens.dialogs.base import Dialog, keys_line

Values = dict[str, str]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    label: str
    hint: str = ""
    long: bool = False
    """Whether it takes a text of several lines."""


class FormDialog(Dialog[Values | None]):
    """The values by the fields' names, or None. Its opener reads `values` after it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter,ctrl+j", "send", "Send", show=False, priority=True)
    ]

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        values: Mapping[str, str],
        check: Callable[[Values], Mapping[str, str]],
        *,
        send: str = "create",
        problem: str = "",
        focus: str = "",
    ) -> None:
        """`check` says what is wrong, by the name of the field; `focus` names the field to begin in."""
        super().__init__()
        self._heading = title
        self._form_fields = tuple(fields)
        self._check = check
        self._send = send
        self._problem = problem
        self.values: Values = {field.name: values.get(field.name, "") for field in fields}
        """What was typed."""
        self.last_focused = focus or self._form_fields[0].name
        """The name of the field that was focused last."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -medium") as box:
            box.border_title = Content(clean_line(self._heading, 200))
            with VerticalScroll(classes="dialog-body", can_focus=False):
                for field in self._form_fields:
                    yield from self._field(field)
            problem = Static(Content(clean(self._problem)), classes="dialog-complaint")
            problem.display = bool(self._problem)
            yield problem
            yield keys_line(("tab", "next field"), ("ctrl+s", self._send), ("esc", "back, all is kept"))

    def _field(self, field: Field) -> ComposeResult:
        value, name = self.values[field.name], f"field-{field.name}"
        with Horizontal(classes="field"):
            yield Static(field.label, classes="label", markup=False)
            if field.long:
                yield TextArea(value, id=name, compact=True)
            else:
                line = Input(value, placeholder=field.hint, id=name, compact=True)
                line.cursor_blink = False
                yield line
        yield Static("", id=f"complaint-{field.name}", classes="complaint", markup=False)

    def on_mount(self) -> None:
        self._focus_field(self.last_focused)

    def _focus_field(self, name: str) -> None:
        self.query_one(f"#field-{name}").focus()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        self.last_focused = (event.widget.id or "").removeprefix("field-")

    def _read_fields(self) -> None:
        for field in self._form_fields:
            name = f"#field-{field.name}"
            typed = self.query_one(name, TextArea).text if field.long else self.query_one(name, Input).value
            self.values[field.name] = typed

    @on(Input.Changed)
    @on(TextArea.Changed)
    def _recheck(self, event: Input.Changed | TextArea.Changed) -> None:
        self._read_fields()
        name = ((event.control.id if event.control else None) or "").removeprefix("field-")
        if self.query_one(f"#complaint-{name}").has_class("-shown"):
            self._complain(name, self._check(self.values).get(name, ""))

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

    def action_send(self) -> None:
        self._read_fields()
        problems = self._check(self.values)
        for field in self._form_fields:
            self._complain(field.name, problems.get(field.name, ""))
        if not problems:
            self.dismiss(self.values)
        else:
            self._focus_field(next(field.name for field in self._form_fields if field.name in problems))
