"""A machine whose server goes away, with changes made on both sides, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import until
from partition import Line, line_to

from backend.errors import LeaseLost, NotFound, Offline, Refused, StoreBusy
from backend.interface import Action, Transition
from backend.keys import KeyScope, NewKey
from backend.local import LocalBackend
from backend.model import (
    SYSTEM,
    Actor,
    Claim,
    ClaimRequest,
    Event,
    Message,
    MessageKind,
    MessageType,
    NewMessage,
    NewRule,
    NewTask,
    Outcome,
    Priority,
    Queue,
    Renewal,
    RuleScope,
    RunEnd,
    RunPatch,
    RunStatus,
    SenderType,
    TaskFilter,
    TaskPatch,
    UsageBy,
)
from backend.offline.backend import OfflineBackend
from backend.remote import RemoteBackend
from backend.server.serve import SocketServer
from backend.server.tcp import Site, TcpServer
from backend.sync import Choice, SyncMode

ANA, BEN = Actor(SenderType.HUMAN, "ana"), Actor(SenderType.HUMAN, "ben")
DONE = RunEnd(Outcome.SUBMITTED, "done", head_sha="work", exit_code=0, commits_count=1)


@dataclass(slots=True)
class House:
    """A server, the line to it, and one machine."""

    folder: Path
    server: LocalBackend
    line: Line
    here: OfflineBackend
    machine: str = "home-laptop"

    async def away(self) -> None:
        """Cut the line, and let the machine notice."""
        await self.line.cut()
        await self.here.get_pause()
        # What it had read before may still be taken over: only the next attempt finds nobody for certain.
        assert (await self.here.sync_now()).mode is SyncMode.OFFLINE

    async def back(self) -> None:
        """Mend the line; returns when the two are together again."""
        await self.line.mend()
        await self.online()

    async def online(self) -> None:
        async def ready() -> bool:
            state = await self.here.sync_now()
            return state.mode is SyncMode.ONLINE and state.pending == 0

        await until(ready, "the machine and its server to be together")

    async def create(self, where: Any, task_id: str, **given: Any) -> None:
        new = {"title": task_id, "role": "implement", "base_branch": "main", "base_sha": "base"} | given
        await where.create_task(NewTask(id=task_id, created_by="ana", **new), actor=ANA)

    async def claim(self, task_id: str, run_id: str = "r1") -> Claim:
        claim = await self.here.claim(
            ClaimRequest(self.machine, "impl-1", "demo", run_id, 300, task_id=task_id)
        )
        assert claim is not None
        return claim

    def submission(self, claim: Claim, sha: str = "work") -> Transition:
        task, run = claim.task, claim.run
        return Transition(
            task.id, Action.SUBMIT, SYSTEM, fence=task.fence, run_id=run.id, head_sha=sha, run_end=DONE
        )

    async def is_same(self) -> None:
        """The machine's own records are the server's."""
        records = self.here._cache.records
        theirs, ours = await self.server.list_tasks(TaskFilter()), await records.list_tasks(TaskFilter())
        assert sorted(ours, key=lambda task: task.id) == sorted(theirs, key=lambda task: task.id)
        assert await records.count_queues() == await self.server.count_queues()
        for task in theirs:
            assert await records.list_runs(task_id=task.id) == await self.server.list_runs(task_id=task.id)
            assert await records.list_messages(task.id) == await self.server.list_messages(task.id)
            assert await records.list_evidence(task.id) == await self.server.list_evidence(task.id)

    async def kinds(self, entity_id: str) -> list[str]:
        return [event.kind for event in await self.server.events(entity_id=entity_id)]


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    server = await LocalBackend.open(folder / "server.db")
    front = SocketServer(server, folder / "s.sock")
    await front.start()
    try:
        async with line_to(front.address, folder / "l.sock") as line:
            here = await OfflineBackend.open(
                RemoteBackend(socket_path=line.socket), folder / "cache.db", server="the server"
            )
            try:
                one = House(folder, server, line, here)
                await here.register("home", "laptop", pid=1)
                await one.online()
                yield one
            finally:
                await here.close()
    finally:
        await front.stop()
        await server.close()


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


def asked(message_id: str, task_id: str, **given: Any) -> NewMessage:
    new = {"sender": ANA, "type": MessageType.REQUEST, "kind": MessageKind.QUESTION, "body": "Which?"}
    return NewMessage(id=message_id, conversation_id=task_id, **(new | given))


async def test_reads_go_on_without_the_server(one: House) -> None:
    await one.create(one.server, "t", priority=Priority.P1)
    await one.here.post_message(asked("q", "t"))
    await one.online()
    before = await one.here.get_task("t")
    await one.away()
    state = await one.here.sync_state()
    assert (state.mode, state.pending, state.server) == (SyncMode.OFFLINE, 0, "the server")
    assert state.since is not None
    assert "nobody answers" in str(state.trouble)
    assert await one.here.get_task("t") == before
    assert [message.id for message in await one.here.open_questions()] == ["q"]
    assert (await one.here.count_queues())[Queue.INCOMING] == 1
    await one.create(one.server, "u")
    await one.back()
    state = await one.here.sync_state()
    assert (state.mode, state.trouble) == (SyncMode.ONLINE, None)
    await one.is_same()


async def test_what_needs_the_server_says_so(one: House) -> None:
    await one.create(one.here, "t")
    await one.away()
    assert await one.here.claim(ClaimRequest(one.machine, "a", "demo", "r", 300)) is None
    with pytest.raises(Refused, match="away"):
        await one.claim("t")
    assert await one.here.renew(one.machine, [Renewal("t", 1)], 300) == []
    assert await one.here.expire_leases() == []
    await one.here.heartbeat(one.machine, cycle_at=None)
    await one.here.report_agents(one.machine, [])
    for refused in (
        one.here.pause(actor=ANA),
        one.here.transition(Transition("t", Action.FORCE, ANA, reason="x", to=Queue.DONE)),
        one.here.split_task("t", [NewTask("u", "U", "implement", "main", "base", "ana")], actor=ANA),
        one.here.create_rule(NewRule("rule", "q", RuleScope.TASK, "yes"), actor=ANA),
        one.here.revoke_rule("rule", actor=ANA),
    ):
        with pytest.raises(Offline, match="the server is away"):
            await refused
    assert (await one.here.sync_state()).pending == 0


async def test_everything_of_a_partition(one: House) -> None:
    """F16: tasks are made, edited and handed in while the server is away, which requeues one meanwhile."""
    for name in ("kept", "lost", "edited"):
        await one.create(one.here, name)
    kept, lost = await one.claim("kept", "r-kept"), await one.claim("lost", "r-lost")
    await one.here.update_run("r-lost", RunPatch(status=RunStatus.RUNNING, branch="octopoid/lost"))
    await one.online()
    await one.away()
    # Meanwhile the server gives one of the leases to somebody else.
    await one.server.transition(
        Transition("lost", Action.RELEASE, SYSTEM, fence=lost.task.fence, run_id="r-lost", systemic=True)
    )
    await one.create(one.here, "new")
    await one.here.edit_task("new", TaskPatch(title="better"), actor=ANA)
    await one.here.edit_task("edited", TaskPatch(priority=Priority.P0), actor=ANA)
    await one.here.edit_task("edited", TaskPatch(title="twice"), actor=ANA)
    await one.here.post_message(asked("note", "new", type=MessageType.STATUS, kind=MessageKind.NOTE))
    await one.here.transition(one.submission(kept))
    await one.here.transition(one.submission(lost, "stale"))
    assert (await one.here.get_task("lost")).queue is Queue.PROVISIONAL
    assert (await one.here.sync_state()).pending == 6  # the edit of what is new is part of its making
    await one.back()
    assert await one.kinds("new") == ["create"]
    assert (await one.server.get_task("new")).title == "better"
    edited = await one.server.get_task("edited")
    assert (edited.priority, edited.title) == (Priority.P0, "twice")
    assert (await one.server.get_task("kept")).head_sha == "work"
    assert (await one.server.get_task("lost")).queue is Queue.INCOMING
    run = await one.server.get_run("r-lost")
    assert (run.outcome, run.head_sha) == (Outcome.LOST, "work")
    [conflict] = await one.here.list_conflicts()
    assert (conflict.task_id, conflict.operation, conflict.rejected) == ("lost", "submit", False)
    assert "octopoid/lost" in conflict.summary
    assert "r-lost" in conflict.summary
    assert conflict.theirs is not None
    assert conflict.theirs["queue"] == "incoming"
    await one.is_same()


async def test_stale_work_is_handed_in_when_a_person_says_so(one: House) -> None:
    await one.create(one.here, "t")
    claim = await one.claim("t")
    await one.online()
    await one.away()
    await one.server.transition(
        Transition("t", Action.RELEASE, SYSTEM, fence=claim.task.fence, run_id="r1", systemic=True)
    )
    await one.here.transition(one.submission(claim))
    await one.back()
    [conflict] = await one.here.list_conflicts()
    await one.here.settle_conflict(conflict.id, Choice.MINE, actor=ANA)
    task = await one.server.get_task("t")
    assert (task.queue, task.head_sha) == (Queue.PROVISIONAL, "work")
    assert await one.here.list_conflicts() == []
    with pytest.raises(NotFound):
        await one.here.settle_conflict(conflict.id, Choice.THEIRS, actor=ANA)


async def test_stale_work_of_a_task_that_another_has_stays_a_conflict(one: House) -> None:
    await one.create(one.here, "t")
    claim = await one.claim("t")
    await one.online()
    await one.away()
    await one.server.transition(
        Transition("t", Action.RELEASE, SYSTEM, fence=claim.task.fence, run_id="r1", systemic=True)
    )
    other = await one.server.register("home", "other", pid=2)
    await one.server.claim(ClaimRequest(other.id, "b", "demo", "r2", 300, task_id="t"))
    await one.here.transition(one.submission(claim))
    await one.back()
    [conflict] = await one.here.list_conflicts()
    with pytest.raises(Refused, match="can not be handed in"):
        await one.here.settle_conflict(conflict.id, Choice.MINE, actor=ANA)
    assert await one.here.list_conflicts() == [conflict]
    await one.here.settle_conflict(conflict.id, Choice.THEIRS, actor=ANA)
    assert (await one.here.sync_state()).conflicts == 0
    assert (await one.server.get_task("t")).run_id == "r2"
    with pytest.raises(LeaseLost):
        await one.here.transition(one.submission(claim))


async def test_edits_of_different_fields_meet_and_of_the_same_conflict(one: House) -> None:
    for name in ("apart", "same"):
        await one.create(one.here, name)
    await one.online()
    await one.away()
    for name in ("apart", "same"):
        await one.here.edit_task(name, TaskPatch(title="mine"), actor=ANA)
    await one.server.edit_task("apart", TaskPatch(priority=Priority.P0), actor=BEN)
    await one.server.edit_task("same", TaskPatch(title="theirs"), actor=BEN)
    await one.here.edit_task("same", TaskPatch(body="after"), actor=ANA)
    await one.back()
    apart, same = await one.server.get_task("apart"), await one.server.get_task("same")
    assert (apart.title, apart.priority) == ("mine", Priority.P0)
    assert (same.title, same.body) == ("theirs", "")
    first, second = await one.here.list_conflicts()
    assert first.mine["patch"]["title"] == "mine"
    assert first.theirs is not None
    assert first.theirs["title"] == "theirs"
    assert "builds on a change" in second.problem
    await one.here.settle_conflict(first.id, Choice.MINE, actor=ANA)
    await one.here.settle_conflict(second.id, Choice.MINE, actor=ANA)
    same = await one.server.get_task("same")
    assert (same.title, same.body) == ("mine", "after")
    await one.online()
    await one.is_same()


async def test_a_person_decides_on_what_was_seen(one: House) -> None:
    await one.create(one.here, "t")
    await one.online()
    await one.away()
    await one.server.edit_task("t", TaskPatch(title="other"), actor=BEN)
    await one.here.transition(Transition("t", Action.HOLD, ANA))
    await one.here.transition(Transition("t", Action.ENQUEUE, ANA))
    await one.back()
    assert await one.kinds("t") == ["create", "edit"]
    assert [conflict.operation for conflict in await one.here.list_conflicts()] == ["hold", "enqueue"]
    await one.is_same()


async def test_a_chain_of_decisions_is_taken_as_it_was_made(one: House) -> None:
    await one.create(one.here, "t")
    await one.online()
    await one.away()
    await one.here.transition(Transition("t", Action.HOLD, ANA))
    await one.here.transition(Transition("t", Action.ENQUEUE, ANA))
    await one.here.edit_task("t", TaskPatch(title="new"), actor=ANA)
    await one.here.transition(Transition("t", Action.CANCEL, ANA, reason="no"))
    await one.back()
    assert await one.kinds("t") == ["create", "hold", "enqueue", "edit", "cancel"]
    assert await one.here.list_conflicts() == []
    await one.is_same()


async def test_a_question_asked_and_answered_without_the_server(one: House) -> None:
    await one.create(one.here, "t")
    claim = await one.claim("t")
    await one.online()
    await one.away()
    await one.here.post_message(
        asked("q", "t", run_id=claim.run.id, request_id="x", sender=Actor(SenderType.WORKER, "impl-1"))
    )
    await one.here.answer("q", "the red one", actor=ANA)
    assert [message.id for message in await one.here.undelivered([claim.run.id])] == ["q"]
    await one.here.mark_delivered("q")
    await one.back()
    told: Message = await one.server.get_message("q")
    assert told.answer == "the red one"
    assert told.delivered_at is not None
    assert await one.here.list_conflicts() == []
    await one.is_same()


async def test_a_rule_answers_without_the_server_and_once(one: House) -> None:
    await one.create(one.here, "t")
    claim = await one.claim("t")
    bot: dict[str, Any] = {"run_id": claim.run.id, "sender": Actor(SenderType.WORKER, "impl-1")}
    await one.here.post_message(asked("q1", "t", request_id="x1", **bot))
    await one.here.create_rule(NewRule("rule", "q1", RuleScope.TASK, "the red one"), actor=ANA)
    await one.online()
    await one.away()
    assert [rule.id for rule in await one.here.list_rules()] == ["rule"]
    assert (await one.here.post_message(asked("q2", "t", request_id="x2", **bot))).answer == "the red one"
    await one.here.mark_delivered("q2")
    await one.back()
    told = await one.server.get_message("q2")
    assert told.answer == "the red one"
    assert told.delivered_at is not None
    assert [rule.uses for rule in await one.server.list_rules()] == [1]
    said = [message for message in await one.server.list_messages("t") if message.parent_message_id == "q2"]
    assert len(said) == 1
    assert await one.here.list_conflicts() == []
    assert await one.here.list_rules() == await one.server.list_rules()
    await one.is_same()


async def test_what_everybody_should_know_is_said_when_the_server_is_back(one: House) -> None:
    until_then = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    await one.server.raise_alert("budget:day", "spent", until=until_then)
    await one.online()
    await one.away()
    await one.here.raise_alert("quota:home-laptop:demo", "the provider refuses work", until=until_then)
    await one.here.clear_alert("budget:day")
    assert [alert.key for alert in await one.here.list_alerts()] == ["quota:home-laptop:demo"]
    await one.back()
    expected = {"budget:day": until_then, "quota:home-laptop:demo": until_then}
    assert {alert.key: alert.until for alert in await one.server.list_alerts()} == expected
    await one.away()
    assert {alert.key: alert.until for alert in await one.here.list_alerts()} == expected


async def test_what_was_used_is_known_without_the_server(one: House) -> None:
    await one.create(one.here, "t")
    claim = await one.claim("t")
    await one.here.update_run(claim.run.id, RunPatch(cost_usd=1.5, tokens_input=10))
    await one.online()
    await one.away()
    await one.here.update_run(claim.run.id, RunPatch(cost_usd=2.5, tokens_input=20))
    (used,) = await one.here.usage(UsageBy.TASK, since=datetime(2020, 1, 1, tzinfo=UTC))
    assert (used.key, used.runs, used.cost_usd, used.tokens_input) == ("t", 1, 2.5, 20)
    await one.back()
    assert await one.server.usage(UsageBy.TASK, since=datetime(2020, 1, 1, tzinfo=UTC)) == [used]


async def test_an_answer_that_another_gave_first(one: House) -> None:
    await one.create(one.here, "t")
    await one.here.post_message(asked("q", "t"))
    await one.online()
    await one.away()
    await one.here.answer("q", "red", actor=ANA)
    await one.server.answer("q", "blue", actor=BEN)
    await one.back()
    [conflict] = await one.here.list_conflicts()
    assert conflict.operation == "answer"
    assert conflict.theirs is not None
    assert conflict.theirs["answer"] == "blue"
    assert (await one.here.get_message("q")).answer == "blue"


async def test_an_answer_that_was_lost_is_asked_for_again(one: House) -> None:
    """F7: the server makes a change, and its answer is lost; then the line is cut altogether."""
    await one.create(one.here, "t")
    await one.online()
    one.line.lose = 10
    edit = asyncio.create_task(one.here.edit_task("t", TaskPatch(title="once"), actor=ANA))
    assert (await edit).title == "once"
    await one.here.post_message(asked("q", "t"))
    one.line.lose = 0
    await one.back()
    assert await one.kinds("t") == ["create", "edit"]
    assert await one.kinds("q") == ["post"]
    assert await one.here.list_conflicts() == []
    await one.is_same()


async def test_what_is_delivered_twice_is_made_once(one: House) -> None:
    """F8: every change reaches the server twice, also those that waited."""
    one.line.double = True
    await one.create(one.here, "t")
    await one.here.transition(Transition("t", Action.HOLD, ANA))
    await one.online()
    await one.away()
    await one.here.transition(Transition("t", Action.ENQUEUE, ANA))
    await one.here.edit_task("t", TaskPatch(title="new"), actor=ANA)
    await one.back()
    assert await one.kinds("t") == ["create", "hold", "enqueue", "edit"]
    assert await one.here.list_conflicts() == []
    await one.is_same()


async def test_a_follower_misses_nothing_and_sees_nothing_twice(one: House) -> None:
    seen: list[Event] = []
    start = await one.here.last_seq()

    async def follow() -> None:
        feed: Any = one.here.watch(start)
        async with aclosing(feed) as batches:
            async for batch in batches:
                seen.extend(batch)

    async def created(task_id: str) -> None:
        async def told() -> bool:
            return any((event.kind, event.entity_id) == ("create", task_id) for event in seen)

        await until(told, f"the making of {task_id} to be told")

    following = asyncio.create_task(follow())
    try:
        await one.create(one.server, "before")
        await created("before")
        await one.away()
        await one.create(one.here, "here")
        await created("here")
        made_here = next(event for event in seen if event.entity_id == "here")
        await one.create(one.server, "there")
        await one.back()
        await one.create(one.server, "after")
        await created("after")
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    places = [event.seq for event in seen]
    assert places == sorted(set(places))
    later = [event.entity_id for event in seen if event.seq > made_here.seq and event.entity == "task"]
    assert sorted(later) == ["after", "here", "there"]
    # Whoever begins anew at any place gets what came after it.
    for place in (start, made_here.seq, places[-1]):
        again = [event for event in await one.here.events(after=place) if event.entity == "task"]
        wanted = {event.entity_id for event in seen if event.seq > place and event.entity == "task"}
        assert {event.entity_id for event in again} == wanted


async def test_a_server_that_begins_anew_is_read_anew(one: House, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        await one.create(one.server, name)
    await one.online()
    await one.away()
    place = await one.here.last_seq()
    fresh = await LocalBackend.open(tmp_path / "fresh.db")
    front = SocketServer(fresh, tmp_path / "f.sock")
    await front.start()
    try:
        one.line.server = front.address
        await fresh.register("home", "laptop", pid=1)
        await one.create(fresh, "other")
        await one.back()
        assert [task.id for task in await one.here._cache.records.list_tasks(TaskFilter())] == ["other"]
        await one.create(fresh, "more")
        await until(lambda: _has(one, "more"), "the new server's task")
        assert {event.entity_id for event in await one.here.events(after=place)} >= {"more"}
    finally:
        await one.line.cut()
        await front.stop()
        await fresh.close()


async def _has(one: House, task_id: str) -> bool:
    return any(task.id == task_id for task in await one.here._cache.records.list_tasks(TaskFilter()))


async def test_a_machine_that_was_never_in_touch_needs_the_server(tmp_path: Path) -> None:
    with pytest.raises(StoreBusy):
        await OfflineBackend.open(
            RemoteBackend(socket_path=tmp_path / "none.sock"), tmp_path / "cache.db", server="x"
        )


async def test_leases_lost_meanwhile_are_told_by_the_next_renewal(one: House) -> None:
    await one.create(one.here, "t")
    claim = await one.claim("t")
    await one.online()
    await one.away()
    await one.server.transition(
        Transition("t", Action.RELEASE, SYSTEM, fence=claim.task.fence, run_id="r1", systemic=True)
    )
    lease = [Renewal("t", claim.task.fence)]
    assert await one.here.renew(one.machine, lease, 300) == []
    await one.back()
    assert await one.here.renew(one.machine, lease, 300) == ["t"]


async def test_leases_are_renewed_before_anything_is_sent(one: House) -> None:
    await one.create(one.here, "t")
    claim = await one.claim("t")
    await one.here.renew(one.machine, [Renewal("t", claim.task.fence)], 600)
    await one.online()
    before = (await one.server.get_task("t")).lease_expires_at
    await one.away()
    await one.here.edit_task("t", TaskPatch(title="new"), actor=ANA)
    one.line.seen.clear()
    await one.back()
    after = (await one.server.get_task("t")).lease_expires_at
    assert before is not None
    assert after is not None
    assert after > before
    assert one.line.seen[0] == f"POST /api/v1/orchestrators/{one.machine}/renew"
    assert "PATCH /api/v1/tasks/t" in one.line.seen[1:]


async def test_a_change_at_which_the_server_fails_does_not_hold_up_the_others(one: House) -> None:
    for name in ("bad", "good"):
        await one.create(one.here, name)
    await one.online()
    await one.away()
    one.line.fail = b"poison"
    await one.here.edit_task("bad", TaskPatch(title="poison"), actor=ANA)
    await one.here.edit_task("good", TaskPatch(title="fine"), actor=ANA)
    await one.line.mend()
    await one.here.sync_now()
    assert (await one.server.get_task("good")).title == "fine"
    await one.online()
    [conflict] = await one.here.list_conflicts()
    assert (conflict.task_id, conflict.rejected) == ("bad", True)
    assert "it failed" in conflict.problem


async def test_waiting_changes_outlive_the_process(one: House) -> None:
    await one.create(one.here, "t")
    await one.online()
    await one.away()
    await one.create(one.here, "new")
    await one.here.edit_task("t", TaskPatch(title="new"), actor=ANA)
    await one.here.close()
    remote = RemoteBackend(socket_path=one.line.socket)
    one.here = await OfflineBackend.open(remote, one.folder / "cache.db", server="the server")
    state = await one.here.sync_state()
    assert (state.mode, state.pending) == (SyncMode.OFFLINE, 2)
    assert state.since is not None
    assert (await one.here.get_task("t")).title == "new"
    await one.back()
    assert await one.kinds("t") == ["create", "edit"]
    await one.is_same()


async def test_one_change_that_the_key_does_not_permit_holds_up_no_other(tmp_path: Path) -> None:
    """Another machine has claimed the task meanwhile, and this machine's key is bound to this machine."""
    server = await LocalBackend.open(tmp_path / "server.db")
    key = await server.create_key(
        NewKey(label="laptop", scope=KeyScope.WORK, orchestrator_id="home-laptop"), actor=ANA
    )
    front = TcpServer(server, Site())
    url = await front.start()
    remote = RemoteBackend(url, api_key=key.token, timeout_s=60, patience_s=2)
    here = await OfflineBackend.open(remote, tmp_path / "cache.db", server=url)
    try:
        await here.register("home", "laptop", pid=1)
        for name in ("t", "u"):
            new = NewTask(name, name, "implement", "main", "base", "ana")
            await here.create_task(new, actor=ANA)
        await here.sync_now()
        await front.stop()
        await here.get_pause()
        for name in ("t", "u"):
            await here.edit_task(name, TaskPatch(title="mine"), actor=ANA)
        other = await server.register("home", "other", pid=2)
        await server.claim(ClaimRequest(other.id, "a", "demo", "r1", 300, task_id="t"))
        front = TcpServer(server, Site(port=int(url.rsplit(":", 1)[1])))
        await front.start()

        async def sent() -> bool:
            state = await here.sync_now()
            return state.mode is SyncMode.ONLINE and state.pending == 0

        await until(sent, "what is permitted to be sent")
        assert (await server.get_task("u")).title == "mine"
        assert (await server.get_task("t")).title == "t"
        assert [(one.task_id, one.operation) for one in await here.list_conflicts()] == [("t", "edit")]
    finally:
        await here.close()
        await front.stop()
        await server.close()
