"""The REST API on a UNIX socket: what it answers, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from serving import ANA, Served, new_task, serve, wish

from backend.errors import (
    UnknownOrchestrator,
)
from backend.model import (
    Priority,
    TaskFilter,
)
from backend.server.guard import BODY_LIMIT


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path) as one:
        yield one


async def test_health_names_the_process(served: Served) -> None:
    answer = await served.http.get("/api/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "healthy"
    assert answer.json()["pid"] == os.getpid()


async def test_problems_say_what_and_what_next(served: Served) -> None:
    answer = await served.http.get("/api/v1/tasks/nope")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["slug"] == "not-found"
    assert body["status"] == 404
    assert "nope" in body["detail"]
    assert "nope" in body["error"]
    assert body["next_step"]
    assert body["details"] == []
    assert body["title"]
    assert body["type"].endswith("not-found")


TASK_BODY = {"id": "t1", "title": "A", "role": "implement", "base_branch": "main", "base_sha": "1" * 40}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "named"),
    [
        ("POST", "/api/v1/tasks", {**TASK_BODY, "titel": "B"}, 422, "titel: did you mean title?"),
        ("POST", "/api/v1/tasks", {"id": "t1"}, 422, "title"),
        ("POST", "/api/v1/tasks", {**TASK_BODY, "priority": "P9"}, 422, "priority"),
        ("POST", "/api/v1/tasks", {**TASK_BODY, "id": "../t"}, 422, "../t"),
        ("POST", "/api/v1/tasks", {**TASK_BODY, "actor": "nobody"}, 422, "nobody"),
        ("POST", "/api/v1/tasks?dry=1", TASK_BODY, 422, "dry"),
        ("POST", "/api/v1/tasks", [TASK_BODY], 422, "object"),
        ("POST", "/api/v1/tasks/t1/explode", {}, 404, "explode"),
        ("POST", "/api/v1/tasks/t1/expire", {}, 422, "expire"),
        ("POST", "/api/v1/tasks/t1/submit", {"task_id": "t2"}, 422, "task_id"),
        ("PATCH", "/api/v1/tasks/t1", {"queue": "done"}, 422, "queue"),
        ("PATCH", "/api/v1/tasks/t1", {"attempt_count": 0}, 422, "attempt_count"),
        ("PATCH", "/api/v1/tasks/t1", {"claimed_by": "me"}, 422, "claimed_by"),
        ("PATCH", "/api/v1/tasks/t1", {"lease_token": 1}, 422, "lease_token"),
        ("PUT", "/api/v1/orchestrators/o/agents", {"agents": [{"name": 1}]}, 422, "name"),
        ("POST", "/api/v1/orchestrators/o/renew", {"leases": [], "lease_seconds": 0}, 422, "lease_seconds"),
        ("POST", "/api/v1/orchestrators/o/renew", {"leases": [{}], "lease_seconds": 9}, 422, "task_id"),
        ("POST", "/api/v1/orchestrators/o/heartbeat", {"leases": [{}]}, 422, "lease_seconds"),
        ("POST", "/api/v1/pause", {"until": "tomorrow"}, 422, "until"),
    ],
)
async def test_what_does_not_fit_is_refused_and_named(
    served: Served, method: str, path: str, body: object, status: int, named: str
) -> None:
    answer = await served.http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["detail"] + " ".join(answer.json()["details"])
    assert await served.backend.list_tasks(TaskFilter()) == []


@pytest.mark.parametrize(
    "query",
    [
        "queu=incoming",
        "queue=lost",
        "limit=-1",
        "limit=many",
        "limit=1&limit=2",
        "offset=99999999999999999999",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/tasks"])
async def test_query_parameters_are_checked(served: Served, path: str, query: str) -> None:
    answer = await served.http.get(f"{path}?{query}")
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/api/health?x=1", "/api/v1/tasks/t1?x=1", "/api/v1/counts?x=1", "/api/v1/events?after=-1",
        "/api/v1/events?wait=26", "/api/v1/events?x=1", "/api/v1/cost", "/api/v1/cost?since=now",
        "/api/v1/messages", "/api/v1/messages?state=closed", "/api/v1/messages?state=open&run_id=r",
        "/api/v1/runs?live=perhaps", "/api/v1/agents?x=1", "/api/v1/pause?x=1",
    ],
)  # fmt: skip
async def test_no_address_takes_what_it_does_not_know(served: Served, path: str) -> None:
    answer = await served.http.get(path)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"NaN", b'{"id": 9223372036854775808}', b"[" * 3000])
async def test_bad_json_is_400(served: Served, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await served.http.post("/api/v1/tasks", content=raw, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["slug"] == "bad-json"


async def test_a_body_that_is_not_announced_as_json_is_415(served: Served) -> None:
    """T12: what a web page may send without being asked is no request."""
    headers = {"Content-Type": "text/plain"}
    answer = await served.http.post("/api/v1/tasks", content=json.dumps(TASK_BODY), headers=headers)
    assert answer.status_code == 415


async def test_unknown_addresses_and_methods_are_problems(served: Served) -> None:
    lost = await served.http.get("/api/v2/tasks")
    wrong = await served.http.put("/api/v1/tasks", json={})
    assert (lost.status_code, lost.json()["slug"]) == (404, "no-such-address")
    assert (wrong.status_code, wrong.json()["slug"]) == (405, "wrong-method")
    assert (await served.http.get("/docs")).status_code == 404
    assert (await served.http.get("/openapi.json")).status_code == 404


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_beyond_the_limit_are_413(served: Served, chunked: bool) -> None:
    body = json.dumps({**TASK_BODY, "body": "x" * BODY_LIMIT}).encode()

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    headers = {"Content-Type": "application/json"}
    answer = await served.http.post("/api/v1/tasks", content=parts() if chunked else body, headers=headers)
    assert answer.status_code == 413
    assert (await served.http.get("/api/health")).status_code == 200


async def test_a_duplicate_id_is_409(served: Served) -> None:
    first = await served.http.post("/api/v1/tasks", json=TASK_BODY)
    again = await served.http.post("/api/v1/tasks", json=TASK_BODY)
    other = await served.http.post("/api/v1/tasks", json={**TASK_BODY, "title": "B"})
    assert first.status_code == 201
    assert again.json()["version"] == 1
    assert (other.status_code, other.json()["slug"]) == (409, "duplicate")


async def test_nothing_to_claim_is_204_without_a_body(served: Served) -> None:
    registered = await served.http.post(
        "/api/v1/orchestrators/register", json={"cluster": "c", "machine_id": "m"}
    )
    body = {
        "orchestrator_id": registered.json()["id"],
        "agent_name": "a",
        "adapter": "demo",
        "run_id": "r1",
        "lease_seconds": 60,
    }
    nothing = await served.http.post("/api/v1/tasks/claim", json=body)
    assert (nothing.status_code, nothing.content) == (204, b"")
    await served.http.post("/api/v1/tasks", json=TASK_BODY)
    got = await served.http.post("/api/v1/tasks/claim", json=body)
    assert got.status_code == 200
    assert (got.json()["id"], got.json()["queue"], got.json()["run"]["id"]) == ("t1", "claimed", "r1")


async def test_an_unknown_claimant_is_refused(served: Served) -> None:
    """L-4A: a wrong name does not look like an empty queue."""
    with pytest.raises(UnknownOrchestrator, match="nobody"):
        await served.remote.claim(wish("nobody", "r1"))


async def test_registering_is_201_then_200(served: Served) -> None:
    body = {"cluster": "c", "machine_id": "m", "pid": 7}
    first = await served.http.post("/api/v1/orchestrators/register", json=body)
    again = await served.http.post("/api/v1/orchestrators/register", json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    one = await served.http.get(f"/api/v1/orchestrators/{first.json()['id']}")
    assert one.json()["machine_id"] == "m"
    assert (await served.http.get("/api/v1/orchestrators/none")).status_code == 404


async def test_if_match_guards_edits_and_transitions(served: Served) -> None:
    created = await served.http.post("/api/v1/tasks", json=TASK_BODY)
    etag = created.headers["etag"]
    edited = await served.http.patch("/api/v1/tasks/t1", json={"title": "B"}, headers={"If-Match": etag})
    stale = await served.http.patch("/api/v1/tasks/t1", json={"title": "C"}, headers={"If-Match": etag})
    late = await served.http.post("/api/v1/tasks/t1/cancel", json={}, headers={"If-Match": etag})
    odd = await served.http.patch("/api/v1/tasks/t1", json={"title": "C"}, headers={"If-Match": '"x"'})
    assert edited.json()["title"] == "B"
    assert (stale.status_code, stale.json()["slug"]) == (412, "version-conflict")
    assert late.status_code == 412
    assert odd.status_code == 422


async def test_pages_have_a_total(served: Served) -> None:
    """The first page never passes for everything."""
    for number in range(7):
        priority = Priority.P0 if number % 2 else Priority.P1
        await served.backend.create_task(new_task(f"t{number}", priority=priority), actor=ANA)
    for query, ids, total in (
        ("limit=3", ["t1", "t3", "t5"], 7),
        ("limit=3&offset=3", ["t0", "t2", "t4"], 7),
        ("limit=0", [], 7),
        ("queue=incoming&limit=1", ["t1"], 7),
        ("queue=done", [], 0),
        ("priority=P0&limit=2&offset=1", ["t3", "t5"], 3),
        ("type=bugfix", [], 0),
        ("type=feature,bugfix&priority=P0", ["t1", "t3", "t5"], 3),
        ("claimed_by=ana", [], 0),
        ("role=implement&role=review&limit=1", ["t1"], 7),
    ):
        page = (await served.http.get(f"/api/v1/tasks?{query}")).json()
        assert ([task["id"] for task in page["tasks"]], page["total"]) == (ids, total), query


async def test_requeue_is_release(served: Served) -> None:
    await served.remote.create_task(new_task("t1"), actor=ANA)
    machine = await served.remote.register("home", "box", pid=1)
    claim = await served.remote.claim(wish(machine.id, "r1"))
    assert claim is not None
    body = {"actor": "worker:impl-1", "lease_token": claim.task.fence, "run_id": "r1", "systemic": True}
    answer = await served.http.post("/api/v1/tasks/t1/requeue", json=body)
    assert (answer.status_code, answer.json()["queue"]) == (200, "incoming"), answer.text


async def test_refusals_name_each_reason(served: Served) -> None:
    await served.backend.create_task(new_task("t1"), actor=ANA)
    answer = await served.http.post("/api/v1/tasks/t1/accept", json={})
    assert answer.status_code == 409
    assert answer.json()["slug"] == "wrong-state"
    assert answer.json()["details"]


# The same change again


async def test_a_change_repeated_under_its_key_is_made_once(served: Served) -> None:
    body = {"actor": "human:ana", "reason": "lunch"}
    headers = {"Idempotency-Key": "one"}
    first = await served.http.post("/api/v1/pause", json=body, headers=headers)
    seq = await served.backend.last_seq()
    again = await served.http.post("/api/v1/pause", json=body, headers=headers)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert await served.backend.last_seq() == seq


async def test_a_key_for_another_change_is_422(served: Served) -> None:
    headers = {"Idempotency-Key": "one"}
    await served.http.post("/api/v1/pause", json={}, headers=headers)
    other = await served.http.post("/api/v1/resume", json={}, headers=headers)
    assert (other.status_code, other.json()["slug"]) == (422, "key-reused")


async def test_a_change_repeated_while_under_way_is_made_once(served: Served) -> None:
    headers = {"Idempotency-Key": "one"}
    calls = [served.http.post("/api/v1/tasks", json=TASK_BODY, headers=headers) for _ in range(5)]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {201}
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 4


async def test_an_unforeseen_error_is_answered_and_logged(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def explode(**given: object) -> None:
        raise RuntimeError("secret of the machine")

    broken: Callable[..., Awaitable[None]] = explode
    monkeypatch.setattr(served.backend, "get_pause", broken)
    answer = await served.http.get("/api/v1/pause")
    assert (answer.status_code, answer.json()["slug"]) == (500, "unexpected")
    assert "secret" not in answer.text
    assert "secret of the machine" in caplog.text
    assert (await served.http.get("/api/health")).status_code == 200


async def test_the_system_is_the_default_actor(served: Served) -> None:
    await served.http.post("/api/v1/tasks", json=TASK_BODY)
    events = await served.backend.events()
    assert [event.actor for event in events] == ["system:api"]
