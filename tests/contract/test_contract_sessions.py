"""Sessions of agent programs, over every backend: how they begin, end and go on; and what was said."""

from __future__ import annotations

from typing import Any

import pytest

from backend.clock import ManualClock
from backend.errors import BadInput, Duplicate, NotFound, Refused, UnknownOrchestrator
from backend.interface import Backend
from backend.model import (
    Actor,
    Claim,
    Message,
    MessageKind,
    MessageType,
    NewMessage,
    Priority,
    Queue,
    RunPatch,
    SenderType,
)
from backend.sessions import NewSession, Session, SessionStatus

ANA = Actor(SenderType.HUMAN, "ana")
WORKER = Actor(SenderType.WORKER, "impl-1")
MINUTE = 60


@pytest.fixture
async def claim(acts: Any) -> Any:
    await acts.create()
    return await acts.claim(lease_seconds=24 * 3600)


async def opened(acts: Any, session_id: str = "s1", name: str = "abc", **changes: Any) -> Session:
    new = NewSession(session_id, name, acts.orchestrator_id, "impl-1", **changes)
    return await acts.backend.open_session(new)


async def ask(acts: Any, claim: Claim, message_id: str = "q") -> Message:
    new = NewMessage(
        message_id, claim.task.id, WORKER, MessageType.REQUEST, MessageKind.QUESTION, "Which?",
        run_id=claim.run.id,
    )  # fmt: skip
    return await acts.backend.post_message(new)


async def status(backend: Backend, session_id: str = "s1") -> str:
    return (await backend.get_session(session_id)).status.value


async def test_a_session_is_found_by_either_of_its_ids(acts: Any, claim: Claim) -> None:
    made = await opened(acts, task_id="t", run_id=claim.run.id)
    assert (made.status, made.waiting, made.reason) == (SessionStatus.ACTIVE, False, None)
    assert (made.task_id, made.run_id, made.agent_name) == ("t", claim.run.id, "impl-1")
    for name in ("s1", "abc"):
        assert await acts.backend.get_session(name) == made
    assert await acts.backend.list_sessions() == [made]
    assert await acts.backend.list_sessions(task_id="t", live=True) == [made]
    assert await acts.backend.list_sessions(task_id="other") == []
    assert await acts.kinds("s1") == ["start"]
    with pytest.raises(NotFound):
        await acts.backend.get_session("none")


async def test_opening_it_again_moves_it_on(acts: Any, claim: Claim) -> None:
    await opened(acts)
    same = await opened(acts, "other-id")
    assert (same.id, same.task_id) == ("s1", None)
    moved = await opened(acts, task_id="t", run_id=claim.run.id)
    assert (moved.id, moved.run_id) == ("s1", claim.run.id)
    kept = await opened(acts)
    assert kept.run_id == claim.run.id
    assert await acts.kinds("s1") == ["start", "bind"]


async def test_what_it_names_has_to_be_there(acts: Any, claim: Claim) -> None:
    backend = acts.backend
    for changes, error in (
        ({"task_id": "none"}, NotFound),
        ({"task_id": "t", "run_id": "none"}, NotFound),
        ({"run_id": claim.run.id}, BadInput),
        ({"name": ""}, BadInput),
        ({"name": "x" * 201}, BadInput),
        ({"name": "a\x1b[0m"}, BadInput),
        ({"session_id": "a/b"}, BadInput),
    ):
        with pytest.raises(error):
            await opened(acts, **changes)  # type: ignore[arg-type]
    with pytest.raises(UnknownOrchestrator):
        await backend.open_session(NewSession("s1", "abc", "home-nobody", "x"))
    await acts.create("t2")
    with pytest.raises(BadInput):
        await opened(acts, task_id="t2", run_id=claim.run.id)
    assert await backend.list_sessions() == []


async def test_another_machines_session_is_not_taken(acts: Any, claim: Claim) -> None:
    await opened(acts)
    other = await acts.backend.register("home", "tower", pid=None)
    with pytest.raises(Duplicate):
        await acts.backend.open_session(NewSession("s2", "abc", other.id, "x"))
    with pytest.raises(Duplicate):
        await opened(acts, "s1", "other-name")
    await acts.create("t2")
    theirs = await acts.claim(task_id="t2", orchestrator_id=other.id)
    await acts.backend.update_run(theirs.run.id, RunPatch(session_id="abc"))
    assert (await acts.backend.get_session("abc")).orchestrator_id == acts.orchestrator_id
    assert (await acts.backend.get_session("abc")).run_id is None


async def test_a_run_that_learns_its_session_has_one(acts: Any, claim: Claim, clock: ManualClock) -> None:
    backend = acts.backend
    await backend.update_run(claim.run.id, RunPatch(session_id="abc"))
    (session,) = await backend.list_sessions()
    assert (session.session_id, session.task_id, session.run_id) == ("abc", "t", claim.run.id)
    clock.advance(29 * MINUTE)
    await backend.update_run(claim.run.id, RunPatch(turns=3))
    clock.advance(29 * MINUTE)
    await backend.expire_leases()
    assert await status(backend, "abc") == "idle"


async def test_a_silent_session_ends_after_half_an_hour(acts: Any, claim: Claim, clock: ManualClock) -> None:
    backend = acts.backend
    await opened(acts, task_id="t", run_id=claim.run.id)
    clock.advance(2 * MINUTE + 1)
    assert await status(backend) == "idle"
    clock.advance(28 * MINUTE - 1)
    await backend.expire_leases()
    assert await status(backend) == "idle"
    clock.advance(1)
    await backend.expire_leases()
    ended = await backend.get_session("s1")
    assert (ended.status, ended.reason) == (SessionStatus.TERMINATED, "idle over 30 minutes")
    assert ended.terminated_at is not None
    assert await backend.list_sessions(live=True) == []
    events = await backend.events(entity_id="s1")
    assert [(one.kind, one.to_state) for one in events] == [("start", "active"), ("end", "terminated")]
    assert events[-1].reason == "idle over 30 minutes"


async def test_a_sign_of_life_keeps_it_until_its_hour_is_over(
    acts: Any, claim: Claim, clock: ManualClock
) -> None:
    backend = acts.backend
    await opened(acts)
    for _ in range(3):
        clock.advance(20 * MINUTE)
        await backend.touch_session("abc")
        await backend.expire_leases()
    assert await status(backend) == "active"
    clock.advance(1)
    await backend.expire_leases()
    assert (await backend.get_session("s1")).reason == "older than 60 minutes"
    assert await acts.kinds("s1") == ["start", "end"]
    with pytest.raises(Refused):
        await backend.touch_session("s1")
    with pytest.raises(NotFound):
        await backend.touch_session("none")


async def test_waiting_for_an_answer_is_not_idle(acts: Any, claim: Claim, clock: ManualClock) -> None:
    backend = acts.backend
    await opened(acts, task_id="t", run_id=claim.run.id)
    await ask(acts, claim)
    clock.advance(59 * MINUTE)
    await backend.expire_leases()
    session = await backend.get_session("s1")
    assert (session.status, session.waiting) == (SessionStatus.ACTIVE, True)
    await backend.answer("q", "red", actor=ANA)
    session = await backend.get_session("s1")
    assert (session.status, session.waiting) == (SessionStatus.ACTIVE, False)
    await backend.expire_leases()
    assert await status(backend) == "active"


async def test_an_answer_to_an_ended_session_opens_it_again(
    acts: Any, claim: Claim, clock: ManualClock
) -> None:
    backend = acts.backend
    await opened(acts, task_id="t", run_id=claim.run.id)
    await ask(acts, claim)
    clock.advance(61 * MINUTE)
    await backend.expire_leases()
    assert await status(backend) == "terminated"
    await backend.answer("q", "red", actor=ANA)
    session = await backend.get_session("s1")
    assert (session.status, session.reason, session.terminated_at) == (SessionStatus.ACTIVE, None, None)
    assert session.opened_at > session.created_at
    assert await acts.kinds("s1") == ["start", "end", "resume"]
    clock.advance(29 * MINUTE)
    await backend.expire_leases()
    assert await status(backend) == "idle"


async def test_the_end_of_a_session_leaves_its_lease(acts: Any, claim: Claim, clock: ManualClock) -> None:
    backend = acts.backend
    await opened(acts, task_id="t", run_id=claim.run.id)
    ended = await backend.end_session("abc", "no longer needed", actor=ANA)
    assert (ended.status, ended.reason) == (SessionStatus.TERMINATED, "no longer needed")
    assert await backend.end_session("abc", "again", actor=ANA) == ended
    events = await backend.events(entity_id="s1")
    assert (events[-1].kind, events[-1].actor) == ("end", "human:ana")
    with pytest.raises(BadInput):
        await backend.end_session("abc", " ", actor=ANA)
    task = await backend.get_task("t")
    assert (task.queue, task.run_id, task.fence) == (Queue.CLAIMED, claim.run.id, claim.task.fence)
    again = await opened(acts, task_id="t", run_id=claim.run.id)
    assert (again.status, again.id) == (SessionStatus.ACTIVE, "s1")
    assert (await backend.get_run(claim.run.id)).status == claim.run.status


async def test_what_was_said_is_read_in_the_order_of_the_log(acts: Any, claim: Claim) -> None:
    backend = acts.backend
    await acts.create("t2")
    other = await acts.claim(task_id="t2")
    await ask(acts, claim, "q1")
    await ask(acts, other, "q2")
    await backend.answer("q1", "red", actor=ANA)
    await backend.withdraw("q2", "solved")
    everything = await backend.chat()
    said = [(event.entity_id, event.kind) for event in everything]
    assert said == [("q1", "post"), ("q2", "post"), ("q1", "answer"), ("q2", "withdraw")]
    assert await backend.chat(after=everything[1].seq) == everything[2:]
    assert await backend.chat(limit=1) == everything[:1]
    assert await backend.chat(task_id="t") == [everything[0], everything[2]]
    assert await backend.chat(task_id="none") == []


async def test_waiting_tasks_are_counted_by_priority(acts: Any) -> None:
    await acts.create("a", priority=Priority.P0)
    await acts.create("b", priority=Priority.P2)
    await acts.create("c", priority=Priority.P2)
    await acts.create("d", priority=Priority.P3, backlog=True)
    counts = await acts.backend.count_waiting()
    assert {name: count for name, count in counts.items() if count} == {Priority.P0: 1, Priority.P2: 2}


async def test_an_external_workers_run_ends_once_its_task_has_gone_on(acts: Any, clock: ManualClock) -> None:
    """L-31: until then its late word is still welcome, and nobody else would ever end the run."""
    backend = acts.backend
    await acts.create()
    first = await acts.claim(adapter="external")
    clock.advance(301)
    await backend.expire_leases()
    assert (await backend.get_run(first.run.id)).outcome is None
    second = await acts.claim(adapter="external")
    await backend.expire_leases()
    assert (await backend.get_run(first.run.id)).outcome == "lost"
    assert (await backend.get_run(second.run.id)).outcome is None
