"""The transition table: what may be done to a task, from where to where, and which fields survive.

Pure: no I/O, no clock. `TABLE` has one `Rule` for each action; `apply` is the only way from a task and a
wish to the task after it. All that a rule does not name as kept is cleared.

A lease ends in one of two ways. Ended by its holder or taken away by another, the fence moves on. Ended
by the clock alone (`EXPIRE`), the fence stays: so a current fence without a lease means that the last
holder is late and nobody has had the task since, and its finished work is still welcome.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.effects import (
    APPROVAL,
    CLEARABLE,
    REASON,
    RESUME,
    SUBMISSION,
    Effect,
    Fields,
    Target,
    after_conflict,
    after_continue,
    after_expiry,
    after_reject,
    after_release,
    begin_anew,
    complete_if_done,
    count_attempt,
    count_conflict,
    count_rejection,
    forced,
    forgive_attempt,
    forgive_hold,
    forgive_systemic,
    keep_approval_if_provisional,
    keep_resume_if_systemic,
    keep_review_if_provisional,
    move_head,
    ready,
    set_approval,
    set_completed,
    set_gave_up,
    set_head,
    set_merged,
    set_reason,
    set_resume,
    set_submitted,
    set_went_on,
    stay,
    to,
)
from backend.errors import LeaseLost, Refused, VersionConflict
from backend.guards import (
    APPROVED,
    ATTEMPTS_LEFT,
    BY_HOLDER,
    DEPENDENCIES_DONE,
    DEPENDENCY_OPEN,
    FENCE_GIVEN,
    FORCIBLE,
    HEAD_GIVEN,
    HEAD_KNOWN,
    HEAD_UNMOVED,
    HOLDS_LEFT,
    HUMAN,
    LEASE_HELD,
    MERGE_GIVEN,
    NOBODY_HOLDS,
    REASON_GIVEN,
    REASON_UNLESS_SYSTEMIC,
    Facts,
    Guard,
    Limits,
)
from backend.interface import Action, Transition
from backend.model import OPEN_QUEUES, Queue, Task

__all__ = ["TABLE", "Facts", "Limits", "Rule", "apply", "check", "is_late"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    action: Action
    sources: frozenset[Queue]
    target: Target
    guards: tuple[Guard, ...] = ()
    keeps: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    moves_fence: bool = False
    """Whoever held a lease of the old fence can do nothing more with it."""
    kind: str = ""
    """The event's kind, where it is not the action's name."""

    @property
    def event_kind(self) -> str:
        return self.kind or self.action.value


BACKLOG, INCOMING, BLOCKED = Queue.BACKLOG, Queue.INCOMING, Queue.BLOCKED
CLAIMED, PROVISIONAL, DONE = Queue.CLAIMED, Queue.PROVISIONAL, Queue.DONE
FAILED, ESCALATED, CANCELLED = Queue.FAILED, Queue.ESCALATED, Queue.CANCELLED
LATE = (INCOMING, BLOCKED)
"""Where a task may be found by a holder whose lease has expired."""


def _rule(
    action: Action,
    sources: tuple[Queue, ...] | frozenset[Queue],
    target: Target,
    *effects: Effect,
    guards: tuple[Guard, ...] = (),
    keeps: tuple[str, ...] = (),
    moves_fence: bool = False,
    kind: str = "",
) -> Rule:
    return Rule(action, frozenset(sources), target, guards, keeps, effects, moves_fence, kind)


RULES = (
    _rule(Action.CREATE, (), ready),
    _rule(Action.ENQUEUE, (BACKLOG,), ready, keeps=RESUME),
    _rule(Action.HOLD, (INCOMING,), to(BACKLOG), keeps=RESUME),
    _rule(
        Action.CLAIM, (INCOMING,), to(CLAIMED), count_attempt,
        guards=(DEPENDENCIES_DONE, ATTEMPTS_LEFT), keeps=RESUME, moves_fence=True,
    ),
    _rule(
        Action.CLAIM_IN_PLACE, (PROVISIONAL,), stay, count_attempt,
        guards=(NOBODY_HOLDS, HOLDS_LEFT), keeps=APPROVAL + SUBMISSION + REASON, moves_fence=True,
    ),
    _rule(Action.RENEW, (CLAIMED, PROVISIONAL), stay, guards=(FENCE_GIVEN, LEASE_HELD), keeps=CLEARABLE),
    _rule(
        Action.SUBMIT, (CLAIMED, *LATE), to(PROVISIONAL), set_head, set_submitted,
        guards=(FENCE_GIVEN, BY_HOLDER, HEAD_GIVEN), moves_fence=True,
    ),
    _rule(
        Action.CONTINUE, (CLAIMED, *LATE), after_continue, set_head, set_resume, set_went_on,
        guards=(FENCE_GIVEN, BY_HOLDER), moves_fence=True,
    ),
    _rule(
        Action.FINISH_IN_PLACE, (PROVISIONAL,), stay, move_head, forgive_hold,
        guards=(FENCE_GIVEN, BY_HOLDER), keeps=APPROVAL + SUBMISSION + REASON, moves_fence=True,
    ),
    _rule(
        Action.RELEASE, (CLAIMED, PROVISIONAL), after_release,
        set_head, forgive_systemic, keep_resume_if_systemic, keep_review_if_provisional, set_gave_up,
        guards=(FENCE_GIVEN, LEASE_HELD, BY_HOLDER, REASON_UNLESS_SYSTEMIC), moves_fence=True,
    ),
    _rule(
        Action.EXPIRE, (CLAIMED, PROVISIONAL), after_expiry, forgive_attempt, keep_review_if_provisional,
        guards=(LEASE_HELD,), keeps=RESUME, kind="lease_expired",
    ),
    _rule(
        Action.APPROVE, (PROVISIONAL,), stay, set_approval,
        guards=(HEAD_KNOWN, HEAD_UNMOVED, NOBODY_HOLDS), keeps=SUBMISSION + REASON,
    ),
    _rule(
        Action.CONFLICT, (PROVISIONAL,), after_conflict, count_conflict,
        guards=(REASON_GIVEN, NOBODY_HOLDS), keeps=APPROVAL + SUBMISSION,
    ),
    _rule(
        Action.ACCEPT, (PROVISIONAL,), to(DONE), set_merged,
        guards=(APPROVED, MERGE_GIVEN), keeps=APPROVAL + SUBMISSION, moves_fence=True,
    ),
    _rule(
        Action.SPLIT, (PROVISIONAL,), to(DONE), set_completed,
        guards=(APPROVED,), keeps=APPROVAL + SUBMISSION, moves_fence=True,
    ),
    _rule(
        Action.REJECT, (PROVISIONAL,), after_reject, forgive_hold, count_rejection,
        guards=(REASON_GIVEN,), moves_fence=True,
    ),
    _rule(
        Action.FAIL, (CLAIMED, PROVISIONAL), to(FAILED), set_head, set_reason,
        guards=(REASON_GIVEN,), moves_fence=True,
    ),
    _rule(Action.BLOCK, (INCOMING,), to(BLOCKED), guards=(DEPENDENCY_OPEN,), keeps=RESUME),
    _rule(Action.UNBLOCK, (BLOCKED,), to(INCOMING), guards=(DEPENDENCIES_DONE,), keeps=RESUME),
    _rule(
        Action.ESCALATE, OPEN_QUEUES - {ESCALATED}, to(ESCALATED), set_head, set_reason,
        guards=(REASON_GIVEN,), keeps=RESUME + APPROVAL, moves_fence=True,
    ),
    _rule(Action.RETRY, (FAILED, ESCALATED, CANCELLED), ready, begin_anew, keeps=RESUME),
    _rule(Action.CANCEL, OPEN_QUEUES, to(CANCELLED), set_head, set_reason, moves_fence=True),
    _rule(
        Action.FORCE, frozenset(Queue), forced,
        set_head, set_reason, complete_if_done, keep_approval_if_provisional,
        guards=(HUMAN, REASON_GIVEN, FORCIBLE), moves_fence=True, kind="forced",
    ),
)  # fmt: skip
TABLE: dict[Action, Rule] = {rule.action: rule for rule in RULES}


def check(task: Task, wish: Transition, facts: Facts) -> Rule:
    """The rule for a wish, if the task allows it now.

    Raises:
        VersionConflict: the task has changed since the caller read it.
        LeaseLost: the fence, or the run, is not the one that holds (or last held) the lease.
        Refused: wrong state, or a guard does not hold; `details` names each.
    """
    rule = TABLE[wish.action]
    if wish.version is not None and wish.version != task.version:
        raise VersionConflict(
            f"task {task.id} has changed: it is version {task.version}, not {wish.version}",
            "read it again and decide anew",
        )
    if wish.fence is not None and wish.fence != task.fence:
        raise LeaseLost(
            f"the lease on task {task.id} is lost: its fence is {task.fence}, not {wish.fence}",
            "stop this run; its branch is kept",
            (f"the task is {task.queue}, held by {task.claimed_by or 'nobody'}",),
        )
    if task.queue not in rule.sources:
        allowed = ", ".join(sorted(rule.sources)) or "nowhere"
        reason = f"it is {task.queue}, and {wish.action} is allowed from {allowed}"
        raise Refused(f"task {task.id} can not {_said(wish.action)}", reason, (reason,))
    failed = [(guard, why) for guard in rule.guards if (why := guard.test(task, wish, facts)) is not None]
    if failed:
        reasons = tuple(why for _, why in failed)
        error = next((guard.error for guard, _ in failed if guard.error is not Refused), Refused)
        raise error(f"task {task.id} can not {_said(wish.action)}", "; ".join(reasons), reasons)
    return rule


def apply(task: Task, wish: Transition, facts: Facts) -> Task:
    """The task after the wish: one version on, everything cleared that its rule does not keep.

    Raises: what `check` raises.
    """
    rule = check(task, wish, facts)
    queue = rule.target(task, wish, facts)
    fields: Fields = {name: None for name in CLEARABLE if name not in rule.keeps}
    for effect in rule.effects:
        fields |= effect(task, wish, facts, queue)
    return replace(
        task,
        queue=queue,
        fence=task.fence + rule.moves_fence,
        version=task.version + 1,
        updated_at=facts.now,
        **fields,
    )


def is_late(task: Task, wish: Transition) -> bool:
    """Whether a holder reports after its lease has expired."""
    late = wish.action in (Action.SUBMIT, Action.CONTINUE, Action.FINISH_IN_PLACE)
    return late and task.run_id is None


def _said(action: Action) -> str:
    """The action as it reads after "can not"."""
    return "be " + _PARTICIPLES[action]


_PARTICIPLES = {
    Action.CREATE: "created",
    Action.ENQUEUE: "enqueued",
    Action.HOLD: "held back",
    Action.CLAIM: "claimed",
    Action.CLAIM_IN_PLACE: "leased in place",
    Action.RENEW: "renewed",
    Action.SUBMIT: "submitted",
    Action.CONTINUE: "continued",
    Action.FINISH_IN_PLACE: "finished in place",
    Action.RELEASE: "released",
    Action.EXPIRE: "expired",
    Action.APPROVE: "approved",
    Action.CONFLICT: "marked as conflicting",
    Action.ACCEPT: "accepted",
    Action.SPLIT: "split",
    Action.REJECT: "rejected",
    Action.FAIL: "failed",
    Action.BLOCK: "blocked",
    Action.UNBLOCK: "unblocked",
    Action.ESCALATE: "escalated",
    Action.RETRY: "retried",
    Action.CANCEL: "cancelled",
    Action.FORCE: "forced",
}
