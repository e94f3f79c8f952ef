"""Our own client: the whole protocol, over a socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from serving import ANA, WORKER, Served, new_task, serve, wish

from backend import remote
from backend.errors import (
    BY_SLUG,
    Duplicate,
    LeaseLost,
    NotFound,
    Refused,
    StoreBroken,
    StoreBusy,
    VersionConflict,
)
from backend.interface import Action, Transition
from backend.model import (
    Agent,
    AgentStatus,
    Evidence,
    HoldRequest,
    MessageKind,
    MessageType,
    NewMessage,
    Outcome,
    Priority,
    Queue,
    Renewal,
    RunEnd,
    RunPatch,
    RunStatus,
    TaskFilter,
    TaskPatch,
)
from backend.remote import RemoteBackend
from backend.rest.connection import read_answer, to_error
from backend.server.problems import problem
from backend.server.serve import SocketServer


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path) as one:
        yield one


async def test_a_long_list_leaves_turns_to_others(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text is read in another thread, and its rows a few at a time."""
    for number in range(40):
        await served.remote.create_task(new_task(f"t{number}"), actor=ANA)
    readers: list[int] = []

    def read(answer: Any) -> Any:
        readers.append(threading.get_ident())
        return read_answer(answer)

    monkeypatch.setattr("backend.rest.connection.read_answer", read)
    monkeypatch.setattr("backend.rest.connection.LARGE", 1000)
    monkeypatch.setattr("backend.remote.AT_ONCE", 10)
    turns: list[int] = []
    from_json = remote._read

    def count(kind: Any, data: Any) -> Any:
        asyncio.get_running_loop().call_soon(turns.append, len(readers))
        return from_json(kind, data)

    monkeypatch.setattr("backend.remote._read", count)
    assert len(await served.remote.list_tasks(TaskFilter())) == 40
    assert readers
    assert threading.get_ident() not in readers
    assert len(turns) >= 30, "what others wanted to do meanwhile"


async def test_every_method_crosses_the_socket(served: Served) -> None:
    far, clock = served.remote, served.clock
    machine = await far.register("home", "box", pid=17)
    assert (await far.list_orchestrators()) == [machine]
    made = await far.create_task(new_task("t1", metadata={"seen": [1, None]}, needs=("db",)), actor=ANA)
    assert made == await served.backend.get_task("t1") == await far.get_task("t1")
    await far.create_task(new_task("t2", blocked_by=("t1",)), actor=ANA)
    edited = await far.edit_task("t1", TaskPatch(title="New", priority=Priority.P0), actor=ANA, version=1)
    assert (edited.title, edited.priority, edited.version) == ("New", Priority.P0, 2)
    assert [task.id for task in await far.list_tasks(TaskFilter(queues=frozenset({Queue.INCOMING})))] == [
        "t1"
    ]
    wanted = TaskFilter(
        frozenset({Queue.INCOMING}), frozenset({Priority.P0}), frozenset({"implement"}), text="New"
    )
    assert [task.id for task in await far.list_tasks(wanted)] == ["t1"]
    assert (await far.count_queues())[Queue.BLOCKED] == 1

    claim = await far.claim(wish(machine.id, "r1", roles=("implement",), model="small"))
    assert claim is not None
    assert claim.run == await far.get_run("r1")
    assert await far.renew(machine.id, [Renewal("t1", claim.task.fence), Renewal("t2", 9)], 300) == ["t2"]
    running = await far.update_run("r1", RunPatch(status=RunStatus.RUNNING, session_id="s", cost_usd=0.25))
    assert (running.status, running.session_id) == (RunStatus.RUNNING, "s")
    assert [run.id for run in await far.list_runs(task_id="t1", live=True)] == ["r1"]
    assert await far.cost_since(claim.run.started_at - timedelta(seconds=1)) == pytest.approx(0.25)

    await exchange_messages(served)
    at = datetime.fromtimestamp(clock.now_ms() // 1000, UTC)
    evidence = Evidence("e1", "t1", "r1", "tests", "make", "2" * 40, "1" * 40, 0, "ok", "d", 5, at)
    await far.add_evidence(evidence)
    assert await far.list_evidence("t1") == [evidence] == await served.backend.list_evidence("t1")

    await far.heartbeat(machine.id, cycle_at=at)
    agent = Agent("impl-1", machine.id, "implement", "demo", AgentStatus.BUSY, "t1", "r1", 5, None, at)
    await far.report_agents(machine.id, [agent])
    assert [one.name for one in await far.list_agents()] == ["impl-1"]
    paused = await far.pause(actor=ANA, reason="lunch", until=at + timedelta(hours=1))
    assert paused == await far.get_pause()
    assert (paused.paused, paused.reason) == (True, "lunch")
    assert not (await far.resume(actor=ANA)).paused
    await finish(served, claim.task.fence)
    assert await far.events(after=0, limit=1000) == await served.backend.events(after=0, limit=1000)
    assert await far.last_seq() == await served.backend.last_seq()


async def exchange_messages(served: Served) -> None:
    far = served.remote
    asked = NewMessage(
        "m1", "t1", WORKER, MessageType.REQUEST, MessageKind.QUESTION, "Which?", ("a", "b"), None, "r1", "q1"
    )
    first = await far.post_message(asked)
    assert await far.post_message(asked) == first == await far.get_message("m1")
    assert await far.open_questions() == [first]
    answered = await far.answer("m1", "a", actor=ANA)
    assert answered.answer == "a"
    with pytest.raises(Refused):
        await far.answer("m1", "b", actor=ANA)
    assert await far.undelivered(["r1", "r2"]) == [answered]
    assert await far.undelivered([]) == []
    assert (await far.mark_delivered("m1")).delivered_at is not None
    other = NewMessage("m2", "t1", WORKER, MessageType.REQUEST, MessageKind.QUESTION, "And?", run_id="r1")
    await far.post_message(other)
    assert (await far.withdraw("m2", "the run is over")).withdrawn_at is not None
    assert await far.list_messages("t1") == await served.backend.list_messages("t1")


async def finish(served: Served, fence: int) -> None:
    far = served.remote
    end = RunEnd(Outcome.SUBMITTED, "done", head_sha="2" * 40, exit_code=0, commits_count=1, summary="did it")
    wanted = Transition("t1", Action.SUBMIT, WORKER, fence=fence, run_id="r1", run_end=end, head_sha="2" * 40)
    assert (await far.transition(wanted)).queue is Queue.PROVISIONAL
    assert (await far.end_run("r1", end)).outcome is Outcome.SUBMITTED
    machine = (await far.list_orchestrators())[0]
    hold = HoldRequest("t1", "review", machine.id, "rev-1", "demo", "r2", 60)
    held = await far.claim_in_place(hold)
    assert (held.task.queue, held.run.role) == (Queue.PROVISIONAL, "review")
    served.clock.advance(61)
    assert [task.id for task in await far.expire_leases()] == ["t1"]


async def test_errors_arrive_as_the_class_they_were(served: Served) -> None:
    far = served.remote
    await far.create_task(new_task("t1"), actor=ANA)
    with pytest.raises(NotFound, match="nope"):
        await far.get_task("nope")
    with pytest.raises(Duplicate):
        await far.create_task(new_task("t1", title="Other"), actor=ANA)
    with pytest.raises(VersionConflict):
        await far.edit_task("t1", TaskPatch(title="x"), actor=ANA, version=9)
    with pytest.raises(LeaseLost) as lost:
        await far.transition(Transition("t1", Action.SUBMIT, WORKER, fence=9, head_sha="2" * 40))
    with pytest.raises(LeaseLost) as here:
        await served.backend.transition(Transition("t1", Action.SUBMIT, WORKER, fence=9, head_sha="2" * 40))
    assert (lost.value.problem, lost.value.next_step, lost.value.details) == (
        here.value.problem, here.value.next_step, here.value.details,
    )  # fmt: skip


@pytest.mark.parametrize("slug", BY_SLUG)
def test_every_error_class_survives_the_wire(slug: str) -> None:
    error = BY_SLUG[slug]("what", "next", ("one", "two"))
    answer = problem(error)
    again = to_error(answer.status_code, json.loads(bytes(answer.body)))
    assert type(again) is type(error)
    assert (again.problem, again.next_step, again.details) == ("what", "next", ("one", "two"))


@pytest.mark.parametrize(
    "task_id", ["", ".", "..", "a/b", "../tasks", "t 1", "t\n1", "é", "%2e%2e", "x" * 300]
)
async def test_odd_ids_name_nothing(served: Served, task_id: str) -> None:
    """T18: an id never reaches another address."""
    await served.backend.create_task(new_task("t1"), actor=ANA)
    with pytest.raises(NotFound):
        await served.remote.get_task(task_id)


async def test_eight_clients_never_share_a_task(served: Served) -> None:
    """L-21: one claim, one holder, over the socket too."""
    machine = await served.remote.register("home", "box", pid=1)
    for number in range(40):
        await served.backend.create_task(new_task(f"t{number}"), actor=ANA)

    async def work(worker: int) -> list[str]:
        far = RemoteBackend(socket_path=served.path)
        got = []
        while (claim := await far.claim(wish(machine.id, f"r{worker}-{len(got)}"))) is not None:
            got.append(claim.task.id)
        await far.close()
        return got

    claimed = await asyncio.gather(*(work(worker) for worker in range(8)))
    assert sorted(task_id for got in claimed for task_id in got) == sorted(f"t{n}" for n in range(40))


async def test_a_long_list_is_whole(served: Served) -> None:
    for number in range(260):
        await served.backend.create_task(new_task(f"t{number}"), actor=ANA)
    assert len(await served.remote.list_tasks(TaskFilter())) == 260
    assert len(await served.remote.list_tasks(TaskFilter(limit=7))) == 7


async def test_a_lost_server_is_store_busy_and_names_the_socket(served: Served) -> None:
    await served.remote.health()
    await served.server.stop()
    with pytest.raises(StoreBusy, match=r"o\.sock"):
        await served.remote.last_seq()
    served.server = SocketServer(served.backend, served.path)
    await served.server.start()
    assert await served.remote.last_seq() == 0


async def test_a_closed_client_says_so(served: Served) -> None:
    await served.remote.close()
    with pytest.raises(StoreBusy, match="closed"):
        await served.remote.last_seq()


async def test_a_stranger_on_the_socket_is_not_understood(tmp_path: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    stranger = await asyncio.start_unix_server(babble, tmp_path / "x.sock")
    far = RemoteBackend(socket_path=tmp_path / "x.sock")
    with pytest.raises(StoreBroken, match="JSON"):
        await far.last_seq()
    await far.close()
    stranger.close()
    await stranger.wait_closed()


async def test_a_broken_connection_is_tried_again_with_the_same_key(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def drop_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(next(line for line in head.split(b"\r\n") if line.lower().startswith(b"idempotency-key")))
        if len(seen) > 1:
            body = b'{"paused": false, "by": null, "reason": null, "at": null, "until": null}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(drop_first, tmp_path / "x.sock")
    far = RemoteBackend(socket_path=tmp_path / "x.sock")
    assert not (await far.resume(actor=ANA)).paused
    assert len(seen) == 2
    assert seen[0] == seen[1]
    await far.close()
    server.close()
    await server.wait_closed()
