"""What must hold before a task may change: conditions with a name, each saying why it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from backend.errors import LeaseLost, Refused
from backend.interface import Transition
from backend.model import Queue, SenderType, Task


@dataclass(frozen=True, slots=True)
class Limits:
    """How often a task may go round before a person has to decide, and how long a session may last."""

    attempts: int = 5
    rejections: int = 3
    continuations: int = 3
    conflicts: int = 3
    session_idle_s: int = 30 * 60
    """A session that is silent for longer ends, unless it waits for an answer."""
    session_max_s: int = 60 * 60
    """A session that has been open for longer ends."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule may know besides the task and the wish."""

    now: datetime
    limits: Limits
    open_blockers: int = 0
    last_run_id: str | None = None
    """The run that holds, or last held, the lease of the task's current fence."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition with a name; `test` returns why it does not hold, or None."""

    name: str
    test: Callable[[Task, Transition, Facts], str | None]
    error: type[Refused] = Refused


def settle(open_blockers: int) -> Queue:
    """Where a task that could go on belongs: blocked exactly while a dependency is unfinished."""
    return Queue.BLOCKED if open_blockers else Queue.INCOMING


def _fence_given(task: Task, wish: Transition, facts: Facts) -> str | None:
    return "no fence was given" if wish.fence is None else None


def _lease_held(task: Task, wish: Transition, facts: Facts) -> str | None:
    return None if task.run_id is not None else "nobody holds a lease on it"


def _by_holder(task: Task, wish: Transition, facts: Facts) -> str | None:
    if task.run_id is not None:
        right = wish.run_id in (None, task.run_id)
        return None if right else f"the lease belongs to run {task.run_id}, not to {wish.run_id}"
    if wish.run_id is not None and wish.run_id == facts.last_run_id:
        return None
    return f"nobody holds a lease on it, and run {wish.run_id} was not the last to hold one"


def _nobody_holds(task: Task, wish: Transition, facts: Facts) -> str | None:
    return None if task.run_id is None else f"{task.claimed_by} holds a lease on it (run {task.run_id})"


def _attempts_left(task: Task, wish: Transition, facts: Facts) -> str | None:
    used, cap = task.attempts_counted, facts.limits.attempts
    return None if used < cap else f"all {cap} attempts are used"


def _holds_left(task: Task, wish: Transition, facts: Facts) -> str | None:
    # One more than the cap: the last attempt's work may still be reviewed, a dying reviewer not for ever.
    used, cap = task.attempts_counted, facts.limits.attempts
    return None if used <= cap else f"{used} attempts are used of {cap}"


def _dependencies_done(task: Task, wish: Transition, facts: Facts) -> str | None:
    return f"{facts.open_blockers} of its dependencies are unfinished" if facts.open_blockers else None


def _dependency_open(task: Task, wish: Transition, facts: Facts) -> str | None:
    return None if facts.open_blockers else "none of its dependencies is unfinished"


def _reason_given(task: Task, wish: Transition, facts: Facts) -> str | None:
    return None if wish.reason and wish.reason.strip() else "no reason was given"


def _reason_unless_systemic(task: Task, wish: Transition, facts: Facts) -> str | None:
    return None if wish.systemic else _reason_given(task, wish, facts)


def _head_given(task: Task, wish: Transition, facts: Facts) -> str | None:
    return None if wish.head_sha else "no commit was given (head_sha)"


def _head_known(task: Task, wish: Transition, facts: Facts) -> str | None:
    return None if task.head_sha else "it has no commit that could be approved"


def _head_unmoved(task: Task, wish: Transition, facts: Facts) -> str | None:
    same = wish.head_sha in (None, task.head_sha)
    return None if same else f"its work is {task.head_sha} now, not {wish.head_sha}"


def _approved(task: Task, wish: Transition, facts: Facts) -> str | None:
    if task.approved_sha is None:
        return "it is not approved"
    same = task.approved_sha == task.head_sha
    return None if same else f"the approval is for {task.approved_sha}, its work is {task.head_sha} now"


def _merge_given(task: Task, wish: Transition, facts: Facts) -> str | None:
    return None if wish.merged_sha else "no merge commit was given (merged_sha)"


def _human(task: Task, wish: Transition, facts: Facts) -> str | None:
    return None if wish.actor.type is SenderType.HUMAN else f"only a person may, and {wish.actor} is none"


def _forcible(task: Task, wish: Transition, facts: Facts) -> str | None:
    if wish.to is None:
        return "no state to force it to was given"
    if wish.to is Queue.CLAIMED:
        return "a claim needs a lease: force it to incoming"
    if wish.to in (Queue.INCOMING, Queue.BLOCKED) and wish.to is not settle(facts.open_blockers):
        return f"with {facts.open_blockers} unfinished dependencies it can not be {wish.to}"
    return None


FENCE_GIVEN = Guard("fence given", _fence_given)
LEASE_HELD = Guard("lease held", _lease_held, LeaseLost)
BY_HOLDER = Guard("by the last holder", _by_holder, LeaseLost)
NOBODY_HOLDS = Guard("no lease held", _nobody_holds)
ATTEMPTS_LEFT = Guard("attempts left", _attempts_left)
HOLDS_LEFT = Guard("attempts left", _holds_left)
DEPENDENCIES_DONE = Guard("dependencies done", _dependencies_done)
DEPENDENCY_OPEN = Guard("a dependency unfinished", _dependency_open)
REASON_GIVEN = Guard("reason given", _reason_given)
REASON_UNLESS_SYSTEMIC = Guard("reason given, unless systemic", _reason_unless_systemic)
HEAD_GIVEN = Guard("commit given", _head_given)
HEAD_KNOWN = Guard("commit known", _head_known)
HEAD_UNMOVED = Guard("commit unmoved", _head_unmoved)
APPROVED = Guard("its commit approved", _approved)
MERGE_GIVEN = Guard("merge commit given", _merge_given)
HUMAN = Guard("human", _human)
FORCIBLE = Guard("state possible", _forcible)
