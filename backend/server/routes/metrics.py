"""Counts for whoever watches the server, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.model import AgentStatus, Queue, TaskFilter
from backend.server.wire import backend_of, no_query

router = APIRouter()

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    no_query(request)
    backend = backend_of(request)
    queues = await backend.count_queues()
    runs = await backend.list_runs(live=True)
    held = await backend.list_tasks(TaskFilter(queues=frozenset({Queue.CLAIMED, Queue.PROVISIONAL})))
    statuses = Counter(agent.status for agent in await backend.list_agents())
    standing = Counter(machine.status for machine in await backend.list_orchestrators())
    machines = {one: standing[one] for one in ("active", "offline")}
    agents = {one.value: statuses[one] for one in AgentStatus}
    questions = len(await backend.open_questions())
    seq = await backend.last_seq()
    parts = [
        _gauge("tasks", "Tasks by state", "queue", {queue.value: queues.get(queue, 0) for queue in Queue}),
        _gauge("runs_live", "Runs that have not ended", "status", Counter(run.status.value for run in runs)),
        _gauge("leases", "Leases held", "", {"": sum(task.run_id is not None for task in held)}),
        _gauge("agents", "Agents by state", "status", agents),
        _gauge("orchestrators", "Machines by state", "status", machines),
        _gauge("questions_open", "Questions nobody has answered", "", {"": questions}),
        _gauge("events_total", "Events in the log", "", {"": seq}, "counter"),
    ]
    return Response("".join(parts), media_type=MEDIA_TYPE)


def _gauge(name: str, said: str, label: str, values: Mapping[str, int], kind: str = "gauge") -> str:
    lines = [f"# HELP octopoid_{name} {said}.", f"# TYPE octopoid_{name} {kind}"]
    for value, count in values.items():
        of = f'{{{label}="{value}"}}' if label else ""
        lines.append(f"octopoid_{name}{of} {count}")
    return "\n".join(lines) + "\n"
