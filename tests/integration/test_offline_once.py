"""A change that comes again over the project's socket is made once, whether the server is there or away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import until
from partition import Line, line_to

from backend.errors import BadInput
from backend.interface import Transition
from backend.local import LocalBackend
from backend.model import Actor, NewTask, Priority, Queue, SenderType, Task, TaskPatch
from backend.offline.backend import OfflineBackend
from backend.once import Once
from backend.remote import RemoteBackend
from backend.server.serve import SocketServer
from backend.sync import SyncMode

ANA = Actor(SenderType.HUMAN, "ana")


@dataclass(slots=True)
class Shop:
    """A server, the line to it, a machine, and that machine's own socket."""

    server: LocalBackend
    line: Line
    here: OfflineBackend
    socket: Path
    http: httpx.AsyncClient

    async def note(self, key: str, body: str = "Be quick.") -> httpx.Response:
        """Without an id of its own: nothing but the key tells that it comes again."""
        return await self.ask("POST", "chat/messages", {"task_id": "t", "message": body}, key)

    async def ask(self, method: str, path: str, body: Any, key: str) -> httpx.Response:
        return await self.http.request(method, f"/api/v1/{path}", json=body, headers={"idempotency-key": key})

    async def notes(self) -> list[str]:
        """What was said on the task, as the server has it."""
        return [message.body for message in await self.server.list_messages("t")]

    async def away(self) -> None:
        await self.line.cut()
        await self.here.get_pause()
        assert (await self.here.sync_state()).mode is SyncMode.OFFLINE

    async def together(self) -> None:
        await self.line.mend()

        async def ready() -> bool:
            state = await self.here.sync_now()
            return state.mode is SyncMode.ONLINE and state.pending == 0

        await until(ready, "the machine and its server to be together")

    async def pending(self) -> int:
        return (await self.here.sync_state()).pending


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    server = await LocalBackend.open(tmp_path / "server.db")
    front = SocketServer(server, tmp_path / "s.sock")
    await front.start()
    try:
        async with line_to(front.address, tmp_path / "l.sock") as line:
            remote = RemoteBackend(socket_path=line.socket)
            here = await OfflineBackend.open(remote, tmp_path / "cache.db", server="the server")
            own = SocketServer(here, tmp_path / "o.sock")
            await own.start()
            transport = httpx.AsyncHTTPTransport(uds=str(own.address))
            try:
                async with httpx.AsyncClient(transport=transport, base_url="http://o", timeout=60) as http:
                    one = Shop(server, line, here, own.address, http)
                    await here.register("home", "laptop", pid=1)
                    new = NewTask("t", "T", "implement", "main", "base", "ana")
                    await here.create_task(new, actor=ANA)
                    await one.together()
                    yield one
            finally:
                await own.stop()
                await here.close()
    finally:
        await front.stop()
        await server.close()


@asynccontextmanager
async def another_owner(shop: Shop, copy: Path) -> AsyncIterator[OfflineBackend]:
    """Another process that takes over a copy of the cache, which is asked while the block runs."""
    remote = RemoteBackend(socket_path=shop.line.socket)
    after = await OfflineBackend.open(remote, copy / "cache.db", server="the server")
    own = SocketServer(after, copy.parent / "p.sock")
    await own.start()
    before = shop.http
    try:
        transport = httpx.AsyncHTTPTransport(uds=str(own.address))
        async with httpx.AsyncClient(transport=transport, base_url="http://o", timeout=60) as shop.http:
            yield after
    finally:
        shop.http = before
        await own.stop()
        await after.close()


def copy_of_cache(tmp_path: Path) -> Path:
    """The cache as a process that is killed now leaves it."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tmp_path.glob("cache.db*"):
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def cut_after_a_move(shop: Shop, patch: pytest.MonkeyPatch) -> None:
    """The line is cut once the server has answered a transition."""
    ask = RemoteBackend.transition

    async def transition(self: RemoteBackend, wish: Transition) -> Task:
        done = await ask(self, wish)
        await shop.line.cut()
        return done

    patch.setattr(RemoteBackend, "transition", transition)


def same(one: httpx.Response, other: httpx.Response) -> bool:
    return (one.status_code, one.content) == (other.status_code, other.content)


async def test_it_keeps_answers_as_a_store_does(shop: Shop) -> None:
    assert isinstance(shop.here, Once)
    first, again = await shop.note("k"), await shop.note("k")
    assert first.status_code == 201, first.text
    assert same(first, again)
    assert again.headers["idempotency-replayed"] == "true"
    assert await shop.notes() == ["Be quick."]
    reused = await shop.note("k", "Something else.")
    assert reused.status_code == 422
    assert reused.json()["slug"] == "key-reused"


async def test_what_waits_is_taken_once_and_sent_once(shop: Shop) -> None:
    await shop.away()
    first, again = await shop.note("k"), await shop.note("k")
    assert first.status_code == 201, first.text
    assert same(first, again)
    assert await shop.pending() == 1
    other = await shop.note("k2")
    assert other.status_code == 201
    assert await shop.pending() == 2
    await shop.together()
    assert await shop.notes() == ["Be quick.", "Be quick."]
    assert same(first, await shop.note("k"))
    assert len(await shop.notes()) == 2


async def test_an_answer_that_the_server_gave_holds_while_it_is_away(shop: Shop) -> None:
    first = await shop.ask("PATCH", "tasks/t", {"title": "Better"}, "k")
    assert first.status_code == 200, first.text
    await shop.away()
    assert same(first, await shop.ask("PATCH", "tasks/t", {"title": "Better"}, "k"))
    assert await shop.pending() == 0


async def test_a_refusal_is_kept_and_nothing_of_it_waits(shop: Shop) -> None:
    await shop.away()
    first = await shop.ask("POST", "tasks/t/retry", {"actor": "human:ana"}, "k")
    assert first.status_code == 409, first.text
    assert same(first, await shop.ask("POST", "tasks/t/retry", {"actor": "human:ana"}, "k"))
    assert await shop.pending() == 0


async def test_that_the_server_is_away_is_no_answer_to_keep(shop: Shop) -> None:
    await shop.away()
    first = await shop.ask("POST", "pause", {"actor": "human:ana", "reason": "lunch"}, "k")
    assert first.status_code == 503, first.text
    await shop.together()
    again = await shop.ask("POST", "pause", {"actor": "human:ana", "reason": "lunch"}, "k")
    assert again.status_code == 200, again.text
    assert (await shop.server.get_pause()).paused


@pytest.mark.parametrize("repeats", [1, 3])
async def test_a_line_that_is_cut_before_the_answer_makes_nothing_twice(shop: Shop, repeats: int) -> None:
    """The server has made the change, and neither this machine nor its caller heard of it."""
    shop.line.lose = 10
    answers = await asyncio.gather(*(shop.note("k") for _ in range(repeats)))
    assert [answer.status_code for answer in answers] == [201] * repeats
    edits = [await shop.ask("PATCH", "tasks/t", {"title": "Better"}, "e") for _ in range(repeats)]
    assert all(same(edits[0], edit) for edit in edits)
    shop.line.lose = 0
    await shop.together()
    assert all(same(answers[0], answer) for answer in (*answers[1:], await shop.note("k")))
    assert await shop.notes() == ["Be quick."]
    assert [event.kind for event in await shop.server.events(entity_id="t")] == ["create", "edit"]
    assert await shop.here.list_conflicts() == []


async def test_a_killed_owner_has_kept_the_answer_with_the_change(shop: Shop, tmp_path: Path) -> None:
    """Another process that takes over the cache answers as the one before did."""
    await shop.away()
    first = await shop.note("k")
    async with another_owner(shop, copy_of_cache(tmp_path)) as after:
        assert same(first, await shop.note("k"))
        assert (await after.sync_state()).pending == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "chat/messages", {"task_id": "t", "message": "Be quick."}),
        ("POST", "tasks", {"title": "N", "role": "implement", "base_branch": "main"}),
        ("POST", "queue/enqueue", {"title": "N", "branch_name": "main", "description": "Do it."}),
        ("POST", "drafts", {"title": "N", "body": "Later."}),
        ("POST", "sessions", {"session_id": "s", "orchestrator_id": "home-laptop", "agent_name": "impl"}),
    ],
    ids=["message", "task", "work order", "draft", "session"],
)
async def test_a_change_of_a_killed_owner_is_the_same_in_the_next(
    shop: Shop, tmp_path: Path, method: str, path: str, body: Any
) -> None:
    """It was killed after the server had made the change, and before the answer was kept here."""
    assert (await shop.note("before")).status_code == 201
    copy = copy_of_cache(tmp_path)
    first = await shop.ask(method, path, body, "k")
    assert first.status_code == 201, first.text
    async with another_owner(shop, copy):
        again = await shop.ask(method, path, body, "k")
        assert again.status_code == 201, again.text
        assert again.json()["id"] == first.json()["id"]
        assert "idempotency-replayed" not in again.headers
        other = await shop.ask(method, path, {**body, "title": "O"} if "title" in body else body, "k2")
        assert other.status_code == 201, other.text
    assert len(await shop.notes()) == 1 + 2 * (path == "chat/messages")


async def test_that_the_key_was_used_for_something_else_is_no_answer_to_keep(
    shop: Shop, tmp_path: Path
) -> None:
    """The server says so of what it was asked by a process that kept nothing of it."""
    assert (await shop.note("before")).status_code == 201
    copy = copy_of_cache(tmp_path)
    one, two = ({"actor": "human:ana", "reason": reason} for reason in ("one", "two"))
    first = await shop.ask("POST", "tasks/t/cancel", one, "k")
    assert first.status_code == 200, first.text
    async with another_owner(shop, copy):
        reused = await shop.ask("POST", "tasks/t/cancel", two, "k")
        assert (reused.status_code, reused.json()["slug"]) == (422, "key-reused")
        again = await shop.ask("POST", "tasks/t/cancel", one, "k")
        assert again.status_code == 200, again.text
        assert again.json()["reason"] == "one"


async def test_what_a_request_does_another_way_when_it_is_done_again_is_all_done(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is queued by the server; done again without it, nothing but the priority is left to do."""
    new = NewTask("b", "B", "implement", "main", "base", "ana", backlog=True)
    await shop.here.create_task(new, actor=ANA)
    with monkeypatch.context() as patch:
        cut_after_a_move(shop, patch)
        answer = await shop.ask("POST", "queue/enqueue", {"task_id": "b", "priority": "high"}, "k")
    assert answer.status_code == 200, answer.text
    assert answer.json()["priority"] == "high"
    assert [waiting.operation for waiting in await shop.here.list_pending()] == ["edit"]
    await shop.together()
    task = await shop.server.get_task("b")
    assert (task.queue, task.priority) == (Queue.INCOMING, Priority.P1)
    assert [event.kind for event in await shop.server.events(entity_id="b")] == ["create", "enqueue", "edit"]
    assert await shop.here.list_conflicts() == []


async def test_what_was_given_back_before_the_line_was_cut_is_not_given_back_in_place_of_another(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.here.create_task(NewTask("u", "U", "implement", "main", "base", "ana"), actor=ANA)
    worker = (await shop.ask("POST", "workers", {"name": "w"}, "w")).json()["id"]
    for key in ("one", "two"):
        claimed = await shop.ask("POST", "queue/claim", {"worker_id": worker}, key)
        assert claimed.status_code == 200, claimed.text
    with monkeypatch.context() as patch:
        cut_after_a_move(shop, patch)
        answer = await shop.ask("DELETE", f"workers/{worker}", None, "k")
    assert answer.status_code == 204, answer.text
    assert [waiting.operation for waiting in await shop.here.list_pending()] == ["release"]
    await shop.together()
    tasks = [await shop.server.get_task(task_id) for task_id in ("t", "u")]
    assert [task.queue for task in tasks] == [Queue.INCOMING] * 2
    assert await shop.here.list_conflicts() == []


async def test_a_lost_claim_is_not_answered_with_nothing_for_good(shop: Shop) -> None:
    wish = {"orchestrator_id": "home-laptop", "agent_name": "impl", "run_id": "r1"}
    shop.line.lose = 10
    lost = await shop.ask("POST", "tasks/claim", wish, "k")
    assert "claimed" not in lost.text, lost.text
    shop.line.lose = 0
    await shop.together()
    again = await shop.ask("POST", "tasks/claim", wish, "k")
    assert '"t"' in again.text, again.text
    assert len(await shop.server.list_runs(task_id="t")) == 1


async def test_a_client_of_the_socket_sends_again_by_itself(shop: Shop) -> None:
    """The cut is between the command and the owner of the cache."""
    await shop.away()
    async with line_to(shop.socket, shop.socket.with_name("between.sock")) as between:
        between.double = True
        client = RemoteBackend(socket_path=between.socket)
        try:
            new = NewTask("u", "U", "implement", "main", "base", "ana")
            assert (await client.create_task(new, actor=ANA)).id == "u"
            one, two = await client.keyed("same"), await client.keyed("same")
            await one.edit_task("u", TaskPatch(title="one"), actor=ANA)
            with pytest.raises(BadInput, match="key"):
                await two.edit_task("u", TaskPatch(title="two"), actor=ANA)
        finally:
            await client.close()
    assert await shop.pending() == 1  # the edit became part of the creation
