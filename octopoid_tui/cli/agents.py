"""`agents`: what each agent does, in which session, and what its kind can do."""

from __future__ import annotations

from backend.model import Json
from octopoid_tui.cli.output import columns, say, say_json
from octopoid_tui.cli.session import Session, run_session
from octopoid_tui.cli.tasks import JsonFlag


def agents(as_json: JsonFlag = False) -> None:
    """List the agents, what they work on, and what their kind can do."""

    async def work(session: Session) -> list[Json]:
        from scheduler.steer import caps_of

        backend = session.desk.backend
        runs = {run.id: run for run in await backend.list_runs(live=True)}
        return [
            {
                "name": one.name,
                "role": one.role,
                "adapter": one.adapter,
                "orchestrator_id": one.orchestrator_id,
                "status": one.status.value,
                "task_id": one.task_id,
                "run_id": one.run_id,
                "session_id": runs[one.run_id].session_id if one.run_id in runs else None,
                "reason": one.reason,
                "capabilities": caps_of(one.adapter).names(),
            }
            for one in await backend.list_agents()
        ]

    found = run_session(work)
    if as_json:
        say_json(found)
    elif found:
        names = ("name", "role", "adapter", "status", "task_id", "session_id")
        heads = ("AGENT", "ROLE", "ADAPTER", "STATUS", "TASK", "SESSION", "CAN")
        rows = [(*(one[name] or "" for name in names), ", ".join(one["capabilities"])) for one in found]
        say(columns([heads, *rows]))
