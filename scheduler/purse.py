"""Watching what live runs use: warnings while there is something left, and an end when there is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend.clock import Clock, day_of, from_ms
from backend.config.schema import AgentSpec
from backend.ids import new_id
from backend.interface import Backend
from backend.model import (
    Actor,
    MessageKind,
    MessageType,
    NewMessage,
    Run,
    SenderType,
)
from scheduler.admission.world import slots_of
from scheduler.budget import DAILY, OWN, Ledger, Line, lines, read_ledger, shared_lines, spent_by, total
from scheduler.outcome import StopCause
from scheduler.project import Project

BUDGET = Actor(SenderType.SYSTEM, "budget")
PREFIX = "budget:"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run may not go on."""

    reason: str
    cause: StopCause


class Purse:
    """Compares what runs use with what they may; asks the store only for what a budget needs."""

    def __init__(self, backend: Backend, project: Project, clock: Clock) -> None:
        self._backend = backend
        self._project = project
        self._clock = clock
        self._told: set[tuple[str, str]] = set()
        """Runs that were warned, and of what."""
        self._alerting = True
        """Whether alerts may stand: those of an earlier scheduler do, until the first look."""

    @property
    def watches(self) -> bool:
        """Whether it matters how much a run uses."""
        return self._has_budgets or any(spec.max_turns is not None for spec in self._project.agents)

    @property
    def _has_budgets(self) -> bool:
        budgets = self._project.config.budgets
        own = (spec.budget_usd or spec.budget_tokens or spec.day_usd for spec in self._project.agents)
        shared = (
            budgets.task_usd, budgets.day_usd, budgets.project_usd,
            budgets.task_tokens, budgets.day_tokens, budgets.project_tokens,
        )  # fmt: skip
        return any(one is not None for one in (*own, *shared))

    async def look(self, runs: Sequence[Run]) -> dict[str, Stop]:
        """Which of these live runs have to end, by id; gives the warnings that are due."""
        stops = {run.id: stop for run in runs if (stop := self._turns(run)) is not None}
        known: list[Line] = []
        if self._has_budgets:
            ledger = await self._ledger()
            budgets = self._project.config.budgets
            known = shared_lines(budgets, self._project.agents, ledger, ledger.projects)
            for run in runs:
                found = await self._lines(run, ledger)
                spent = next((line for line in found if line.over), None)
                if spent is not None and run.id not in stops:
                    cause = StopCause.OWN_BUDGET if spent.reach in OWN else StopCause.SHARED_BUDGET
                    stops[run.id] = Stop(spent.said, cause)
                await self._warn(run, found)
        await self._alert(known)
        return stops

    def _turns(self, run: Run) -> Stop | None:
        spec = self._spec(run)
        limit = spec.max_turns if spec is not None else None
        if limit is None or run.turns is None or run.turns <= limit:
            return None
        return Stop(f"it took {run.turns} turns (max_turns is {limit})", StopCause.TURNS)

    async def _ledger(self) -> Ledger:
        specs = {slot.name: slot.spec for slot in slots_of(self._project.agents)}
        now = from_ms(self._clock.now_ms())
        return await read_ledger(self._backend, self._project.config.budgets, specs, now)

    async def _lines(self, run: Run, ledger: Ledger) -> list[Line]:
        task = await self._backend.get_task(run.task_id)
        spent = total(map(spent_by, await self._backend.list_runs(task_id=run.task_id)))
        return lines(
            self._project.config.budgets,
            self._spec(run),
            ledger,
            project=task.project_id,
            task=spent,
            run=spent_by(run),
        )

    def _spec(self, run: Run) -> AgentSpec | None:
        slots = slots_of(self._project.agents)
        return next((slot.spec for slot in slots if slot.name == run.agent_name), None)

    async def _warn(self, run: Run, known: Iterable[Line]) -> None:
        """Say once in the task's conversation that its own budget is nearly used."""
        percent = self._project.config.budgets.warn_percent
        for line in known:
            mark = (run.id, line.key)
            if line.reach not in OWN or line.over or not line.warns(percent) or mark in self._told:
                continue
            self._told.add(mark)
            text = f"{line.name} is nearly used: {line.amount(line.used)} of {line.amount(line.limit)}"
            await self._backend.post_message(
                NewMessage(
                    new_id(), run.task_id, BUDGET, MessageType.STATUS, MessageKind.NOTE, text,
                    run_id=run.id, request_id=f"scheduler:{line.key}",
                )
            )  # fmt: skip

    async def _alert(self, known: Iterable[Line]) -> None:
        """Let everybody know which shared budgets are used or nearly so, and take back what holds no more."""
        percent = self._project.config.budgets.warn_percent
        wanted = {line.key: line for line in known if line.warns(percent)}
        tomorrow = day_of(from_ms(self._clock.now_ms()))[1]
        for key, line in wanted.items():
            limit = line.amount(line.limit)
            text = f"{line.name} of {limit} is " + ("spent" if line.over else f"used to {percent}% or more")
            await self._backend.raise_alert(key, text, until=tomorrow if line.reach in DAILY else None)
        if self._alerting or wanted:
            for alert in await self._backend.list_alerts():
                if alert.key.startswith(PREFIX) and alert.key not in wanted:
                    await self._backend.clear_alert(alert.key)
        self._alerting = bool(wanted)
