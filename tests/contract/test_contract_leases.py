"""Contract: claims, leases and the transitions of work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from backend.clock import ManualClock
from backend.errors import (
    BadInput,
    Duplicate,
    LeaseLost,
    NotFound,
    Refused,
    UnknownOrchestrator,
    VersionConflict,
)
from backend.interface import Action, Backend
from backend.lifecycle import Limits
from backend.model import Claim, Outcome, Priority, Queue, Renewal, RunEnd, RunStatus

LOST = RunEnd(Outcome.LOST, "gone")


async def test_a_claim_gives_the_task_its_lease_and_its_run(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    await acts.create()
    claim = await acts.claim(model="m-1")
    task, run = claim.task, claim.run
    assert task == await backend.get_task("t")
    assert run == await backend.get_run(run.id)
    assert (task.queue, task.claimed_by, task.orchestrator_id) == (Queue.CLAIMED, "impl-1", "home-laptop")
    assert (task.run_id, task.fence, task.attempt_count, task.version) == (run.id, 1, 1, 2)
    assert task.lease_expires_at is not None
    assert task.lease_expires_at.timestamp() * 1000 == clock.now_ms() + 300_000
    assert (run.task_id, run.attempt, run.fence, run.role) == ("t", 1, 1, "implement")
    assert (run.status, run.model, run.adapter, run.outcome) == (RunStatus.STARTING, "m-1", "demo", None)
    assert await acts.kinds("t") == ["create", "claim"]
    assert await acts.kinds(run.id) == ["start"]


async def test_l49_nothing_to_claim_is_none_and_nothing_else_is(acts: Any, backend: Backend) -> None:
    """L-49: claim gave None for "empty", "error" and "race" alike."""
    assert await backend.claim(acts.asking()) is None
    await acts.create("waiting", backlog=True)
    assert await backend.claim(acts.asking()) is None
    with pytest.raises(NotFound):
        await backend.claim(acts.asking(task_id="nobody"))
    with pytest.raises(Refused, match="it is backlog"):
        await backend.claim(acts.asking(task_id="waiting"))
    with pytest.raises(BadInput, match="0 seconds"):
        await backend.claim(acts.asking(lease_seconds=0))
    with pytest.raises(BadInput, match="run id"):
        await backend.claim(acts.asking(run_id="../x"))


async def test_l4a_an_unknown_machine_is_told_so(acts: Any, backend: Backend) -> None:
    """L-4A: a wrong orchestrator id looked like an empty queue."""
    with pytest.raises(UnknownOrchestrator, match="never registered"):
        await backend.claim(acts.asking(orchestrator_id="laptop"))
    with pytest.raises(UnknownOrchestrator):
        await backend.renew("laptop", [], 60)
    with pytest.raises(UnknownOrchestrator):
        await backend.heartbeat("laptop", cycle_at=None)
    with pytest.raises(UnknownOrchestrator):
        await backend.report_agents("laptop", [])


async def test_a_claim_takes_only_its_roles(acts: Any, backend: Backend) -> None:
    await acts.create("a", role="implement")
    await acts.create("b", role="test", priority=Priority.P3)
    await acts.create("c", role="docs", priority=Priority.P1)
    assert await backend.claim(acts.asking(roles=("none",))) is None
    with pytest.raises(Refused, match="its role is implement"):
        await backend.claim(acts.asking(task_id="a", roles=("test",)))
    assert (await acts.claim(roles=("test", "docs"))).task.id == "c"
    assert (await acts.claim(roles=("test",))).task.id == "b"
    assert (await acts.claim(task_id="a", roles=("implement",))).task.id == "a"


async def test_a_repeated_claim_gives_the_same_claim(acts: Any, backend: Backend) -> None:
    await acts.create("a")
    await acts.create("b")
    wish = acts.asking()
    first = await backend.claim(wish)
    assert await backend.claim(wish) == first
    assert (await backend.count_queues())[Queue.CLAIMED] == 1
    assert first is not None
    await acts.submit(first)
    with pytest.raises(Duplicate, match="exists already"):
        await backend.claim(wish)


async def test_l21_many_claimers_never_share_a_task(acts: Any, backend: Backend) -> None:
    """L-21: the same task was claimed twice."""
    for index in range(60):
        await acts.create(f"t{index}")

    async def work() -> list[str]:
        mine = []
        while (claim := await backend.claim(acts.asking())) is not None:
            mine.append(claim.task.id)
        return mine

    shares = await asyncio.gather(*(work() for _ in range(8)))
    claimed = [task_id for share in shares for task_id in share]
    assert sorted(claimed) == sorted(f"t{index}" for index in range(60))


async def test_l20_no_claim_is_half_written(acts: Any, backend: Backend) -> None:
    """L-20: claimed with nobody as its holder."""
    await acts.create()
    await acts.claim(run_id="taken")
    await acts.create("u")
    with pytest.raises(Duplicate):
        await backend.claim(acts.asking(run_id="taken", task_id="u", orchestrator_id=(await other(backend))))
    left = await backend.get_task("u")
    assert (left.queue, left.attempt_count, left.version) == (Queue.INCOMING, 0, 1)


async def other(backend: Backend) -> str:
    return (await backend.register("home", "other", pid=None)).id


# Renewal and expiry


async def test_a_renewal_extends_from_now_and_tells_what_is_lost(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    await acts.create("a")
    await acts.create("b")
    a, b = await acts.claim(), await acts.claim()
    stranger = await other(backend)
    clock.advance(200)
    wanted = [Renewal("a", a.task.fence), Renewal("b", b.task.fence + 1), Renewal("c", 1)]
    assert await backend.renew(acts.orchestrator_id, wanted, 300) == ["b", "c"]
    assert await backend.renew(stranger, [Renewal("a", a.task.fence)], 300) == ["a"]
    clock.advance(200)
    assert [task.id for task in await backend.expire_leases()] == ["b"]
    renewed = await backend.get_task("a")
    assert (renewed.queue, renewed.version) == (Queue.CLAIMED, 2)


async def test_a_late_renewal_of_a_lease_still_held_is_taken(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    await acts.create()
    claim = await acts.claim()
    clock.advance(400)
    assert await backend.renew(acts.orchestrator_id, [Renewal("t", claim.task.fence)], 300) == []
    assert await backend.expire_leases() == []


async def test_l27_leases_expire_by_the_number_not_by_the_text(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    """L-27: leases compared as text did not expire before the date changed."""
    clock.at_ms = 1_772_409_590_000  # 2026-03-01T23:59:50Z
    await acts.create()
    await acts.claim(lease_seconds=20)
    clock.advance(19.999)
    assert await backend.expire_leases() == []
    clock.advance(0.001)
    (expired,) = await backend.expire_leases()
    assert (expired.queue, expired.run_id, expired.claimed_by) == (Queue.INCOMING, None, None)
    assert (expired.fence, expired.attempts_counted) == (1, 0)
    event = (await backend.events(entity_id="t"))[-1]
    assert (event.kind, event.reason) == ("lease_expired", "impl-1 did not renew its lease")
    assert await backend.expire_leases() == []


async def test_l02_a_late_submit_is_taken_while_nobody_else_has_claimed(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    """L-02: finished work was refused since its lease had run out."""
    await acts.create()
    claim = await acts.claim()
    clock.advance(301)
    await backend.expire_leases()
    assert (await acts.submit(claim)).queue is Queue.PROVISIONAL
    event = next(e for e in await backend.events(entity_id="t") if e.kind == "submit")
    assert event.data["late"] is True
    assert (await backend.get_run(claim.run.id)).status is RunStatus.ENDED


async def test_l02_a_late_submit_after_another_claim_is_refused(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    await acts.create()
    first = await acts.claim()
    clock.advance(301)
    await backend.expire_leases()
    second = await acts.claim()
    for action in (Action.SUBMIT, Action.CONTINUE, Action.RELEASE):
        with pytest.raises(LeaseLost, match="its fence is 2, not 1"):
            await acts.do("t", action, fence=first.task.fence, run_id=first.run.id, head_sha="x", reason="r")
    assert (await acts.submit(second)).run_id is None


async def test_an_expired_hold_stays_provisional_and_may_finish_late(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    await acts.provisional()
    hold = await acts.hold()
    clock.advance(301)
    (expired,) = await backend.expire_leases()
    assert (expired.queue, expired.run_id) == (Queue.PROVISIONAL, None)
    finished = await acts.do("t", Action.FINISH_IN_PLACE, fence=hold.task.fence, run_id=hold.run.id)
    assert finished.queue is Queue.PROVISIONAL


# The way of a task


async def test_submit_ends_the_run_in_the_same_step(acts: Any, backend: Backend) -> None:
    await acts.create()
    claim = await acts.claim()
    task = await acts.submit(claim)
    assert (task.head_sha, task.run_id, task.lease_expires_at) == ("work", None, None)
    assert task.submitted_at is not None
    run = await backend.get_run(claim.run.id)
    assert (run.status, run.outcome, run.reason, run.head_sha) == ("ended", "submitted", "done", "work")
    assert (run.exit_code, run.commits_count, run.summary) == (0, 1, "did it")
    assert run.ended_at is not None


async def test_a_refused_submit_ends_no_run(acts: Any, backend: Backend) -> None:
    await acts.create()
    claim = await acts.claim()
    with pytest.raises(Refused, match="head_sha"):
        await acts.submit(claim, head_sha=None)
    assert (await backend.get_run(claim.run.id)).status is RunStatus.STARTING
    assert await acts.queue("t") is Queue.CLAIMED


async def test_a_run_end_must_name_a_run_of_the_task(acts: Any, backend: Backend) -> None:
    await acts.create("a")
    await acts.create("b")
    claim = await acts.claim(task_id="a")
    with pytest.raises(BadInput, match="no run of task b"):
        await acts.do("b", Action.CANCEL, run_end=LOST)
    with pytest.raises(BadInput, match="is of another task than b"):
        await acts.do("b", Action.CANCEL, run_id=claim.run.id, run_end=LOST)
    assert await acts.queue("b") is Queue.INCOMING


async def test_a_continued_task_is_claimed_again_with_what_to_resume(acts: Any) -> None:
    await acts.create()
    claim = await acts.claim()
    rest = {"fence": claim.task.fence, "head_sha": "half", "run_end": RunEnd(Outcome.OUT_OF_TURNS, "turns")}
    task = await acts.do("t", Action.CONTINUE, **rest)
    assert (task.queue, task.resume_run_id, task.head_sha) == (Queue.INCOMING, claim.run.id, "half")
    again = await acts.claim()
    assert again.task.resume_run_id == claim.run.id
    assert (await acts.submit(again)).resume_run_id is None


async def test_a_review_holds_the_task_in_place(acts: Any, backend: Backend) -> None:
    await acts.provisional()
    hold = await acts.hold()
    assert hold.task == await backend.get_task("t")
    assert (hold.task.queue, hold.task.run_id, hold.task.fence) == (Queue.PROVISIONAL, hold.run.id, 3)
    assert (hold.run.role, hold.run.attempt) == ("review", 2)
    with pytest.raises(Refused, match="rev-1 holds a lease"):
        await acts.hold()
    with pytest.raises(Refused, match="rev-1 holds a lease"):
        await acts.do("t", Action.APPROVE)
    end = RunEnd(Outcome.REVIEWED, "fine")
    task = await acts.do("t", Action.FINISH_IN_PLACE, fence=3, run_id=hold.run.id, run_end=end)
    assert (task.run_id, task.attempts_counted) == (None, 1)
    assert (await backend.get_run(hold.run.id)).outcome is Outcome.REVIEWED


async def test_a_repeated_hold_gives_the_same_claim(acts: Any, backend: Backend) -> None:
    await acts.provisional()
    hold = await acts.hold()
    acts.made -= 1
    assert await acts.hold() == hold


async def test_l06_a_conflict_keeps_the_approval(acts: Any) -> None:
    await acts.provisional()
    await acts.do("t", Action.APPROVE, head_sha="work", override="checks are flaky")
    task = await acts.do("t", Action.CONFLICT, reason="a.py")
    assert (task.approved_sha, task.reason, task.conflict_count) == ("work", "a.py", 1)
    hold = await acts.hold(role="resolve")
    task = await acts.do("t", Action.FINISH_IN_PLACE, fence=hold.task.fence, head_sha="resolved")
    assert (task.approved_sha, task.head_sha, task.reason) == ("resolved", "resolved", None)
    done = await acts.do("t", Action.ACCEPT, merged_sha="m")
    assert (done.queue, done.merged_sha) == (Queue.DONE, "m")


async def test_accepting_again_is_no_error_with_the_same_merge(acts: Any, backend: Backend) -> None:
    await acts.provisional()
    first = await acts.done()
    seq = await backend.last_seq()
    assert await acts.do("t", Action.ACCEPT, merged_sha="merge") == first
    assert await backend.last_seq() == seq
    with pytest.raises(Refused, match="it is done"):
        await acts.do("t", Action.ACCEPT, merged_sha="another")


async def test_l15_done_can_not_fail(acts: Any) -> None:
    await acts.provisional()
    await acts.done()
    for action in (Action.FAIL, Action.CANCEL, Action.REJECT, Action.RETRY, Action.ESCALATE):
        with pytest.raises(Refused, match="it is done"):
            await acts.do("t", action, reason="post-merge job broke")


async def test_a_rejection_reaches_the_conversation(acts: Any, backend: Backend) -> None:
    await acts.provisional()
    task = await acts.do("t", Action.REJECT, reason="add a test")
    assert (task.queue, task.rejection_count, task.reason) == (Queue.INCOMING, 1, "add a test")
    (message,) = await backend.list_messages("t")
    assert (message.body, message.kind, message.type) == ("add a test", "review", "status")
    assert str(message.sender) == "human:ana"


async def test_the_third_rejection_escalates(acts: Any) -> None:
    await acts.create()
    for _ in range(3):
        await acts.submit(await acts.claim())
        task = await acts.do("t", Action.REJECT, reason="no")
    assert (task.queue, task.reason) == (Queue.ESCALATED, "rejected 3 times: no")


class TestFewAttempts:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(attempts=2)

    async def test_attempts_end_in_failure_and_a_retry_begins_anew(self, acts: Any, backend: Backend) -> None:
        await acts.create()
        for _ in range(2):
            claim = await acts.claim()
            task = await acts.do("t", Action.RELEASE, fence=claim.task.fence, reason="crash", run_end=LOST)
        assert (task.queue, task.reason) == (Queue.FAILED, "gave up after 2 attempts: crash")
        assert await backend.claim(acts.asking()) is None
        task = await acts.do("t", Action.RETRY)
        assert (task.queue, task.attempt_count, task.attempts_counted) == (Queue.INCOMING, 2, 0)
        assert (await acts.claim()).run.attempt == 3

    async def test_systemic_trouble_never_fails_a_task(self, acts: Any) -> None:
        await acts.create()
        for _ in range(6):
            claim = await acts.claim()
            task = await acts.do("t", Action.RELEASE, fence=claim.task.fence, systemic=True)
        assert (task.queue, task.attempts_counted, task.attempt_count) == (Queue.INCOMING, 0, 6)


@pytest.mark.parametrize("action", [Action.CANCEL, Action.ESCALATE, Action.FAIL])
async def test_a_task_taken_away_is_lost_to_its_run_which_stays_live(
    acts: Any, backend: Backend, action: Action
) -> None:
    await acts.create()
    claim = await acts.claim()
    task = await acts.do("t", action, reason="stop")
    assert (task.run_id, task.claimed_by, task.fence) == (None, None, 2)
    assert [run.id for run in await backend.list_runs(live=True)] == [claim.run.id]
    assert await backend.renew(acts.orchestrator_id, [Renewal("t", claim.task.fence)], 300) == ["t"]
    with pytest.raises(LeaseLost):
        await acts.submit(claim)


async def test_l14_no_failure_without_a_reason(acts: Any) -> None:
    await acts.provisional()
    for action in (Action.FAIL, Action.ESCALATE, Action.REJECT):
        with pytest.raises(Refused, match="no reason"):
            await acts.do("t", action)


@pytest.mark.parametrize(
    "action", [Action.CREATE, Action.CLAIM, Action.CLAIM_IN_PLACE, Action.RENEW, Action.EXPIRE]
)
async def test_what_has_its_own_call_is_no_transition(acts: Any, action: Action) -> None:
    await acts.create()
    with pytest.raises(BadInput, match="is no transition of its own"):
        await acts.do("t", action)


async def test_a_version_guards_what_people_do(acts: Any) -> None:
    await acts.create()
    await acts.do("t", Action.HOLD, version=1)
    with pytest.raises(VersionConflict):
        await acts.do("t", Action.ENQUEUE, version=1)
    assert (await acts.do("t", Action.ENQUEUE, version=2)).queue is Queue.INCOMING


async def test_force_needs_a_person_and_is_logged_as_forced(acts: Any, backend: Backend) -> None:
    await acts.provisional()
    await acts.done()
    task = await acts.do("t", Action.FORCE, to=Queue.INCOMING, reason="reverted by hand")
    assert (task.queue, task.merged_sha, task.completed_at) == (Queue.INCOMING, None, None)
    event = (await backend.events(entity_id="t"))[-1]
    assert (event.kind, event.from_state, event.to_state, event.reason) == (
        "forced", "done", "incoming", "reverted by hand",
    )  # fmt: skip


async def test_every_answer_is_what_is_stored(acts: Any, backend: Backend) -> None:
    """What a call returns is what a read gives afterwards."""
    await acts.create()
    claim: Claim = await acts.claim()
    submitted = await acts.submit(claim)
    assert submitted == await backend.get_task("t")
    rejected = await acts.do("t", Action.REJECT, reason="again")
    assert rejected == await backend.get_task("t")
    second = await acts.claim()
    assert replace(second.task) == await backend.get_task("t")
