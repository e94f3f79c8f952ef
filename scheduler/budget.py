"""What may be spent and what has been, by run, task, agent, project and day; and what follows from it.

The budgets of a run and of a task are the task's own: at their end it goes to a person. Those of a day, an
agent and a project are shared: at their end the task is given back, blameless, and a gate stays closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from backend.clock import day_of
from backend.config.schema import AgentSpec, Budgets
from backend.interface import Backend
from backend.model import Run, Usage, UsageBy

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Spent:
    """Money in US dollars, and tokens in and out."""

    usd: float = 0.0
    tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.usd + other.usd, self.tokens + other.tokens)


NOTHING = Spent()


def spent_by(run: Run) -> Spent:
    return Spent(run.cost_usd or 0.0, run.tokens_input + run.tokens_output + run.tokens_cache_write)


def total(parts: Iterable[Spent]) -> Spent:
    return sum(parts, NOTHING)


class Reach(StrEnum):
    """For what a budget is."""

    RUN = "run"
    TASK = "task"
    AGENT = "agent"
    PROJECT = "project"
    DAY = "day"


NAMES = {
    Reach.RUN: "this run's budget",
    Reach.TASK: "this task's budget",
    Reach.AGENT: "today's budget of agent {}",
    Reach.PROJECT: "the budget of project {}",
    Reach.DAY: "today's budget",
}
DAILY = frozenset({Reach.AGENT, Reach.DAY})
OWN = frozenset({Reach.RUN, Reach.TASK})


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known to be spent: today, today by agent (its name in agents.yaml), and by project."""

    day: Spent = NOTHING
    agents: Mapping[str, Spent] = field(default_factory=dict)
    projects: Mapping[str, Spent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One budget and how much of it is used; amounts are dollars or tokens."""

    reach: Reach
    of: str
    """The agent's or the project's name; empty for the rest."""
    used: float
    limit: float
    tokens: bool

    @property
    def over(self) -> bool:
        return self.used >= self.limit

    def warns(self, percent: int) -> bool:
        return self.used * 100 >= self.limit * percent

    @property
    def name(self) -> str:
        if self.reach is Reach.PROJECT and not self.of:
            return "the budget of tasks without a project"
        return NAMES[self.reach].format(self.of)

    @property
    def key(self) -> str:
        """Names the budget for alerts and events."""
        return f"budget:{self.reach}:{'tokens' if self.tokens else 'usd'}:{self.of}".rstrip(":")

    def amount(self, value: float) -> str:
        return f"{value:,.0f} tokens" if self.tokens else f"${value:.2f}"

    @property
    def said(self) -> str:
        """`today's budget is spent: $10.02 of $10.00`"""
        return f"{self.name} is spent: {self.amount(self.used)} of {self.amount(self.limit)}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What people want to know of budgets: the shared ones with what is used, and all that is set."""

    shared: tuple[Line, ...]
    limits: Budgets


def lines(
    budgets: Budgets,
    spec: AgentSpec | None,
    ledger: Ledger,
    *,
    project: str | None,
    task: Spent,
    run: Spent | None = None,
) -> list[Line]:
    """Every budget that is set and that a run of this agent on this task counts towards; its own first."""
    found: list[Line] = []
    if spec is not None and run is not None:
        found += _set(Reach.RUN, run, spec.budget_usd, spec.budget_tokens)
    found += _set(Reach.TASK, task, budgets.task_usd, budgets.task_tokens)
    return found + shared_lines(budgets, () if spec is None else (spec,), ledger, (project or "",))


def shared_lines(
    budgets: Budgets, specs: Iterable[AgentSpec], ledger: Ledger, projects: Iterable[str]
) -> list[Line]:
    """The budgets of these agents and projects, and of the day, as far as they are set."""
    found: list[Line] = []
    for spec in specs:
        found += _set(Reach.AGENT, ledger.agents.get(spec.name, NOTHING), spec.day_usd, None, spec.name)
    for project in projects:
        spent = ledger.projects.get(project, NOTHING)
        found += _set(Reach.PROJECT, spent, budgets.project_usd, budgets.project_tokens, project)
    return found + _set(Reach.DAY, ledger.day, budgets.day_usd, budgets.day_tokens)


def _set(reach: Reach, spent: Spent, usd: float | None, tokens: int | None, of: str = "") -> list[Line]:
    """The budgets of one reach that the configuration sets: of money, of tokens, or both."""
    money = [] if usd is None else [Line(reach, of, spent.usd, usd, tokens=False)]
    return money if tokens is None else [*money, Line(reach, of, spent.tokens, tokens, tokens=True)]


async def read_ledger(
    backend: Backend, budgets: Budgets, specs: Mapping[str, AgentSpec], now: datetime
) -> Ledger:
    """What has been spent, as far as a budget asks for it.

    Args:
        specs: the entry of agents.yaml of each slot, by the slot's name.
    """
    begun, _ = day_of(now)
    today = await backend.usage(UsageBy.AGENT, since=begun)
    agents: dict[str, Spent] = {}
    for one in today:
        spec = specs.get(one.key)
        if spec is not None:
            agents[spec.name] = agents.get(spec.name, NOTHING) + _of(one)
    projects: dict[str, Spent] = {}
    if budgets.project_usd is not None or budgets.project_tokens is not None:
        projects = {one.key: _of(one) for one in await backend.usage(UsageBy.PROJECT, since=LONG_AGO)}
    return Ledger(total(map(_of, today)), agents, projects)


def _of(usage: Usage) -> Spent:
    return Spent(usage.cost_usd, usage.tokens)
