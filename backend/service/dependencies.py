"""What waits for what: `blocked` exactly while a dependency is unfinished, and why it does not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backend.clock import from_ms
from backend.errors import DependencyCycle, NotFound
from backend.guards import settle
from backend.interface import Action, Transition
from backend.lifecycle import apply
from backend.model import SYSTEM, Queue, Task
from backend.service.context import Context
from backend.store.interface import Blocker

STUCK = {Queue.FAILED: "failed", Queue.CANCELLED: "was cancelled"}
"""Where a blocker does not move on by itself."""


def weigh(context: Context, task_id: str, blockers: Sequence[str]) -> tuple[int, str | None]:
    """How many of the wanted blockers are unfinished, and which of them needs a person first.

    Raises:
        DependencyCycle: the task would wait for itself.
        NotFound: a blocker does not exist.
    """
    start = context.store.tasks.find_cycle(task_id, blockers) if blockers else None
    if start == task_id:
        raise DependencyCycle(f"task {task_id} can not wait for itself", "leave it out of blocked_by")
    if start is not None:
        raise DependencyCycle(
            f"task {task_id} can not wait for {start}",
            f"{start} waits for {task_id} already, directly or not; take one of the two dependencies away",
        )
    found = []
    for blocker_id in blockers:
        stored = context.store.tasks.read(blocker_id)
        if stored is None:
            raise NotFound(
                f"there is no task {blocker_id!r} for task {task_id} to wait for",
                "create it first, or leave it out of blocked_by",
            )
        found.append(Blocker(blocker_id, stored.task.queue, stored.task.reason))
    return sum(blocker.queue is not Queue.DONE for blocker in found), why_stuck(found)


def why_stuck(blockers: Sequence[Blocker]) -> str | None:
    """Which blocker needs a person first; None while all of them may still finish by themselves."""
    for blocker in blockers:
        if blocker.queue in STUCK:
            because = f": {blocker.reason}" if blocker.reason else ""
            return f"waits for {blocker.id}, which {STUCK[blocker.queue]}{because}"
    return None


def explain_block(context: Context, task: Task) -> Task:
    """A task that has just become blocked, with the reason for it; any other as it is."""
    if task.queue is not Queue.BLOCKED:
        return task
    return replace(task, reason=why_stuck(context.store.tasks.blockers(task.id)))


def follow(context: Context, before: Task, after: Task, now: int) -> None:
    """Let the dependents of a changed task follow: unblocked, blocked, or told why they are stuck."""
    finished = (after.queue is Queue.DONE) - (before.queue is Queue.DONE)
    if before.queue is after.queue or not (finished or before.queue in STUCK or after.queue in STUCK):
        return
    for task_id in context.store.tasks.dependents(after.id):
        stored = context.read_task(task_id)
        _settle(context, stored.task, stored.open_blockers, stored.open_blockers - finished, after, now)


def _settle(context: Context, task: Task, was_open: int, is_open: int, blocker: Task, now: int) -> None:
    """Give a dependent its place."""
    kind = Action.BLOCK
    if task.queue not in (Queue.INCOMING, Queue.BLOCKED):
        after = task
    elif settle(is_open) is not task.queue:
        kind = Action.UNBLOCK if task.queue is Queue.BLOCKED else Action.BLOCK
        wish = Transition(task.id, kind, SYSTEM)
        after = explain_block(context, apply(task, wish, context.facts(now, is_open)))
    else:
        after = explain_block(context, task)
        if after.reason != task.reason:
            after = replace(after, version=task.version + 1, updated_at=from_ms(now))
    if after.version == task.version:
        if is_open != was_open:
            context.store.tasks.set_open_blockers(task.id, is_open)
        return
    context.save_state(after, is_open)
    reason = after.reason or f"{blocker.id} is {blocker.queue}"
    context.record(now, SYSTEM, kind, task, after, reason, {"blocker_id": blocker.id})
