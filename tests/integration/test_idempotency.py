"""A change asked for twice under one key is made once, whichever server of a store is asked, and when."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import postgres
import pytest

from backend.clock import ManualClock
from backend.errors import StoreBusy
from backend.local import LocalBackend
from backend.model import Actor, NewTask, SenderType
from backend.once import KEPT_MS
from backend.server.app import create_app
from backend.server.operations import OPERATIONS
from backend.service.operations import Operations
from backend.store.audit import audit
from backend.store.postgres_audit import audit as audit_postgres
from backend.store.postgres_session import connect
from backend.store.sql_operations import SqlOperations

ANA = Actor(SenderType.HUMAN, "ana")
CLAIM = {"orchestrator_id": "c-m", "agent_name": "a"}
"""A claim that names no run: nothing but the key tells that it comes again."""


@dataclass(slots=True)
class Fleet:
    """Two servers of one store. SQLite has one owner: its second server is the first, started again."""

    near: httpx.AsyncClient
    far: httpx.AsyncClient
    backend: LocalBackend
    clock: ManualClock
    place: Path | str

    def dump(self) -> list[tuple[Any, ...]]:
        """The answers that are kept."""
        statement = "SELECT caller, key, status, headers, body FROM operations ORDER BY seq"
        if isinstance(self.place, str):
            with connect(self.place) as connection:
                return [tuple(row) for row in connection.execute(statement)]
        with closing(sqlite3.connect(self.place)) as file:
            return file.execute(statement).fetchall()

    def audit(self) -> list[str]:
        if isinstance(self.place, str):
            with connect(self.place) as connection:
                return audit_postgres(connection)
        with closing(sqlite3.connect(self.place)) as file:
            return audit(file)


@pytest.fixture(params=["sqlite", "postgresql"])
async def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fleet]:
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            place: Path | str = tmp_path / "octopoid.db"
            backends = [await LocalBackend.open(tmp_path / "octopoid.db", clock)] * 2
        else:
            place = stack.enter_context(postgres.server().used())
            backends = [await LocalBackend.connect(place, clock) for _ in range(2)]
        for backend in backends:
            stack.push_async_callback(backend.close)
        clients = []
        for backend in backends:
            transport = httpx.ASGITransport(create_app(backend))
            client = httpx.AsyncClient(transport=transport, base_url="http://octopoid", timeout=60)
            clients.append(await stack.enter_async_context(client))
        await backends[0].register("c", "m", pid=None)
        made = Fleet(*clients, backends[0], clock, place)
        yield made
        assert made.audit() == []


async def create(fleet: Fleet, *names: str) -> None:
    for name in names:
        await fleet.backend.create_task(NewTask(name, name, "implement", "main", "base", "ana"), actor=ANA)


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


async def test_another_server_gives_the_answer_of_the_first(fleet: Fleet) -> None:
    """F7: the answer to a claim was lost, and the server with it."""
    await create(fleet, "t1", "t2")
    first = await fleet.near.post("/api/v1/tasks/claim", json=CLAIM, headers=key("one"))
    seq = await fleet.backend.last_seq()
    again = await fleet.far.post("/api/v1/tasks/claim", json=CLAIM, headers=key("one"))
    assert (again.status_code, again.content) == (first.status_code, first.content) == (200, first.content)
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await fleet.backend.last_seq() == seq
    other = await fleet.far.post("/api/v1/tasks/claim", json=CLAIM, headers=key("two"))
    assert other.json()["id"] == "t2"


async def test_nothing_to_claim_is_an_answer_too(fleet: Fleet) -> None:
    none = await fleet.near.post("/api/v1/tasks/claim", json=CLAIM, headers=key("one"))
    await create(fleet, "t")
    again = await fleet.far.post("/api/v1/tasks/claim", json=CLAIM, headers=key("one"))
    assert (none.status_code, again.status_code, again.content) == (204, 204, b"")


async def test_the_same_asked_of_both_at_once_is_done_once(fleet: Fleet) -> None:
    """F8: each replica may be asked again before the other has answered."""
    await create(fleet, *(f"t{number}" for number in range(12)))
    for number in range(6):
        calls = [
            server.post("/api/v1/tasks/claim", json=CLAIM, headers=key(f"k{number}"))
            for server in (fleet.near, fleet.far) * 3
        ]
        answers = await asyncio.gather(*calls)
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert sum("idempotency-replayed" in answer.headers for answer in answers) == 5
    claimed = [event.entity_id for event in await fleet.backend.events() if event.kind == "claim"]
    assert len(claimed) == len(set(claimed)) == 6


async def test_a_submit_asked_of_both_at_once_is_no_refusal(fleet: Fleet) -> None:
    """The second one waits for the task, finds it handed in, and says what the first one said."""
    for number in range(4):
        await create(fleet, f"t{number}")
        await fleet.near.post("/api/v1/tasks/claim", json=CLAIM, headers=key(f"claim {number}"))
        calls = [
            server.post(
                f"/api/v1/tasks/t{number}/submit", json={"commits_count": 1}, headers=key(f"{number}")
            )
            for server in (fleet.near, fleet.far) * 3
        ]
        answers = await asyncio.gather(*calls)
        assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
        assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [("pause", {"reason": "lunch"}), ("pause?x=1", {}), ("resume", {}), ("tasks", {"role": "implement"})],
)
async def test_a_key_for_another_change_is_422(fleet: Fleet, path: str, body: dict[str, str]) -> None:
    """F8: other payload, other query, other address."""
    await fleet.near.post("/api/v1/pause", json={}, headers=key("one"))
    seq = await fleet.backend.last_seq()
    other = await fleet.far.post(f"/api/v1/{path}", json=body, headers=key("one"))
    assert (other.status_code, other.json()["slug"]) == (422, "key-reused")
    assert await fleet.backend.last_seq() == seq


@pytest.mark.parametrize("name", ["", "k" * 129])
async def test_a_key_that_is_none_is_422(fleet: Fleet, name: str) -> None:
    answer = await fleet.near.post("/api/v1/pause", json={}, headers=key(name))
    assert (answer.status_code, answer.json()["slug"]) == (422, "bad-input")
    assert not (await fleet.backend.get_pause()).paused


async def test_a_refusal_stays_the_answer_and_leaves_nothing_behind(fleet: Fleet) -> None:
    """A submit writes what it knows of the run before the task refuses it: that is taken back as well."""
    await create(fleet, "t")
    claim = (await fleet.near.post("/api/v1/tasks/claim", json=CLAIM)).json()
    body = {"turns_used": 7, "version": 99}
    refused = await fleet.near.post("/api/v1/tasks/t/submit", json=body, headers=key("one"))
    assert (refused.status_code, refused.json()["slug"]) == (412, "version-conflict")
    assert (await fleet.backend.get_run(claim["run_id"])).turns is None
    again = await fleet.far.post("/api/v1/tasks/t/submit", json=body, headers=key("one"))
    assert (again.status_code, again.content) == (412, refused.content)
    assert again.headers["idempotency-replayed"] == "true"


async def test_what_ended_in_a_server_error_is_tried_anew(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, tries = Operations.once, 0

    def busy_at_first(*given: Any) -> Any:
        nonlocal tries
        tries += 1
        result = once(*given)
        if tries == 1:
            raise StoreBusy("in use", "wait")
        return result

    monkeypatch.setattr(Operations, "once", busy_at_first)
    body = {"id": "t", "role": "implement"}
    monkeypatch.setattr("backend.pool.PATIENCE_S", 0.0)
    failed = await fleet.near.post("/api/v1/tasks", json=body, headers=key("one"))
    assert (failed.status_code, failed.json()["slug"]) == (503, "store-busy")
    assert fleet.dump() == []
    assert (await fleet.far.post("/api/v1/tasks", json=body, headers=key("one"))).status_code == 201


async def test_no_change_is_kept_without_its_answer(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> None:
        raise RuntimeError("no room for the answer")

    seq = await fleet.backend.last_seq()
    body = {"id": "t", "role": "implement"}
    with monkeypatch.context() as patch:
        patch.setattr(SqlOperations, "insert", broken)
        failed = await fleet.near.post("/api/v1/tasks", json=body, headers=key("one"))
    assert (failed.status_code, failed.json()["slug"]) == (500, "unexpected")
    assert await fleet.backend.last_seq() == seq
    assert (await fleet.near.post("/api/v1/tasks", json=body, headers=key("one"))).status_code == 201
    assert [row[:3] for row in fleet.dump()] == [("local", "one", 201)]


async def test_a_secret_is_shown_once_and_not_kept(fleet: Fleet) -> None:
    body = {"label": "vm", "scope": "work"}
    first = await fleet.near.post("/api/v1/keys", json=body, headers=key("one"))
    token = first.json()["token"]
    assert token.rpartition("_")[2] not in repr(fleet.dump())
    again = await fleet.far.post("/api/v1/keys", json=body, headers=key("one"))
    assert (again.status_code, again.json()["slug"]) == (409, "answered-once")
    assert len(await fleet.backend.list_keys()) == 1


async def test_answers_are_forgotten_after_a_week_and_not_before(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.service.operations.BATCH", 3)
    for number in range(5):
        await fleet.near.post("/api/v1/pause", json={}, headers=key(f"{number}"))
    fleet.clock.at_ms += KEPT_MS
    await fleet.near.post("/api/v1/pause", json={}, headers=key("late"))
    await fleet.backend.expire_leases()
    assert len(fleet.dump()) == 6
    fleet.clock.at_ms += 1
    for left in (3, 1, 1):
        await fleet.backend.expire_leases()
        assert len(fleet.dump()) == left
    assert [row[1] for row in fleet.dump()] == ["late"]


async def test_a_long_answer_is_kept_whole(fleet: Fleet) -> None:
    """More rows than are written down in the loop, and text of every kind."""
    await create(fleet, *(f"t{number}" for number in range(210)))
    for _ in range(210):
        await fleet.near.post("/api/v1/tasks/claim", json=CLAIM)
    fleet.clock.advance(301)
    first = await fleet.near.post("/api/v1/leases/expire", json={}, headers=key("one"))
    again = await fleet.far.post("/api/v1/leases/expire", json={}, headers=key("one"))
    assert len(first.json()["tasks"]) == 210
    assert again.content == first.content
    odd = {"id": "odd", "role": "implement", "title": "\x00 \u2028 \U0001f419 'quoted' \\"}
    first = await fleet.near.post("/api/v1/tasks", json=odd, headers=key("two"))
    assert first.status_code == 201
    assert (await fleet.far.post("/api/v1/tasks", json=odd, headers=key("two"))).content == first.content


@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if one.method != "GET" and not one.reads],
    ids=lambda one: one.name,
)
async def test_every_change_can_be_answered_in_its_transaction(fleet: Fleet, operation: Any) -> None:
    """Inside of a change nothing but the store may be waited for: what does is a server error here."""
    await create(fleet, "t")
    path = operation.path.replace("{task_id}", "t").replace("{orchestrator_id}", "c-m")
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", "nothing")
    body = None if operation.method == "DELETE" else {}
    answer = await fleet.near.request(operation.method, path, json=body, headers=key("one"))
    assert answer.status_code < 500, answer.text
    again = await fleet.far.request(operation.method, path, json=body, headers=key("one"))
    assert (again.status_code, again.content) == (answer.status_code, answer.content)
    assert again.headers["idempotency-replayed"] == "true"
