"""What runs have used, by project, agent and task, and how much of each budget that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from backend.clean import clean_line
from backend.clock import day_of
from backend.model import Task, Usage, UsageBy
from octopoid_tui.actions import Context, Where
from octopoid_tui.formats import cells, count, fit, money
from octopoid_tui.host import Picture
from octopoid_tui.keys import bindings
from octopoid_tui.panes.glyphs import STYLES
from octopoid_tui.screens.base import SMALLEST
from octopoid_tui.screens.places.base import NARROW
from octopoid_tui.screens.places.tabbed import TabbedPlace
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import KeyFooter
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row, Tone
from octopoid_tui.widgets.meter import bar
from octopoid_tui.widgets.status_line import StatusLine
from octopoid_tui.widgets.tab_strip import Tab, TabStrip
from octopoid_tui.widgets.too_small import TooSmall

if TYPE_CHECKING:
    from octopoid_tui.ports import Standing
    from scheduler.budget import Line

SPANS = (1, 7, 30)
BAR = 20
SHOWN = 500
"""Rows of a list; `octopoid costs` has every one."""
MORE = "…more"  # no id begins so
COLUMNS = (
    Column("what", "For", 30, flex=1, sortable=False),
    Column("cost", "Cost", 9, right=True, sortable=False),
    Column("share", "Share", 16, priority=1, sortable=False),
    Column("runs", "Runs", 6, right=True, sortable=False),
    Column("in", "In", 6, priority=2, right=True, sortable=False),
    Column("out", "Out", 6, priority=2, right=True, sortable=False),
    Column("cached", "Cached", 6, priority=3, right=True, sortable=False),
    Column("id", "Id", 14, priority=4, sortable=False),
)
NAMES = {UsageBy.PROJECT: "By project", UsageBy.AGENT: "By agent", UsageBy.TASK: "By task"}


@dataclass(frozen=True, slots=True)
class Costs:
    """What was read: use by each kind for so many days, and the budgets."""

    days: int
    used: Mapping[UsageBy, Sequence[Usage]]
    standing: Standing


class CostsScreen(TabbedPlace):
    """The budgets as bars, and below them a table of the use, the dearest first."""

    WHERE = Where.COSTS
    WHAT = "costs"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.COSTS)

    heading = getters.query_one("#costs-title", Static)
    budgets = getters.query_one("#budgets-text", Static)
    grid = getters.query_one("#costs", Grid)

    def __init__(self) -> None:
        super().__init__()
        self._costs: Costs | None = None
        self._by = UsageBy.PROJECT
        self._days = SPANS[0]
        self._rows_of: tuple[Costs, UsageBy] | None = None

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield Static("", id="costs-title", classes="place-title", markup=False)
        with VerticalScroll(id="budgets"):
            yield Static("", id="budgets-text", markup=False)
        yield TabStrip(classes="place-tabs")
        yield Grid(COLUMNS, id="costs", classes="place-body")
        yield FlashLine()
        yield KeyFooter()
        yield TooSmall(*SMALLEST)

    def grids(self) -> tuple[Grid, ...]:
        return (self.grid,)

    def source(self, picture: Picture) -> object:
        """Tokens of live runs change without an event."""
        snapshot = picture.snapshot
        return snapshot.seq, snapshot.cost_today, snapshot.runs, self._days

    def context(self) -> Context:
        base = self.base_context()
        chosen = self.grid.cursor_id if self._by is UsageBy.TASK else None
        return replace(base, pane=self._by.value, task=base.snapshot.tasks.get(chosen or ""))

    async def load(self) -> None:
        desk, days = self.app.desk, self._days
        since = day_of(self.app.now() - timedelta(days=days - 1))[0]
        used = {by: await desk.backend.usage(by, since=since) for by in UsageBy}
        self._costs = Costs(days, used, await desk.budgets())
        self.grid.set_placeholder("empty", f"No run began {_span(days)}.\nd shows another time.")

    def show_loaded(self, picture: Picture) -> None:
        self.tabs.set_tabs([Tab(by.value, name, self._number(by)) for by, name in NAMES.items()], self._by)
        if self._costs is None:
            return
        self.heading.update(heading(self._costs))
        self.budgets.update(budgets_text(self._costs.standing, self.size.width))
        self._show_rows(self._costs, picture)
        opens = "enter opens the task, " if self._by is UsageBy.TASK else ""
        self.flash_line.set_hint(f"{opens}[ ] by project, agent or task, d another time")

    def _show_rows(self, costs: Costs, picture: Picture) -> None:
        """Make the rows, unless they are there: a title that changes is an event, and so read again."""
        if self._rows_of is not None and self._rows_of[0] is costs and self._rows_of[1] is self._by:
            return
        self._rows_of = costs, self._by
        self.grid.set_rows(usage_rows(costs, self._by, picture.snapshot.tasks))

    def _number(self, by: UsageBy) -> int | None:
        return None if self._costs is None else len(self._costs.used[by])

    @on(Grid.Highlighted)
    def _cursor_moved(self, event: Grid.Highlighted) -> None:
        event.stop()
        self.show_hints()

    @on(Grid.Selected)
    def _row_opened(self, event: Grid.Selected) -> None:
        event.stop()
        self.action_perform("task.open")

    def choose(self, key: str) -> None:
        self._by = UsageBy(key)
        self.show_loaded(self.app.picture)
        self.grid.cursor_row = 0
        self.show_hints()

    def do_next_span(self) -> None:
        self._days = SPANS[(SPANS.index(self._days) + 1) % len(SPANS)]
        self.read_again()


def _span(days: int) -> str:
    return "today" if days == 1 else f"in the last {days} days"


def heading(costs: Costs) -> Content:
    """All that was used, in one line."""
    rows = costs.used[UsageBy.AGENT]
    runs = sum(one.runs for one in rows)
    return Content.assemble(
        (f"{money(sum(one.cost_usd for one in rows))} {_span(costs.days)}", "bold"),
        (f"   {count(sum(one.tokens for one in rows))} tokens, {runs} run{'' if runs == 1 else 's'}",
         "$text-muted"),
    )  # fmt: skip


def usage_rows(costs: Costs, by: UsageBy, tasks: Mapping[str, Task]) -> list[Row]:
    """The dearest ones; a last row says how many more there are, and where."""
    used = costs.used[by]
    whole = sum(one.cost_usd for one in used)
    titles = {one.key: tasks[one.key].title for one in used[:SHOWN] if one.key in tasks}
    rows = [usage_row(one, whole, titles.get(one.key, "")) for one in used[:SHOWN]]
    if len(used) > SHOWN:
        command = "octopoid costs" if costs.days == 1 else f"octopoid costs --days {costs.days}"
        rows.append(Row(MORE, (f"and {len(used) - SHOWN} more: {command}",), tone="dim"))
    return rows


def usage_row(usage: Usage, whole: float, title: str) -> Row:
    part = usage.cost_usd / whole if whole else 0.0
    share = Content.assemble(bar(part, 10), f" {part:4.0%}") if whole else Content("")
    return Row(
        usage.key,
        (
            clean_line(title or usage.key, 300) or "(no project)",
            money(usage.cost_usd),
            share,
            str(usage.runs),
            count(usage.tokens_input),
            count(usage.tokens_output),
            count(usage.tokens_cache_read + usage.tokens_cache_write),
            clean_line(usage.key, 100) if title else "",
        ),
        cell_tones=("" if usage.key else "dim", "", "", "dim", "dim", "dim", "dim", "dim"),
    )


def budgets_text(standing: Standing, width: int) -> Content:
    """Each shared budget as a bar, a share and a word, the most used first; then what a task may use."""
    limits = standing.limits
    lines = sorted(standing.shared, key=_part, reverse=True)
    names = min(max((cells(_name(line)) for line in lines), default=0), max(20, width - 60))
    shown = [
        _budget_line(line, limits.warn_percent, names, BAR if width >= NARROW else BAR // 2) for line in lines
    ]
    shown += _each("task", limits.task_usd, limits.task_tokens)
    if all(line.reach != "project" for line in lines):
        shown += _each("project", limits.project_usd, limits.project_tokens)
    if not shown:
        return Content.styled("No budget is set: `budgets` in config.yaml sets them.", "$text-muted")
    return Content("\n").join(shown)


def _each(what: str, usd: float | None, tokens: int | None) -> list[Content]:
    """What any task, or any project, may use."""
    parts = [] if usd is None else [f"cost {money(usd)}"]
    parts += [] if tokens is None else [f"use {count(tokens)} tokens"]
    return [Content.styled(f"A {what} may {' and '.join(parts)} in all.", "$text-muted")] if parts else []


def _name(line: Line) -> str:
    if line.reach == "agent":
        return clean_line(f"agent {line.of}, today", 60)
    if line.reach == "project":
        return clean_line(f"project {line.of}", 60) if line.of else "tasks of no project"
    return "today"


def _part(line: Line) -> float:
    return line.used / line.limit if line.limit else 1.0


def _budget_line(line: Line, warn_percent: int, names: int, width: int) -> Content:
    tone: Tone = "ok"
    word = ""
    if line.over:
        tone, word = "error", "  ✗ spent"
    elif line.warns(warn_percent):
        tone, word = "warning", "  ! nearly spent"
    part = _part(line)
    used = (
        f"{count(round(line.used))} of {count(round(line.limit))} tokens"
        if line.tokens
        else (f"{money(line.used)} of {money(line.limit)}")
    )
    return Content.assemble(
        fit(_name(line), names), "  ", bar(part, width, STYLES[tone]), f" {part:4.0%}  ",
        (used, "$text-muted"), (word, STYLES[tone]),
    )  # fmt: skip
