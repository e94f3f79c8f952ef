"""Contract: runs, evidence, messages, machines, pause and the log."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.clock import ManualClock, from_ms
from backend.errors import BadInput, Duplicate, NotFound, Refused, UnknownOrchestrator
from backend.interface import Action, Backend
from backend.model import (
    Actor,
    Agent,
    AgentStatus,
    Evidence,
    Message,
    MessageKind,
    MessageType,
    NewMessage,
    Outcome,
    RunEnd,
    RunPatch,
    RunStatus,
    SenderType,
)

ANA = Actor(SenderType.HUMAN, "ana")
BOT = Actor(SenderType.WORKER, "impl-1")
STOPPED = RunEnd(Outcome.STOPPED, "cancelled", exit_code=-15)


# Runs


async def test_a_run_learns_while_it_goes_on(acts: Any, backend: Backend, clock: ManualClock) -> None:
    await acts.create()
    run = (await acts.claim()).run
    clock.advance(5)
    patch = RunPatch(
        status=RunStatus.RUNNING, session_id="s", base_sha="b", branch="octopoid/t", turns=2, tokens_input=10,
        tokens_output=20, tokens_cache_read=30, tokens_cache_write=40, cost_usd=0.25,
        last_activity_at=from_ms(clock.now_ms()),
    )  # fmt: skip
    after = await backend.update_run(run.id, patch)
    assert after == await backend.get_run(run.id)
    assert after == replace(
        run, status=RunStatus.RUNNING, session_id="s", base_sha="b", branch="octopoid/t", turns=2,
        tokens_input=10, tokens_output=20, tokens_cache_read=30, tokens_cache_write=40, cost_usd=0.25,
        last_activity_at=run.started_at + timedelta(seconds=5),
    )  # fmt: skip
    assert await acts.kinds(run.id) == ["start", "update"]


async def test_a_sign_of_life_alone_is_no_event(acts: Any, backend: Backend, clock: ManualClock) -> None:
    await acts.create()
    run = (await acts.claim()).run
    clock.advance(5)
    at = from_ms(clock.now_ms())
    assert (await backend.update_run(run.id, RunPatch(last_activity_at=at))).last_activity_at == at
    assert (await backend.update_run(run.id, RunPatch())).last_activity_at == at
    assert await acts.kinds(run.id) == ["start"]


async def test_a_run_ends_once(acts: Any, backend: Backend) -> None:
    await acts.create()
    run = (await acts.claim()).run
    with pytest.raises(Refused, match="ends only with its facts"):
        await backend.update_run(run.id, RunPatch(status=RunStatus.ENDED))
    ended = await backend.end_run(run.id, STOPPED)
    assert (ended.status, ended.outcome, ended.exit_code) == (RunStatus.ENDED, Outcome.STOPPED, -15)
    assert await backend.end_run(run.id, RunEnd(Outcome.CRASHED, "other")) == ended
    with pytest.raises(Refused, match="has ended"):
        await backend.update_run(run.id, RunPatch(turns=1))
    assert await acts.kinds(run.id) == ["start", "end"]
    with pytest.raises(NotFound):
        await backend.end_run("nobody", STOPPED)
    with pytest.raises(NotFound):
        await backend.get_run("nobody")


async def test_runs_are_listed_in_order_of_their_start(acts: Any, backend: Backend) -> None:
    await acts.create("a")
    await acts.create("b")
    first, second = await acts.claim(), await acts.claim()
    await acts.submit(first)
    third = await acts.hold("a")
    assert [run.id for run in await backend.list_runs()] == [first.run.id, second.run.id, third.run.id]
    assert [run.id for run in await backend.list_runs(live=True)] == [second.run.id, third.run.id]
    assert [run.id for run in await backend.list_runs(task_id="a")] == [first.run.id, third.run.id]
    assert [run.id for run in await backend.list_runs(task_id="a", live=True)] == [third.run.id]


async def test_l54_costs_add_up_over_time(acts: Any, backend: Backend, clock: ManualClock) -> None:
    start = from_ms(clock.now_ms())
    assert await backend.cost_since(start) == 0.0
    for index, cost in enumerate((0.5, 0.25)):
        await acts.create(f"t{index}")
        run = (await acts.claim()).run
        await backend.update_run(run.id, RunPatch(cost_usd=cost))
        clock.advance(60)
    assert await backend.cost_since(start) == 0.75
    assert await backend.cost_since(start + timedelta(seconds=30)) == 0.25
    assert await backend.cost_since(start + timedelta(seconds=90)) == 0.0


async def test_evidence_is_bound_to_its_commit(acts: Any, backend: Backend, clock: ManualClock) -> None:
    await acts.create()
    run = (await acts.claim()).run
    passed = Evidence(
        "e1",
        "t",
        run.id,
        "tests",
        "pytest -q",
        "work",
        "base",
        0,
        "ok",
        "sha256:0",
        1200,
        from_ms(clock.now_ms()),
    )
    unknown = replace(passed, id="e2", exit_code=None, run_id=None)
    await backend.add_evidence(passed)
    await backend.add_evidence(unknown)
    await backend.add_evidence(passed)
    assert await backend.list_evidence("t") == [passed, unknown]
    assert [e.passed for e in await backend.list_evidence("t")] == [True, False]
    assert await acts.kinds("e1") == ["add"]
    with pytest.raises(Duplicate):
        await backend.add_evidence(replace(passed, exit_code=1))
    with pytest.raises(NotFound):
        await backend.add_evidence(replace(passed, id="e3", task_id="nobody"))
    with pytest.raises(NotFound):
        await backend.add_evidence(replace(passed, id="e3", run_id="nobody"))


async def test_what_was_said_and_checked_of_unfinished_tasks_is_one_list(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    at = from_ms(clock.now_ms())
    for name in ("over", "gone", "t", "later"):
        await acts.create(name)
        await backend.post_message(question(f"m-{name}", conversation_id=name))
        await backend.add_evidence(
            Evidence(f"e-{name}", name, None, "tests", "pytest", "w", "b", 0, "ok", "d", 1, at)
        )
    await backend.post_message(question("m-again"))
    await acts.submit(await acts.claim(task_id="over"))
    await acts.done("over")
    await acts.do("gone", Action.CANCEL)
    await acts.submit(await acts.claim(task_id="later"))
    said, checked = await backend.unfinished_messages(), await backend.unfinished_evidence()
    assert [message.id for message in said] == ["m-t", "m-later", "m-again"]
    assert [one.id for one in checked] == ["e-t", "e-later"]
    assert said[1:2] == await backend.list_messages("later")
    assert checked[:1] == await backend.list_evidence("t")


# Messages


def question(message_id: str = "m1", **changes: Any) -> NewMessage:
    base = NewMessage(
        message_id, "t", BOT, MessageType.REQUEST, MessageKind.QUESTION, "Which one?", options=("a", "b")
    )
    return replace(base, **changes)


async def test_a_question_is_open_until_it_is_answered(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    await acts.create()
    run = (await acts.claim()).run
    deadline = datetime(2030, 1, 1, tzinfo=UTC)
    asked = await backend.post_message(
        question(run_id=run.id, request_id="q-1", deadline=deadline, default_answer="a")
    )
    assert asked == await backend.get_message("m1")
    assert asked.open
    assert (asked.options, asked.deadline, asked.default_answer) == (("a", "b"), deadline, "a")
    assert await backend.open_questions() == [asked]
    assert await backend.undelivered([run.id]) == []
    clock.advance(9)
    answered = await backend.answer("m1", "b", actor=ANA)
    assert (answered.answer, answered.open) == ("b", False)
    assert answered.answered_at == from_ms(clock.now_ms())
    assert await backend.open_questions() == []
    assert await backend.undelivered([run.id, "other"]) == [answered]
    assert await backend.undelivered([]) == []
    delivered = await backend.mark_delivered("m1")
    assert delivered.delivered_at is not None
    assert await backend.mark_delivered("m1") == delivered
    assert await backend.undelivered([run.id]) == []
    assert await acts.kinds("m1") == ["post", "answer", "deliver"]
    assert [e.actor for e in await backend.events(entity_id="m1")][:2] == ["worker:impl-1", "human:ana"]


async def test_a_request_is_stored_once(acts: Any, backend: Backend) -> None:
    await acts.create()
    run = (await acts.claim()).run
    first = await backend.post_message(question(run_id=run.id, request_id="q-1"))
    assert await backend.post_message(question("m2", run_id=run.id, request_id="q-1", body="again")) == first
    assert await backend.post_message(question(body="other")) == first
    assert await backend.list_messages("t") == [first]


async def test_an_answer_is_given_once(acts: Any, backend: Backend) -> None:
    await acts.create()
    await backend.post_message(question())
    first = await backend.answer("m1", "a", actor=ANA)
    assert await backend.answer("m1", "a", actor=ANA) == first
    with pytest.raises(Refused, match="answered already: a"):
        await backend.answer("m1", "b", actor=ANA)
    with pytest.raises(Refused, match="answered already"):
        await backend.withdraw("m1", "late")
    assert await acts.kinds("m1") == ["post", "answer"]


async def test_a_withdrawn_question_takes_no_answer(acts: Any, backend: Backend) -> None:
    await acts.create()
    await backend.post_message(question())
    withdrawn = await backend.withdraw("m1", "the run ended")
    assert not withdrawn.open
    assert await backend.withdraw("m1", "again") == withdrawn
    with pytest.raises(Refused, match="was withdrawn"):
        await backend.answer("m1", "a", actor=ANA)
    with pytest.raises(Refused, match="no answer that could be delivered"):
        await backend.mark_delivered("m1")
    assert (await backend.events(entity_id="m1"))[-1].reason == "the run ended"


async def test_only_requests_are_answered(acts: Any, backend: Backend) -> None:
    await acts.create()
    note = question(type=MessageType.STATUS, kind=MessageKind.NOTE)
    posted: Message = await backend.post_message(note)
    assert not posted.open
    with pytest.raises(Refused, match="it is no request"):
        await backend.answer("m1", "a", actor=ANA)
    with pytest.raises(NotFound, match="no message 'nope'"):
        await backend.answer("nope", "a", actor=ANA)


async def test_a_message_has_its_place(acts: Any, backend: Backend) -> None:
    await acts.create()
    await acts.create("u")
    run = (await acts.claim(task_id="u")).run
    for wrong in ({"conversation_id": "nobody"}, {"run_id": "nobody"}, {"parent_message_id": "nobody"}):
        with pytest.raises(NotFound):
            await backend.post_message(question(**wrong))
    with pytest.raises(BadInput, match="is of task u"):
        await backend.post_message(question(run_id=run.id))
    with pytest.raises(BadInput, match="message id"):
        await backend.post_message(question("../m"))
    assert await backend.list_messages("t") == []


# Machines


async def test_a_machine_is_known_by_cluster_and_name(backend: Backend, clock: ManualClock) -> None:
    first = await backend.register("home", "laptop", pid=1)
    assert (first.id, first.status, first.last_cycle_at) == ("home-laptop", "active", None)
    clock.advance(121)
    assert [machine.status for machine in await backend.list_orchestrators()] == ["offline"]
    at = from_ms(clock.now_ms())
    beating = await backend.heartbeat("home-laptop", cycle_at=at)
    assert (beating.status, beating.last_heartbeat_at, beating.last_cycle_at) == ("active", at, at)
    assert (await backend.heartbeat("home-laptop", cycle_at=None)).last_cycle_at == at
    again = await backend.register("home", "laptop", pid=2)
    assert (again.pid, again.registered_at) == (2, first.registered_at)
    assert await backend.list_orchestrators() == [again]
    with pytest.raises(BadInput):
        await backend.register("../x", "y", pid=None)
    await backend.register("a", "b-c", pid=None)
    with pytest.raises(Duplicate, match="choose another machine id"):
        await backend.register("a-b", "c", pid=None)


async def test_a_machine_that_goes_silent_or_leaves_is_noted_once(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    machine = acts.orchestrator_id
    seq = await backend.last_seq()
    clock.advance(119)
    await backend.expire_leases()
    assert await backend.last_seq() == seq
    clock.advance(2)
    for _ in range(2):
        await backend.expire_leases()
    await backend.heartbeat(machine, cycle_at=None)
    left = await backend.leave(machine)
    assert (left.status, (await backend.leave(machine)).status) == ("offline", "offline")
    assert [one.status for one in await backend.list_orchestrators()] == ["offline"]
    again = await backend.register("home", "laptop", pid=3)
    assert again.status == "active"
    told = [
        (event.entity_id, event.kind, event.from_state, event.to_state, event.reason)
        for event in await backend.events(after=seq)
    ]
    assert told == [
        (machine, "offline", "active", "offline", "it has not been heard of for 120 s"),
        (machine, "online", "offline", "active", "it is heard of again"),
        (machine, "offline", "active", "offline", "its scheduler has ended"),
        (machine, "register", None, None, None),
    ]
    with pytest.raises(UnknownOrchestrator):
        await backend.leave("nobody")


async def test_two_installations_of_one_name_are_noticed(backend: Backend, clock: ManualClock) -> None:
    first = await backend.register("home", "box", pid=1, repo_url="https://x.org/shop.git", instance="a")
    assert (first.repo_url, first.instance) == ("https://x.org/shop.git", "a")
    assert (await backend.register("home", "box", pid=2, instance="a")).repo_url == first.repo_url
    with pytest.raises(Duplicate, match=r"another installation is at work.*server\.machine_id"):
        await backend.register("home", "box", pid=3, instance="b")
    assert (await backend.register("home", "box", pid=4)).instance == "a"
    clock.advance(121)
    assert (await backend.register("home", "box", pid=5, instance="b")).instance == "b"
    await backend.leave("home-box")
    assert (await backend.register("home", "box", pid=6, instance="a")).instance == "a"


async def test_one_machine_is_paused_alone(acts: Any, backend: Backend, clock: ManualClock) -> None:
    here = acts.orchestrator_id
    other = (await backend.register("home", "other", pid=None)).id
    until = from_ms(clock.now_ms()) + timedelta(seconds=60)
    paused = await backend.pause(actor=ANA, reason="disk full", until=until, machine=here)
    assert paused == await backend.get_pause(machine=here)
    assert (paused.machine, paused.reason) == (here, "disk full")
    assert not (await backend.get_pause()).paused
    assert not (await backend.get_pause(machine=other)).paused
    everywhere = await backend.pause(actor=ANA, reason="lunch")
    assert await backend.get_pause(machine=here) == everywhere == await backend.get_pause(machine=other)
    assert (await backend.resume(actor=ANA)).paused is False
    assert await backend.get_pause(machine=here) == paused
    clock.advance(61)
    assert not (await backend.get_pause(machine=here)).paused
    assert not (await backend.resume(actor=ANA, machine=here)).paused
    kinds = [(event.kind, event.entity_id) for event in await backend.events() if event.entity == "scheduler"]
    assert kinds == [("pause", here), ("pause", "intake"), ("resume", "intake"), ("resume", here)]
    with pytest.raises(UnknownOrchestrator):
        await backend.pause(actor=ANA, machine="nobody")


async def test_agents_are_replaced_and_only_changes_are_events(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    at = from_ms(clock.now_ms())
    idle = Agent(
        "impl-1", acts.orchestrator_id, "implement", "demo", AgentStatus.IDLE, None, None, None, "no task", at
    )
    other = replace(idle, name="rev-1", role="review")
    await backend.report_agents(acts.orchestrator_id, [idle, other])
    assert await backend.list_agents() == [idle, other]
    seq = await backend.last_seq()
    clock.advance(30)
    await backend.report_agents(acts.orchestrator_id, [idle, other])
    assert await backend.last_seq() == seq
    assert [agent.updated_at for agent in await backend.list_agents()] == [at + timedelta(seconds=30)] * 2
    busy = replace(idle, status=AgentStatus.BUSY, task_id="t", run_id="r", pid=12, reason=None)
    await backend.report_agents(acts.orchestrator_id, [busy])
    (left,) = await backend.list_agents()
    assert replace(left, updated_at=at) == busy
    told = [
        (e.entity, e.entity_id, e.kind, e.from_state, e.to_state) for e in await backend.events(after=seq)
    ]
    assert told == [
        ("agent", "rev-1", "remove", "idle", None), ("agent", "impl-1", "report", "idle", "busy"),
    ]  # fmt: skip
    with pytest.raises(BadInput):
        await backend.report_agents(acts.orchestrator_id, [replace(busy, orchestrator_id="x")])
    with pytest.raises(BadInput):
        await backend.report_agents(acts.orchestrator_id, [busy, busy])


async def test_intake_is_paused_and_resumed(backend: Backend, clock: ManualClock) -> None:
    assert not (await backend.get_pause()).paused
    await backend.resume(actor=ANA)
    assert await backend.last_seq() == 0
    paused = await backend.pause(actor=ANA, reason="lunch")
    assert paused == await backend.get_pause()
    assert (paused.paused, paused.by, paused.reason) == (True, "human:ana", "lunch")
    await backend.resume(actor=ANA)
    assert not (await backend.get_pause()).paused
    until = from_ms(clock.now_ms()) + timedelta(seconds=60)
    await backend.pause(actor=ANA, until=until)
    assert (await backend.get_pause()).until == until
    clock.advance(60)
    assert not (await backend.get_pause()).paused
    with pytest.raises(BadInput, match="is over already"):
        await backend.pause(actor=ANA, until=until)
    assert [e.kind for e in await backend.events(entity_id="intake")] == ["pause", "resume", "pause"]


# The log


async def test_the_log_has_every_change_in_order_without_holes(acts: Any, backend: Backend) -> None:
    await acts.provisional("a")
    with pytest.raises(Refused):
        await acts.do("a", Action.ENQUEUE)
    await acts.done("a")
    events = await backend.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert await backend.last_seq() == len(events)
    assert [event.seq for event in await backend.events(after=2, limit=3)] == [3, 4, 5]
    mine = [event for event in events if event.entity == "task"]
    assert [event.version for event in mine] == list(range(1, len(mine) + 1))
    assert [event.from_state for event in mine[1:]] == [event.to_state for event in mine[:-1]]
    assert mine == await backend.events(entity_id="a")


async def test_a_watch_tells_what_was_and_what_comes(acts: Any, backend: Backend) -> None:
    await acts.create("a")
    seen: list[int] = []
    enough = asyncio.Event()

    async def follow() -> None:
        async for batch in backend.watch(0):
            seen.extend(event.seq for event in batch)
            if len(seen) >= 12:
                enough.set()

    follower = asyncio.create_task(follow())
    for index in range(10):
        await acts.create(f"t{index}")
    await asyncio.wait_for(enough.wait(), 60)
    assert seen == list(range(1, 13))
    await backend.close()
    await asyncio.wait_for(follower, 10)


async def test_a_watch_begins_where_it_is_told(acts: Any, backend: Backend) -> None:
    await acts.create("a")
    await acts.create("b")
    async for batch in backend.watch(2):
        assert [event.entity_id for event in batch] == ["b"]
        break
