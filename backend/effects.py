"""What a change does to a task: where it goes (targets), and which fields it sets (effects).

Everything a rule does not keep has been cleared before its effects are applied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend.guards import Facts, settle
from backend.interface import Transition
from backend.model import Queue, Task

CLAIM = ("claimed_by", "claimed_at", "orchestrator_id", "run_id", "lease_expires_at")
APPROVAL = ("approved_by", "approved_at", "approved_sha")
RESUME = ("resume_run_id",)
REASON = ("reason",)
SUBMISSION = ("submitted_at",)
COMPLETION = ("merged_sha", "completed_at")
CLEARABLE = CLAIM + APPROVAL + RESUME + REASON + SUBMISSION + COMPLETION

Fields = dict[str, Any]
Target = Callable[[Task, Transition, Facts], Queue]
Effect = Callable[[Task, Transition, Facts, Queue], Fields]


# Targets


def to(queue: Queue) -> Target:
    """Always the same state."""
    return lambda task, wish, facts: queue


def stay(task: Task, wish: Transition, facts: Facts) -> Queue:
    """The state it is in."""
    return task.queue


def ready(task: Task, wish: Transition, facts: Facts) -> Queue:
    """Incoming, or blocked while a dependency is unfinished."""
    return settle(facts.open_blockers)


def after_release(task: Task, wish: Transition, facts: Facts) -> Queue:
    """A hold leaves the task provisional; the last counted attempt fails it."""
    if task.queue is Queue.PROVISIONAL:
        return task.queue
    used_up = not wish.systemic and task.attempts_counted >= facts.limits.attempts
    return Queue.FAILED if used_up else settle(facts.open_blockers)


def after_expiry(task: Task, wish: Transition, facts: Facts) -> Queue:
    """A hold leaves the task provisional."""
    return task.queue if task.queue is Queue.PROVISIONAL else settle(facts.open_blockers)


def after_continue(task: Task, wish: Transition, facts: Facts) -> Queue:
    """Escalated when it has gone on too often."""
    limits = facts.limits
    over = task.continuation_count + 1 >= limits.continuations or task.attempts_counted >= limits.attempts
    return Queue.ESCALATED if over else settle(facts.open_blockers)


def after_reject(task: Task, wish: Transition, facts: Facts) -> Queue:
    """Escalated when it was rejected too often, or no attempt is left."""
    counted = task.attempts_counted - (task.run_id is not None)
    limits = facts.limits
    over = task.rejection_count + 1 >= limits.rejections or counted >= limits.attempts
    return Queue.ESCALATED if over else settle(facts.open_blockers)


def after_conflict(task: Task, wish: Transition, facts: Facts) -> Queue:
    """Escalated when it has conflicted more often than allowed."""
    over = task.conflict_count + 1 > facts.limits.conflicts
    return Queue.ESCALATED if over else task.queue


def forced(task: Task, wish: Transition, facts: Facts) -> Queue:
    """What the person says."""
    return wish.to or task.queue


# Effects


def count_attempt(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    """The claim's own fields come from the claimant, in the same statement."""
    return {"attempt_count": task.attempt_count + 1}


def forgive_attempt(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return {"attempts_forgiven": task.attempts_forgiven + 1}


def forgive_hold(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    """A hold that ended well does not count; one that is late was forgiven when it expired."""
    return forgive_attempt(task, wish, facts, queue) if task.run_id is not None else {}


def forgive_systemic(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return forgive_attempt(task, wish, facts, queue) if wish.systemic else {}


def keep_resume_if_systemic(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return {"resume_run_id": task.resume_run_id} if wish.systemic else {}


def keep_review_if_provisional(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    """What a provisional task had before it was held stays with it, its commit too: it was submitted."""
    if task.queue is not Queue.PROVISIONAL or queue is not Queue.PROVISIONAL:
        return {}
    return {name: getattr(task, name) for name in ("head_sha", *APPROVAL, *SUBMISSION, *REASON)}


def set_head(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return {"head_sha": wish.head_sha} if wish.head_sha else {}


def set_submitted(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return {"submitted_at": facts.now}


def set_resume(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return {
        "resume_run_id": task.run_id or facts.last_run_id,
        "continuation_count": task.continuation_count + 1,
    }


def move_head(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    """A resolved conflict moves the approval to the new commit; the conflict's reason is gone."""
    if not wish.head_sha or wish.head_sha == task.head_sha:
        return {}
    moved: Fields = {"head_sha": wish.head_sha, "reason": None}
    approved = task.approved_sha is not None and task.approved_sha == task.head_sha
    return moved | {"approved_sha": wish.head_sha} if approved else moved


def set_approval(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return {"approved_by": str(wish.actor), "approved_at": facts.now, "approved_sha": task.head_sha}


def set_merged(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return {"merged_sha": wish.merged_sha, "completed_at": facts.now}


def set_completed(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return {"completed_at": facts.now}


def set_reason(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    return {"reason": wish.reason}


def set_gave_up(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    if queue is not Queue.FAILED:
        return {}
    return {"reason": f"gave up after {task.attempts_counted} attempts: {wish.reason}"}


def set_went_on(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    if queue is not Queue.ESCALATED:
        return {}
    times = task.continuation_count + 1
    return {"reason": f"unfinished after {times} continued runs: {wish.reason or 'out of turns'}"}


def count_rejection(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    times = task.rejection_count + 1
    reason = f"rejected {times} times: {wish.reason}" if queue is Queue.ESCALATED else wish.reason
    return {"rejection_count": times, "reason": reason}


def count_conflict(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    times = task.conflict_count + 1
    reason = f"conflicted {times} times: {wish.reason}" if queue is Queue.ESCALATED else wish.reason
    return {"conflict_count": times, "reason": reason}


def begin_anew(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    """A person's retry forgives all that was counted."""
    return {
        "attempts_forgiven": task.attempt_count,
        "rejection_count": 0,
        "continuation_count": 0,
        "conflict_count": 0,
    }


def complete_if_done(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    if queue is not Queue.DONE:
        return {}
    return {"merged_sha": wish.merged_sha or task.merged_sha, "completed_at": facts.now}


def keep_approval_if_provisional(task: Task, wish: Transition, facts: Facts, queue: Queue) -> Fields:
    if queue is not Queue.PROVISIONAL:
        return {}
    return {name: getattr(task, name) for name in APPROVAL} | {"submitted_at": task.submitted_at or facts.now}
