"""`sessions`: the conversations of agent programs, by the programs' own ids."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from backend.model import Json, Run
from backend.sessions import Session, SessionStatus
from backend.wire import to_json
from octopoid_tui.cli import session as project
from octopoid_tui.cli.output import age, columns, say, say_json
from octopoid_tui.cli.tasks import JsonFlag

HEADS = ("SESSION", "AGENT", "MACHINE", "STATE", "AGE", "RUN", "TASK", "COST")


def sessions(
    task: Annotated[str | None, typer.Option("--task", metavar="ID", help="Of one task.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Only those that have not ended.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the sessions of agent programs: which run and task each belongs to, its state, age and cost.

    The age counts from when it was last opened; the cost is of all runs that went on with it.
    """

    async def work(opened: project.Session) -> tuple[list[Session], list[Run]]:
        backend = opened.desk.backend
        if task is not None:
            await backend.get_task(task)
        found = await backend.list_sessions(task_id=task, live=live)
        return found, await backend.list_runs(task_id=task) if found else []

    found, runs = project.run_session(work)
    costs = _costs(runs)
    if as_json:
        say_json([_fields(one, costs.get(_key(one))) for one in found])
    elif found:
        now = datetime.now(UTC)
        say(columns([HEADS, *(_row(one, costs.get(_key(one)), now) for one in found)]))


def _key(one: Session | Run) -> tuple[str, str | None]:
    return one.orchestrator_id, one.session_id


def _costs(runs: list[Run]) -> dict[tuple[str, str | None], float]:
    """What is known of the costs of each session."""
    costs: dict[tuple[str, str | None], float] = defaultdict(float)
    for run in runs:
        if run.session_id is not None and run.cost_usd is not None:
            costs[_key(run)] += run.cost_usd
    return costs


def _fields(one: Session, cost: float | None) -> Json:
    return {**to_json(one), "cost_usd": None if cost is None else round(cost, 6)}


def _row(one: Session, cost: float | None, now: datetime) -> tuple[str, ...]:
    state = f"{one.status}, waits" if one.waiting else str(one.status)
    until = one.terminated_at if one.status is SessionStatus.TERMINATED else None
    return (
        one.session_id,
        one.agent_name,
        one.orchestrator_id,
        state,
        age(one.opened_at, until or now),
        one.run_id or "",
        one.task_id or "",
        "" if cost is None else f"${cost:.2f}",
    )
