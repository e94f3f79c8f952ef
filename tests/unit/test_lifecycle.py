"""Every row of the transition table: from where it is allowed, where it leads, what it refuses and clears."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.effects import APPROVAL, CLAIM, CLEARABLE
from backend.errors import LeaseLost, Refused, VersionConflict
from backend.interface import Action, Transition
from backend.lifecycle import TABLE, Facts, Limits, apply, check
from backend.model import OPEN_QUEUES, Actor, Priority, Queue, SenderType, Task, TaskType

ANA = Actor(SenderType.HUMAN, "ana")
BOT = Actor(SenderType.WORKER, "impl-1")
NOW = datetime(2026, 5, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
HELD = {
    "claimed_by": "impl-1", "claimed_at": NOW, "orchestrator_id": "c-m", "run_id": "run-1",
    "lease_expires_at": NOW + timedelta(minutes=5),
}  # fmt: skip
APPROVED = {"approved_by": "human:ana", "approved_at": NOW, "approved_sha": "head"}


def task(queue: Queue, **changes: Any) -> Task:
    """A task as it is found in a state, with a lease where the state needs one."""
    base = Task(
        id="t", title="T", body="", queue=queue, priority=Priority.P2, role="implement",
        type=TaskType.FEATURE, complexity=None, project_id=None,
        file_path=None, repo_url=None, base_branch="main", base_sha="base",
        blocked_by=(), needs=(), auto_accept=False, claimed_by=None, claimed_at=None, orchestrator_id=None,
        run_id=None, fence=3, lease_expires_at=None, version=7, attempt_count=1, attempts_forgiven=0,
        rejection_count=0, continuation_count=0, conflict_count=0, head_sha="head", resume_run_id=None,
        approved_by=None, approved_at=None, approved_sha=None, reason=None, pr_url=None, merged_sha=None,
        created_by="ana", created_at=NOW, updated_at=NOW, submitted_at=None, completed_at=None, metadata={},
    )  # fmt: skip
    return replace(base, **(HELD if queue is Queue.CLAIMED else {}) | changes)


def facts(open_blockers: int = 0, last_run_id: str | None = None, **limits: int) -> Facts:
    return Facts(LATER, Limits(**limits), open_blockers, last_run_id)


def wish(action: Action, **changes: Any) -> Transition:
    """A wish that satisfies every guard of its action, for a task made by `task`."""
    given: dict[str, Any] = {
        Action.SUBMIT: {"fence": 3, "run_id": "run-1", "head_sha": "new"},
        Action.CONTINUE: {"fence": 3, "run_id": "run-1"},
        Action.FINISH_IN_PLACE: {"fence": 3, "run_id": "run-1"},
        Action.RELEASE: {"fence": 3, "reason": "crashed"},
        Action.RENEW: {"fence": 3},
        Action.ACCEPT: {"merged_sha": "merge"},
        Action.FORCE: {"to": Queue.BACKLOG},
    }.get(action, {})
    return Transition("t", action, ANA, **({"reason": "because"} | given | changes))


# What an action needs of a task besides its state, so that its guards hold.
NEEDS: dict[Action, dict[str, Any]] = {Action.ACCEPT: APPROVED, Action.SPLIT: APPROVED}
LEADS_TO = {
    (Action.ENQUEUE, Queue.BACKLOG): Queue.INCOMING,
    (Action.SPLIT, Queue.PROVISIONAL): Queue.DONE,
    (Action.HOLD, Queue.INCOMING): Queue.BACKLOG,
    (Action.CLAIM, Queue.INCOMING): Queue.CLAIMED,
    (Action.CLAIM_IN_PLACE, Queue.PROVISIONAL): Queue.PROVISIONAL,
    (Action.RENEW, Queue.CLAIMED): Queue.CLAIMED,
    (Action.RENEW, Queue.PROVISIONAL): Queue.PROVISIONAL,
    (Action.SUBMIT, Queue.CLAIMED): Queue.PROVISIONAL,
    (Action.SUBMIT, Queue.INCOMING): Queue.PROVISIONAL,
    (Action.SUBMIT, Queue.BLOCKED): Queue.PROVISIONAL,
    (Action.CONTINUE, Queue.CLAIMED): Queue.INCOMING,
    (Action.CONTINUE, Queue.INCOMING): Queue.INCOMING,
    (Action.CONTINUE, Queue.BLOCKED): Queue.BLOCKED,
    (Action.FINISH_IN_PLACE, Queue.PROVISIONAL): Queue.PROVISIONAL,
    (Action.RELEASE, Queue.CLAIMED): Queue.INCOMING,
    (Action.RELEASE, Queue.PROVISIONAL): Queue.PROVISIONAL,
    (Action.EXPIRE, Queue.CLAIMED): Queue.INCOMING,
    (Action.EXPIRE, Queue.PROVISIONAL): Queue.PROVISIONAL,
    (Action.APPROVE, Queue.PROVISIONAL): Queue.PROVISIONAL,
    (Action.CONFLICT, Queue.PROVISIONAL): Queue.PROVISIONAL,
    (Action.ACCEPT, Queue.PROVISIONAL): Queue.DONE,
    (Action.REJECT, Queue.PROVISIONAL): Queue.INCOMING,
    (Action.FAIL, Queue.CLAIMED): Queue.FAILED,
    (Action.FAIL, Queue.PROVISIONAL): Queue.FAILED,
    (Action.BLOCK, Queue.INCOMING): Queue.BLOCKED,
    (Action.UNBLOCK, Queue.BLOCKED): Queue.INCOMING,
    (Action.RETRY, Queue.FAILED): Queue.INCOMING,
    (Action.RETRY, Queue.ESCALATED): Queue.INCOMING,
    (Action.RETRY, Queue.CANCELLED): Queue.INCOMING,
    **{(Action.ESCALATE, queue): Queue.ESCALATED for queue in OPEN_QUEUES - {Queue.ESCALATED}},
    **{(Action.CANCEL, queue): Queue.CANCELLED for queue in OPEN_QUEUES},
    **{(Action.FORCE, queue): Queue.BACKLOG for queue in Queue},
}
IN_PLACE = {Action.RENEW, Action.FINISH_IN_PLACE, Action.RELEASE, Action.EXPIRE}


def ready_for(action: Action, queue: Queue) -> tuple[Task, Facts]:
    """A task in a state, and facts, with which nothing but the state can refuse the action."""
    held = queue is Queue.PROVISIONAL and action in IN_PLACE
    waiting = (queue is Queue.BLOCKED and action is not Action.UNBLOCK) or action is Action.BLOCK
    return (
        task(queue, **(HELD if held else {}), **NEEDS.get(action, {})),
        facts(open_blockers=int(waiting), last_run_id="run-1"),
    )


@pytest.mark.parametrize("queue", Queue)
@pytest.mark.parametrize("action", [action for action in Action if action is not Action.CREATE])
def test_each_action_is_allowed_from_exactly_its_states(action: Action, queue: Queue) -> None:
    found, known = ready_for(action, queue)
    if (action, queue) in LEADS_TO:
        after = apply(found, wish(action), known)
        assert after.queue is LEADS_TO[action, queue]
        assert after.version == found.version + 1
        assert after.updated_at == LATER
        assert queue in TABLE[action].sources
    else:
        with pytest.raises(Refused) as refusal:
            apply(found, wish(action), known)
        assert refusal.value.details
        assert queue not in TABLE[action].sources


def test_the_table_has_one_row_for_each_action() -> None:
    assert set(TABLE) == set(Action)
    assert not TABLE[Action.CREATE].sources


def test_l04_nothing_survives_that_a_row_does_not_keep_or_set() -> None:
    """L-04: fields leaked from state to state, and two agents worked on one task."""
    full = HELD | APPROVED | {
        "resume_run_id": "run-0", "reason": "old", "submitted_at": NOW, "merged_sha": "old",
        "completed_at": NOW,
    }  # fmt: skip
    sets = {
        Action.SUBMIT: {"submitted_at"},
        Action.CONTINUE: {"resume_run_id"},
        Action.APPROVE: set(APPROVAL),
        Action.CONFLICT: {"reason"},
        Action.ACCEPT: {"merged_sha", "completed_at"},
        Action.SPLIT: {"completed_at"},
        Action.REJECT: {"reason"},
        Action.FAIL: {"reason"},
        Action.ESCALATE: {"reason"},
        Action.CANCEL: {"reason"},
        Action.FORCE: {"reason"},
        Action.RELEASE: {*APPROVAL, "submitted_at", "reason"},
        Action.EXPIRE: {*APPROVAL, "submitted_at", "reason"},
    }
    unheld = dict.fromkeys(CLAIM)
    for (action, queue), _ in LEADS_TO.items():
        found, known = ready_for(action, queue)
        held = found.run_id is not None
        before = replace(found, **full | ({} if held else unheld))
        after = apply(before, wish(action), known)
        for name in CLEARABLE:
            if name not in TABLE[action].keeps and name not in sets.get(action, set()):
                assert getattr(after, name) is None, (action, queue, name)
            elif name in TABLE[action].keeps:
                assert getattr(after, name) == getattr(before, name), (action, queue, name)


def test_l04_the_claim_ends_with_every_row_but_renewal() -> None:
    keeping = {action for action, rule in TABLE.items() if set(CLAIM) & set(rule.keeps)}
    assert keeping == {Action.RENEW}


def test_only_the_state_fields_change() -> None:
    may_change = {
        *CLEARABLE, "queue", "fence", "version", "updated_at", "head_sha", "attempt_count",
        "attempts_forgiven", "rejection_count", "continuation_count", "conflict_count",
    }  # fmt: skip
    for action, queue in LEADS_TO:
        found, known = ready_for(action, queue)
        after = apply(found, wish(action), known)
        changed = {f.name for f in fields(Task) if getattr(after, f.name) != getattr(found, f.name)}
        assert changed <= may_change, (action, queue)


def test_the_fence_moves_at_each_claim_and_each_end_of_a_lease_but_expiry() -> None:
    """A current fence without a lease means: expired, and nobody has had the task since."""
    stays = {
        Action.CREATE, Action.ENQUEUE, Action.HOLD, Action.RENEW, Action.EXPIRE, Action.APPROVE,
        Action.CONFLICT, Action.BLOCK, Action.UNBLOCK, Action.RETRY,
    }  # fmt: skip
    assert {action for action, rule in TABLE.items() if not rule.moves_fence} == stays


# Guards


@pytest.mark.parametrize(
    "action", [Action.REJECT, Action.FAIL, Action.ESCALATE, Action.CONFLICT, Action.FORCE, Action.RELEASE]
)
@pytest.mark.parametrize("reason", [None, "", "  "])
def test_l14_a_reason_is_required(action: Action, reason: str | None) -> None:
    """L-14: the reason of a failure was never stored."""
    found, known = ready_for(action, Queue.PROVISIONAL)
    with pytest.raises(Refused, match="no reason was given"):
        apply(found, wish(action, reason=reason), known)


@pytest.mark.parametrize("action", [Action.SUBMIT, Action.CONTINUE, Action.RELEASE, Action.RENEW])
def test_a_holder_must_show_its_fence(action: Action) -> None:
    with pytest.raises(Refused, match="no fence was given"):
        apply(task(Queue.CLAIMED), wish(action, fence=None), facts())


@pytest.mark.parametrize("fence", [2, 4])
@pytest.mark.parametrize(
    "action", [Action.SUBMIT, Action.CONTINUE, Action.RELEASE, Action.RENEW, Action.FAIL]
)
def test_another_fence_is_a_lost_lease(action: Action, fence: int) -> None:
    with pytest.raises(LeaseLost):
        apply(task(Queue.CLAIMED), wish(action, fence=fence), facts())


def test_l11_a_result_of_another_run_is_refused() -> None:
    with pytest.raises(LeaseLost, match="belongs to run run-1"):
        apply(task(Queue.CLAIMED), wish(Action.SUBMIT, run_id="run-0"), facts())


def test_l02_a_late_submit_of_the_last_holder_is_taken() -> None:
    """L-02: finished work was refused since the laptop had slept past the lease."""
    expired = apply(task(Queue.CLAIMED), wish(Action.EXPIRE), facts())
    assert expired.queue is Queue.INCOMING
    after = apply(expired, wish(Action.SUBMIT), facts(last_run_id="run-1"))
    assert after.queue is Queue.PROVISIONAL
    assert after.head_sha == "new"


@pytest.mark.parametrize("run_id", [None, "run-2"])
def test_l02_a_late_submit_of_anyone_else_is_a_lost_lease(run_id: str | None) -> None:
    expired = apply(task(Queue.CLAIMED), wish(Action.EXPIRE), facts())
    with pytest.raises(LeaseLost, match="was not the last"):
        apply(expired, wish(Action.SUBMIT, run_id=run_id), facts(last_run_id="run-1"))


def test_what_a_holder_has_ended_it_can_not_end_again() -> None:
    went_on = apply(task(Queue.CLAIMED), wish(Action.CONTINUE), facts())
    with pytest.raises(LeaseLost):
        apply(went_on, wish(Action.SUBMIT), facts(last_run_id="run-1"))


def test_a_version_that_has_passed_is_a_conflict() -> None:
    with pytest.raises(VersionConflict, match="version 7, not 6"):
        apply(task(Queue.BACKLOG), wish(Action.ENQUEUE, version=6), facts())


@pytest.mark.parametrize(
    ("action", "changes", "known", "why"),
    [
        (Action.CLAIM, {"attempt_count": 5}, facts(), "all 5 attempts are used"),
        (Action.CLAIM, {}, facts(open_blockers=1), "1 of its dependencies are unfinished"),
        (Action.CLAIM_IN_PLACE, HELD, facts(), "impl-1 holds a lease"),
        (Action.CLAIM_IN_PLACE, {"attempt_count": 6}, facts(), "6 attempts are used of 5"),
        (Action.APPROVE, HELD, facts(), "impl-1 holds a lease"),
        (Action.APPROVE, {"head_sha": None}, facts(), "no commit that could be approved"),
        (Action.ACCEPT, {}, facts(), "it is not approved"),
        (Action.ACCEPT, APPROVED | {"head_sha": "newer"}, facts(), "the approval is for head"),
        (Action.RELEASE, {}, facts(), "nobody holds a lease"),
        (Action.BLOCK, {}, facts(), "none of its dependencies is unfinished"),
        (Action.UNBLOCK, {}, facts(open_blockers=2), "2 of its dependencies are unfinished"),
    ],
)
def test_a_guard_says_why(action: Action, changes: dict[str, Any], known: Facts, why: str) -> None:
    place = sorted(TABLE[action].sources - {Queue.CLAIMED})[-1]
    with pytest.raises(Refused) as refusal:
        apply(task(place, **changes), wish(action), known)
    assert any(why in reason for reason in refusal.value.details)


def test_an_approval_of_a_commit_that_has_moved_is_refused() -> None:
    with pytest.raises(Refused, match="its work is head now"):
        apply(task(Queue.PROVISIONAL), wish(Action.APPROVE, head_sha="old"), facts())


def test_a_submit_needs_a_commit_and_an_accept_its_merge() -> None:
    with pytest.raises(Refused, match="head_sha"):
        apply(task(Queue.CLAIMED), wish(Action.SUBMIT, head_sha=None), facts())
    with pytest.raises(Refused, match="merged_sha"):
        apply(task(Queue.PROVISIONAL, **APPROVED), wish(Action.ACCEPT, merged_sha=None), facts())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"actor": BOT}, "only a person may"),
        ({"to": None}, "no state to force"),
        ({"to": Queue.CLAIMED}, "a claim needs a lease"),
        ({"to": Queue.BLOCKED}, "with 0 unfinished dependencies"),
    ],
)
def test_force_has_its_own_limits(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        apply(task(Queue.DONE), replace(wish(Action.FORCE), **changes), facts())


def test_l15_done_leaves_only_by_force() -> None:
    """L-15: a merged task was overwritten with `failed` by an error after the merge."""
    assert {action for action, rule in TABLE.items() if Queue.DONE in rule.sources} == {Action.FORCE}


def test_l29_every_state_but_done_has_an_exit() -> None:
    """L-29: `failed` had no exit."""
    for queue in set(Queue) - {Queue.DONE}:
        assert any(queue in rule.sources for action, rule in TABLE.items() if action is not Action.FORCE), (
            queue
        )


# Counters and limits


def test_counted_releases_end_in_failure_with_the_reason() -> None:
    last = task(Queue.CLAIMED, attempt_count=5)
    after = apply(last, wish(Action.RELEASE, reason="tests fail"), facts())
    assert after.queue is Queue.FAILED
    assert after.reason == "gave up after 5 attempts: tests fail"


def test_a_systemic_release_is_blameless_and_never_fails() -> None:
    last = task(Queue.CLAIMED, attempt_count=5, resume_run_id="run-0")
    after = apply(last, wish(Action.RELEASE, systemic=True, reason=None), facts())
    assert after.queue is Queue.INCOMING
    assert after.attempts_counted == 4
    assert after.resume_run_id == "run-0"


def test_an_expiry_is_blameless_and_a_claim_counts() -> None:
    expired = apply(task(Queue.CLAIMED), wish(Action.EXPIRE), facts())
    assert expired.attempts_counted == 0
    assert check(expired, wish(Action.CLAIM), facts()).action is Action.CLAIM
    assert apply(expired, wish(Action.CLAIM), facts()).attempt_count == 2


@pytest.mark.parametrize(
    ("action", "counter", "limit", "reached"),
    [
        (Action.REJECT, "rejection_count", 3, 2),
        (Action.CONTINUE, "continuation_count", 3, 2),
        (Action.CONFLICT, "conflict_count", 3, 3),
    ],
)
def test_each_loop_is_bounded_and_ends_at_a_person(
    action: Action, counter: str, limit: int, reached: int
) -> None:
    place = Queue.CLAIMED if action is Action.CONTINUE else Queue.PROVISIONAL
    before = apply(task(place, **{counter: reached - 1}), wish(action), facts())
    assert before.queue is not Queue.ESCALATED
    assert getattr(before, counter) == reached
    after = apply(task(place, **{counter: reached}), wish(action), facts())
    assert after.queue is Queue.ESCALATED
    assert after.reason
    assert "because" in after.reason


@pytest.mark.parametrize("action", [Action.REJECT, Action.CONTINUE])
def test_no_attempt_left_escalates(action: Action) -> None:
    place = Queue.CLAIMED if action is Action.CONTINUE else Queue.PROVISIONAL
    assert apply(task(place, attempt_count=5), wish(action), facts()).queue is Queue.ESCALATED


def test_a_review_that_ends_does_not_use_up_an_attempt_and_one_that_dies_does() -> None:
    held = task(Queue.PROVISIONAL, attempt_count=2, **HELD)
    assert apply(held, wish(Action.FINISH_IN_PLACE), facts()).attempts_counted == 1
    assert apply(held, wish(Action.REJECT), facts()).attempts_counted == 1
    assert apply(held, wish(Action.RELEASE), facts()).attempts_counted == 2


def test_a_retry_forgives_everything() -> None:
    spent = task(
        Queue.FAILED, attempt_count=5, rejection_count=2, continuation_count=1, conflict_count=3, reason="x"
    )
    after = apply(spent, wish(Action.RETRY), facts(open_blockers=1))
    assert after.queue is Queue.BLOCKED
    assert after.attempts_counted == after.rejection_count == after.continuation_count == 0
    assert after.conflict_count == 0
    assert after.attempt_count == 5


def test_l06_a_resolved_conflict_keeps_and_moves_the_approval() -> None:
    """L-06: a conflict at the merge threw approved work away."""
    conflicting = apply(task(Queue.PROVISIONAL, **APPROVED), wish(Action.CONFLICT), facts())
    assert conflicting.approved_sha == "head"
    assert conflicting.reason == "because"
    held = replace(conflicting, **HELD)
    unresolved = apply(held, wish(Action.RELEASE, head_sha="half"), facts())
    assert (unresolved.head_sha, unresolved.approved_sha, unresolved.reason) == ("head", "head", "because")
    resolved = apply(held, wish(Action.FINISH_IN_PLACE, head_sha="resolved"), facts())
    assert (resolved.head_sha, resolved.approved_sha, resolved.reason) == ("resolved", "resolved", None)


def test_new_work_needs_a_new_approval() -> None:
    after = apply(replace(task(Queue.CLAIMED), **APPROVED), wish(Action.SUBMIT), facts())
    assert after.approved_sha is None


def test_a_continued_task_resumes_the_same_run() -> None:
    after = apply(task(Queue.CLAIMED), wish(Action.CONTINUE, head_sha="half"), facts())
    assert (after.resume_run_id, after.head_sha, after.continuation_count) == ("run-1", "half", 1)
    claimed = apply(after, wish(Action.CLAIM), facts())
    assert claimed.resume_run_id == "run-1"


def test_the_review_that_rejects_is_not_counted_among_the_attempts() -> None:
    held = task(Queue.PROVISIONAL, attempt_count=5, **HELD)
    assert apply(held, wish(Action.REJECT), facts()).queue is Queue.INCOMING


def test_nobody_is_late_for_what_was_never_claimed() -> None:
    fresh = task(Queue.INCOMING, fence=0, attempt_count=0, head_sha=None)
    with pytest.raises(LeaseLost):
        apply(fresh, wish(Action.SUBMIT, fence=0, run_id=None), facts())
