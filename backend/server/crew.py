"""Workers over plain HTTP: each is one agent on a machine of its own, so that the same leases hold for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backend.errors import BadInput, NotFound, UnknownOrchestrator
from backend.ids import check_id
from backend.interface import Backend
from backend.model import Agent, AgentStatus, Orchestrator, Outcome, Run, RunEnd, Task
from backend.server.worker_bodies import Worker, WorkerBody
from backend.service.runs import EXTERNAL

CLUSTER = "worker"
ANY_ROLE = "*"
NAME_LIMIT = 64
ROLE_LIMIT = 20


def machine_of(worker_id: str) -> str:
    return f"{CLUSTER}-{worker_id}"


def worker_of(orchestrator_id: str | None) -> str | None:
    """The worker that a machine is; None for a machine that is none."""
    prefix = f"{CLUSTER}-"
    if orchestrator_id is None or not orchestrator_id.startswith(prefix):
        return None
    return orchestrator_id.removeprefix(prefix)


async def list_workers(backend: Backend) -> list[Worker]:
    agents = await backend.list_agents()  # first: a machine is there before its agents, and stays
    machines = {machine.id: machine for machine in await backend.list_orchestrators()}
    return [
        _worker(agent, machines[agent.orchestrator_id])
        for agent in agents
        if agent.adapter == EXTERNAL and worker_of(agent.orchestrator_id) is not None
    ]


async def get_worker(backend: Backend, worker_id: str) -> Worker:
    """
    Raises:
        NotFound: there is no such worker.
    """
    found = next((one for one in await list_workers(backend) if one.id == worker_id), None)
    if found is None:
        raise NotFound(
            f"there is no worker {worker_id[:80]!r}",
            "register it with POST /api/v1/workers and its name, and use the id that this returns",
        )
    return found


async def require_worker(backend: Backend, worker_id: str) -> Worker:
    """
    Raises:
        UnknownOrchestrator: a body names a worker that there is not; it would look like an empty queue.
    """
    try:
        return await get_worker(backend, worker_id)
    except NotFound as error:
        raise UnknownOrchestrator(error.problem, error.next_step) from error


async def register(backend: Backend, worker_id: str, body: WorkerBody) -> Worker:
    """Make a worker known, or known again under what it says of itself now.

    Raises:
        BadInput: its name, id or capabilities are not usable.
    """
    if not body.name.strip() or len(body.name) > NAME_LIMIT or not body.name.isprintable():
        raise BadInput("the worker's name is not usable", f"give 1 to {NAME_LIMIT} printable characters")
    check_id(worker_id, "worker id")
    roles = tuple(dict.fromkeys(body.capabilities))
    _check_roles(roles)
    machine = await backend.register(CLUSTER, worker_id, pid=body.pid)
    agent = Agent(
        name=body.name,
        orchestrator_id=machine.id,
        role=",".join(roles) or ANY_ROLE,
        adapter=EXTERNAL,
        status=AgentStatus.IDLE,
        task_id=None,
        run_id=None,
        pid=body.pid,
        reason=None,
        updated_at=machine.last_heartbeat_at,
    )
    await backend.report_agents(machine.id, [agent])
    return await refresh(backend, await get_worker(backend, worker_id))


async def held_by(backend: Backend, worker: Worker) -> list[tuple[Task, Run]]:
    """The tasks whose lease a worker holds now, each with its run."""
    held = []
    for run in await backend.list_runs(live=True):
        if run.orchestrator_id == worker.orchestrator_id:
            task = await backend.get_task(run.task_id)
            if task.run_id == run.id:
                held.append((task, run))
    return held


async def refresh(
    backend: Backend, worker: Worker, said: AgentStatus | None = None, reason: str | None = None
) -> Worker:
    """Bring what is shown of a worker in line with what it holds and asks. It may say `error` by itself."""
    held = await held_by(backend, worker)
    runs = {run.id for _, run in held}
    asks = any(question.run_id in runs for question in await backend.open_questions())
    status = AgentStatus.WAITING if asks else AgentStatus.BUSY if held else AgentStatus.IDLE
    if said is AgentStatus.ERROR:
        status = said
    task, run = held[-1] if held else (None, None)
    agents = await backend.list_agents()
    known = next((one for one in agents if one.orchestrator_id == worker.orchestrator_id), None)
    if known is None:  # taken off the list meanwhile
        return worker
    after = replace(
        known,
        status=status,
        task_id=None if task is None else task.id,
        run_id=None if run is None else run.id,
        reason=reason if status in (AgentStatus.IDLE, AgentStatus.ERROR) else None,
    )
    if after != known:
        await backend.report_agents(worker.orchestrator_id, [after])
    return await get_worker(backend, worker.id)


async def refresh_holder(backend: Backend, run_id: str | None) -> None:
    """The same for whoever a run is of, if that is a worker."""
    if run_id is None:
        return
    worker_id = worker_of((await backend.get_run(run_id)).orchestrator_id)
    for worker in await list_workers(backend):
        if worker.id == worker_id:
            await refresh(backend, worker)


def stopped(reason: str) -> RunEnd:
    return RunEnd(Outcome.STOPPED, reason)


def roles_for(worker: Worker, wanted: Sequence[str]) -> tuple[str, ...]:
    """The roles a claim is for.

    Raises:
        BadInput: the worker never said that it can do that.
    """
    strange = [role for role in wanted if worker.capabilities and role not in worker.capabilities]
    if strange:
        raise BadInput(
            f"worker {worker.name} is not registered for {', '.join(strange)[:80]}",
            f"it may claim {', '.join(worker.capabilities)}",
        )
    return tuple(wanted) or worker.capabilities


def _check_roles(roles: Sequence[str]) -> None:
    for role in roles:
        usable = 0 < len(role) <= NAME_LIMIT and role.isprintable() and not set(role) & {",", " ", ANY_ROLE}
        if not usable:
            raise BadInput(f"capability {role[:80]!r} is not usable", "name roles, such as implement")
    if len(roles) > ROLE_LIMIT:
        raise BadInput(
            f"{len(roles)} capabilities are too many", f"give at most {ROLE_LIMIT}, or none for all"
        )


def _worker(agent: Agent, machine: Orchestrator) -> Worker:
    return Worker(
        id=machine.machine_id,
        name=agent.name,
        status=AgentStatus.OFFLINE if machine.status == "offline" else agent.status,
        capabilities=() if agent.role == ANY_ROLE else tuple(agent.role.split(",")),
        orchestrator_id=machine.id,
        task_id=agent.task_id,
        execution_id=agent.run_id,
        reason=agent.reason,
        last_heartbeat_at=machine.last_heartbeat_at,
        created_at=machine.registered_at,
        updated_at=agent.updated_at,
    )
