"""The answers that are given by themselves, and what each has been for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from backend.clean import clean, clean_line
from backend.model import Rule
from octopoid_tui.actions import Action, Context, Where
from octopoid_tui.formats import age, clock
from octopoid_tui.host import Picture
from octopoid_tui.keys import bindings
from octopoid_tui.panes.glyphs import Sign, styled
from octopoid_tui.screens.base import SMALLEST
from octopoid_tui.screens.places.base import PlaceScreen
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import KeyFooter
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row
from octopoid_tui.widgets.status_line import StatusLine
from octopoid_tui.widgets.too_small import TooSmall

COLUMNS = (
    Column("state", "State", 10, sortable=False),
    Column("scope", "For", 14, flex=1, sortable=False),
    Column("asked", "Asked", 16, flex=3, sortable=False),
    Column("answer", "Answer", 10, flex=2, sortable=False),
    Column("uses", "Uses", 5, right=True, sortable=False),
    Column("author", "By", 10, priority=1, sortable=False),
)


class RulesScreen(PlaceScreen):
    """A list of rules, those in force first, and the one under the cursor in full."""

    WHERE = Where.RULES
    WHAT = "rules"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.RULES)

    heading = getters.query_one("#rules-title", Static)
    grid = getters.query_one("#rules", Grid)
    detail = getters.query_one("#rule-text", Static)

    def __init__(self) -> None:
        super().__init__()
        self._rules: Mapping[str, Rule] = MappingProxyType({})
        self._loaded = False

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield Static("", id="rules-title", classes="place-title", markup=False)
        with Container(classes="place-body"):
            yield Grid(COLUMNS, id="rules", classes="place-lists")
            with VerticalScroll(classes="place-side"):
                yield Static("", id="rule-text", markup=False)
        yield FlashLine()
        yield KeyFooter()
        yield TooSmall(*SMALLEST)

    def grids(self) -> tuple[Grid, ...]:
        return (self.grid,)

    @property
    def rule(self) -> Rule | None:
        """The rule under the cursor."""
        return self._rules.get(self.grid.cursor_id or "")

    def context(self) -> Context:
        return replace(self.base_context(), rule=self.rule)

    async def load(self) -> None:
        found = await self.app.desk.backend.list_rules()
        now = self.app.now()
        ordered = sorted(found, key=lambda rule: (state(rule, now)[0] != IN_FORCE[0], -_made(rule)))
        self._rules = {rule.id: rule for rule in ordered}
        self._loaded = True
        self.grid.set_placeholder(
            "empty", "No answer is given by itself.\n/rule before an answer in the chat makes it a rule."
        )

    def show_loaded(self, picture: Picture) -> None:
        rules = self._rules.values()
        self.heading.update(heading(self._rules, picture.now) if self._loaded else "")
        self.grid.set_rows([row(rule, picture.now) for rule in rules])
        self._show_detail(picture)

    def _show_detail(self, picture: Picture) -> None:
        rule = self.rule
        self.detail.update(rule_text(rule, picture.now, self.app.zone) if rule else "")
        in_force = rule is not None and state(rule, picture.now)[0] == IN_FORCE[0]
        self.flash_line.set_hint("x revokes it: then it answers nothing any more" if in_force else "")

    @on(Grid.Highlighted)
    def _cursor_moved(self, event: Grid.Highlighted) -> None:
        event.stop()
        self._show_detail(self.app.picture)
        self.show_hints()

    def performed(self, action: Action, context: Context) -> None:
        self.read_again()


IN_FORCE: Sign = ("✓ in force", "ok")
REVOKED: Sign = ("✗ revoked", "dim")
OVER: Sign = ("− over", "dim")


def state(rule: Rule, now: datetime) -> Sign:
    if rule.revoked_at is not None:
        return REVOKED
    if rule.expires_at is not None and rule.expires_at <= now:
        return OVER
    return IN_FORCE


def heading(rules: Mapping[str, Rule], now: datetime) -> Content:
    """How many answer, and how often they have."""
    working = sum(state(rule, now) is IN_FORCE for rule in rules.values())
    uses = sum(rule.uses for rule in rules.values())
    times = f"{uses} question{'' if uses == 1 else 's'} answered by {'them' if len(rules) > 1 else 'it'}"
    return Content.assemble(
        ("Rules of answers", "bold"),
        (f"   {working} in force of {len(rules)}; {times} so far" if rules else "", "$text-muted"),
    )


def row(rule: Rule, now: datetime) -> Row:
    sign, tone = state(rule, now)
    return Row(
        rule.id,
        (
            sign,
            clean_line(f"{rule.scope} {rule.scope_id}".rstrip(), 100),
            clean_line(rule.pattern, 300),
            clean_line(rule.answer, 200),
            str(rule.uses),
            clean_line(rule.author, 64),
        ),
        tone="" if sign == IN_FORCE[0] else "dim",
        cell_tones=(tone,),
    )


def rule_text(rule: Rule, now: datetime, zone: tzinfo | None) -> Content:
    """One rule for reading: to whom it answers what, since when and how often."""
    sign, tone = state(rule, now)
    how = "asked word for word" if rule.exact else "asked like this, * being any part of a line"
    used = f"{rule.uses} time{'' if rule.uses == 1 else 's'}"
    if rule.last_used_at is not None:
        used += f", last {age((now - rule.last_used_at).total_seconds())} ago"
    ends = "when it is revoked" if rule.expires_at is None else clock(rule.expires_at, now, zone)
    if rule.revoked_at is not None:
        ends = f"revoked {clock(rule.revoked_at, now, zone)}"
    facts = (
        ("for", clean_line(f"{rule.scope} {rule.scope_id}".rstrip(), 200)),
        ("kind", rule.kind.value),
        ("used", used),
        ("by", f"{clean_line(rule.author, 64)}, {clock(rule.created_at, now, zone)}"),
        ("ends", ends),
        ("id", clean_line(rule.id, 64)),
    )
    lines = [Content.assemble((f"{name:<7}", "$text-muted"), value) for name, value in facts]
    return Content("\n").join(
        [
            Content.assemble(styled(sign, tone), (f"   {how}", "$text-muted")),
            Content(clean(rule.pattern).expandtabs(4)),
            Content.styled("is answered", "$text-muted"),
            Content(clean(rule.answer).expandtabs(4)),
            Content(""),
            *lines,
        ]
    )


def _made(rule: Rule) -> float:
    return rule.created_at.timestamp()
