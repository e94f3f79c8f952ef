"""A conflict settled in favour of the change made here: asked for again, on top of what is there now."""

from __future__ import annotations

from dataclasses import replace

from backend.errors import Refused
from backend.ids import new_id
from backend.interface import Action, Backend, Transition
from backend.model import Actor, ClaimRequest, Queue, Run, Task
from backend.offline.operations import Edit, Move
from backend.offline.outbox import Entry

LEASE_S = 300


async def settle(server: Backend, entry: Entry, run: Run | None, actor: Actor) -> None:
    """Make the server take a change; raises what it says when it still does not.

    Args:
        run: the run that the change was made by, if any.
        actor: the person who decides.
    """
    operation = entry.operation
    if isinstance(operation, Move) and operation.wish.fence is not None:
        await _move(server, operation.wish, run, actor)
    elif isinstance(operation, Edit | Move):
        task = await server.get_task(entry.task_id)
        await operation.on(task.version).do(server)
    else:
        await operation.do(server)


async def _move(server: Backend, wish: Transition, run: Run | None, actor: Actor) -> None:
    """What a run wanted whose lease was lost: work goes in under a new lease, the rest as a person's word."""
    task = await server.get_task(wish.task_id)
    if wish.action not in (Action.SUBMIT, Action.CONTINUE):
        plain = replace(wish, fence=None, run_id=None, run_end=None, version=task.version, actor=actor)
        await server.transition(plain)
        return
    if task.queue is not Queue.INCOMING or run is None:
        raise Refused(
            f"the work on task {task.id} can not be handed in: it is {task.queue}{_holder(task)}",
            f"it lies in {wish.head_sha} of run {wish.run_id}; requeue the task first, or leave it",
        )
    claim = await server.claim(
        ClaimRequest(
            orchestrator_id=run.orchestrator_id,
            agent_name=run.agent_name,
            adapter=run.adapter,
            run_id=new_id(),
            lease_seconds=LEASE_S,
            task_id=task.id,
            model=run.model,
        )
    )
    if claim is None:
        raise Refused(f"task {task.id} can not be claimed to hand the work in", "try again")
    await server.transition(replace(wish, fence=claim.task.fence, run_id=claim.run.id, version=None))


def _holder(task: Task) -> str:
    return f", held by {task.claimed_by}" if task.claimed_by else ""
