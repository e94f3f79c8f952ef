"""Tasks as work orders, and a worker's word about one as a wish to the lifecycle."""

from __future__ import annotations

from backend.clock import to_iso
from backend.errors import BadInput, LeaseLost
from backend.ids import asked_id
from backend.interface import Action, Backend, Transition
from backend.model import (
    Actor,
    NewTask,
    Outcome,
    Priority,
    Queue,
    Run,
    RunEnd,
    SenderType,
    Task,
    TaskPatch,
)
from backend.server.crew import worker_of
from backend.server.shapes import PRIORITIES, UNREPORTED
from backend.server.worker_bodies import CompleteBody, EnqueueBody, FailBody, Worker, WorkOrder

URGENCY = {Priority.P0: "high", Priority.P1: "high", Priority.P2: "normal", Priority.P3: "low"}
STATUSES = {
    Queue.BACKLOG: "queued",
    Queue.INCOMING: "queued",
    Queue.BLOCKED: "queued",
    Queue.CLAIMED: "claimed",
    Queue.PROVISIONAL: "completed",
    Queue.DONE: "completed",
    Queue.FAILED: "failed",
    Queue.ESCALATED: "failed",
    Queue.CANCELLED: "failed",
}


def order_of(task: Task, run: Run | None = None) -> WorkOrder:
    """A task as its worker sees it; with `run`, as it has just been claimed."""
    return WorkOrder(
        id=task.id,
        task_id=task.id,
        worker_id=worker_of(task.orchestrator_id),
        execution_id=task.run_id,
        status=STATUSES[task.queue],  # type: ignore[arg-type]
        priority=URGENCY[task.priority],  # type: ignore[arg-type]
        enqueued_at=task.created_at,
        claimed_at=task.claimed_at,
        completed_at=task.submitted_at or task.completed_at,
        retry_count=max(0, task.attempt_count - 1),
        lease_token=task.fence,
        lease_expires_at=task.lease_expires_at,
        task=task,
        execution=run,
    )


def priority_of(given: str) -> Priority:
    return PRIORITIES[given] if given in PRIORITIES else Priority(given)


def new_task(body: EnqueueBody, actor: Actor) -> NewTask:
    """The task that an order describes.

    Raises:
        BadInput: it has no title.
    """
    if body.title is None:
        raise BadInput("neither task_id nor title is given", "name a task, or describe a new one")
    return NewTask(
        id=body.id or asked_id(),
        title=body.title,
        role=body.role,
        base_branch=body.branch_name,
        base_sha="",
        created_by=str(actor),
        body=body.description,
        priority=priority_of(body.priority or "normal"),
        type=body.task_type,
        blocked_by=body.blocked_by,
        repo_url=body.repository_url,
        scope=body.scope,
    )


async def enqueue(backend: Backend, task_id: str, priority: str | None, actor: Actor) -> Task:
    """Queue a task that is there; one that waits already stays where it is.

    Raises:
        Refused: it is worked on, or has ended.
    """
    task = await backend.get_task(task_id)
    if task.queue not in (Queue.INCOMING, Queue.BLOCKED):
        task = await backend.transition(Transition(task_id, Action.ENQUEUE, actor, version=task.version))
    if priority is None:
        return task
    return await backend.edit_task(task_id, TaskPatch(priority=priority_of(priority)), actor=actor)


async def wish_of(
    backend: Backend, worker: Worker, said: CompleteBody | FailBody, action: Action
) -> Transition:
    """A worker's word about the task it holds.

    Its right is the fence it names, else that of the execution it names, else the live lease it holds.

    Raises:
        BadInput: no task is named, or two are.
        LeaseLost: somebody else holds the task, or nobody does.
    """
    task_id = said.task_id or said.work_order_id
    if task_id is None or said.work_order_id not in (None, task_id):
        raise BadInput("the work order is not named", "give work_order_id or task_id: both are the task's id")
    task = await backend.get_task(task_id)
    run = await _run_of(backend, worker, said, task)
    if run is None or task.orchestrator_id not in (None, worker.orchestrator_id):
        raise lost(task, worker)
    actor = Actor(SenderType.WORKER, worker.name)
    return Transition(task_id=task.id, action=action, actor=actor, fence=run.fence, run_id=run.id)


async def _run_of(backend: Backend, worker: Worker, said: CompleteBody | FailBody, task: Task) -> Run | None:
    """The execution of this worker that is meant: the one named, else the one that holds the lease."""
    named = said.execution_id is not None or said.lease_token is not None
    for run in await backend.list_runs(task_id=task.id):
        meant = said.execution_id in (None, run.id) and said.lease_token in (None, run.fence)
        if run.orchestrator_id == worker.orchestrator_id and meant and (named or run.id == task.run_id):
            return run
    return None


def lost(task: Task, worker: Worker) -> LeaseLost:
    """Why a worker has no say in a task."""
    until = f" until {to_iso(task.lease_expires_at)}" if task.lease_expires_at is not None else ""
    return LeaseLost(
        f"worker {worker.name} holds no lease on task {task.id}",
        "stop working on it, keep what was made, and claim anew",
        (f"the task is {task.queue}, held by {task.claimed_by or 'nobody'}{until}",),
    )


def end_of(said: CompleteBody | FailBody) -> RunEnd:
    """How the run ended, as the worker tells it."""
    if isinstance(said, FailBody):
        return RunEnd(Outcome.CRASHED, said.reason, summary=said.output)
    texts = [text for text in (said.summary, said.output) if text]
    return RunEnd(
        Outcome.SUBMITTED,
        "the worker completed it",
        head_sha=said.head_sha,
        commits_count=said.commits_count,
        summary="\n\n".join(texts) or None,
    )


def head_of(said: CompleteBody) -> str:
    return said.head_sha or UNREPORTED
