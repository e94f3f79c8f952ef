"""X7: the life of a key, what each scope may do, and for which machine."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tcp_serving import ANA, Tcp, bearer, serve_tcp

from backend.clock import from_ms
from backend.errors import BadInput, NotFound
from backend.keys import KeyScope, NewKey
from backend.server.operations import OPERATIONS, Operation


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Tcp]:
    async with serve_tcp(tmp_path) as one:
        yield one


def address(operation: Operation) -> str:
    path = operation.path
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", "nothing")
    return path


@pytest.mark.parametrize("scope", [None, *KeyScope])
async def test_every_address_asks_for_its_scope(site: Tcp, scope: KeyScope | None) -> None:
    """X7: role by route, from the table itself."""
    headers = {} if scope is None else await site.headers(scope)
    for operation in OPERATIONS:
        answer = await site.http.request(operation.method, address(operation), headers=headers)
        said = f"{operation.method} {operation.path}: {answer.status_code} {answer.text[:200]}"
        if operation.needs is None:
            assert answer.status_code == 200, said
        elif scope is None:
            # After twenty wrong tries an address is made to wait; either way nothing is answered.
            assert answer.status_code in (401, 429), said
        elif scope.covers(operation.needs):
            assert answer.status_code not in (401, 403, 405, 429), said
            assert answer.status_code < 500, said
        else:
            assert (answer.status_code, answer.json()["slug"]) == (403, "forbidden"), said


async def test_a_key_is_shown_once_and_kept_as_a_digest(site: Tcp, tmp_path: Path) -> None:
    created = await site.key(KeyScope.WORK)
    prefix, key_id, secret = created.token.split("_")
    assert (prefix, key_id, len(secret)) == ("oct", created.key.id, 64)
    assert secret not in repr(await site.backend.list_keys())
    for event in await site.backend.events():
        assert secret not in repr(event)
    with closing(sqlite3.connect(tmp_path / "octopoid.db")) as connection:
        assert not any(secret in line for line in connection.iterdump())


async def test_a_revoked_key_is_refused_at_once(site: Tcp) -> None:
    created = await site.key(KeyScope.READ)
    headers = bearer(created.token)
    assert (await site.http.get("/api/v1/tasks", headers=headers)).status_code == 200
    await site.backend.revoke_key(created.key.id, actor=ANA)
    assert (await site.http.get("/api/v1/tasks", headers=headers)).status_code == 401
    again = await site.backend.revoke_key(created.key.id, actor=ANA)
    assert again.revoked_at is not None
    with pytest.raises(NotFound):
        await site.backend.revoke_key("nothing", actor=ANA)


async def test_a_key_expires(site: Tcp) -> None:
    at = from_ms(site.clock.now_ms()) + timedelta(minutes=5)
    headers = bearer((await site.key(KeyScope.READ, expires_at=at)).token)
    assert (await site.http.get("/api/v1/tasks", headers=headers)).status_code == 200
    site.clock.advance(300)
    assert (await site.http.get("/api/v1/tasks", headers=headers)).status_code == 401
    with pytest.raises(BadInput, match="over already"):
        await site.key(KeyScope.READ, expires_at=at)


async def test_use_is_noted_once_a_minute(site: Tcp) -> None:
    created = await site.key(KeyScope.READ)
    used = []
    for _ in range(3):
        await site.http.get("/api/v1/tasks", headers=bearer(created.token))
        (key,) = await site.backend.list_keys()
        used.append(key.last_used_at)
        site.clock.advance(31)
    assert used[0] is not None
    assert used[0] == used[1] != used[2]


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token[:-1],
        lambda token: token + "0",
        lambda token: token.replace("oct_", "OCT_"),
        lambda token: "oct_" + "0" * 14 + "_" + token.rsplit("_", 1)[1],
        lambda token: token.rsplit("_", 1)[0] + "_",
        lambda token: token.rsplit("_", 1)[1],
        lambda token: token + "_x",
        lambda token: "x" * 10_000,
    ],
)
async def test_what_only_looks_like_a_key_is_none(site: Tcp, change: Any) -> None:
    token = (await site.key(KeyScope.ADMIN)).token
    answer = await site.http.get("/api/v1/tasks", headers={"Authorization": f"Bearer {change(token)}"})
    assert answer.status_code == 401
    for kind in ("Basic", "Token"):
        answer = await site.http.get("/api/v1/tasks", headers={"Authorization": f"{kind} {token}"})
        assert answer.status_code == 401


async def test_keys_are_made_listed_and_revoked_over_the_network(site: Tcp) -> None:
    admin = await site.headers(KeyScope.ADMIN)
    body = {"label": "vm", "scope": "work", "orchestrator_id": "c-a"}
    made = await site.http.post("/api/v1/keys", json=body, headers=admin)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    token = made.json()["token"]
    listed = await site.http.get("/api/v1/keys", headers=admin)
    assert [key["label"] for key in listed.json()["keys"]] == ["test", "vm"]
    assert token not in listed.text
    assert (await site.http.get("/api/v1/tasks", headers=bearer(token))).status_code == 200
    await site.http.post(f"/api/v1/keys/{made.json()['id']}/revoke", json={}, headers=admin)
    assert (await site.http.get("/api/v1/tasks", headers=bearer(token))).status_code == 401


@pytest.mark.parametrize(
    "body",
    [{"label": "", "scope": "work"}, {"label": "x", "scope": "root"}, {"label": "x"},
     {"label": "x" * 101, "scope": "read"}, {"label": "x", "scope": "read", "orchestrator_id": "../x"}],
)  # fmt: skip
async def test_keys_that_cannot_be_are_refused(site: Tcp, body: dict[str, str]) -> None:
    admin = await site.headers(KeyScope.ADMIN)
    assert (await site.http.post("/api/v1/keys", json=body, headers=admin)).status_code == 422


# A key bound to one machine

CLAIM = {"agent_name": "x", "adapter": "demo", "lease_seconds": 300}


async def fleet(site: Tcp) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
    """Two machines with keys of their own; the first has claimed a task."""
    await site.backend.register("c", "a", pid=None)
    await site.backend.register("c", "b", pid=None)
    a, b = await site.headers(KeyScope.WORK, "c-a"), await site.headers(KeyScope.WORK, "c-b")
    await site.http.post("/api/v1/tasks", json={"id": "t", "role": "implement"}, headers=a)
    body = {**CLAIM, "orchestrator_id": "c-a", "run_id": "r1"}
    claim = await site.http.post("/api/v1/tasks/claim", json=body, headers=a)
    assert claim.status_code == 200, claim.text
    return a, b, claim.json()


FOREIGN: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "orchestrators/register", {"cluster": "c", "machine_id": "a"}),
    ("POST", "orchestrators/c-a/heartbeat", {}),
    ("POST", "orchestrators/c-a/renew", {"leases": [], "lease_seconds": 60}),
    ("PUT", "orchestrators/c-a/agents", {"agents": []}),
    ("POST", "tasks/claim", {**CLAIM, "orchestrator_id": "c-a", "run_id": "r2"}),
    ("POST", "tasks/t/claim", {**CLAIM, "role": "review", "orchestrator_id": "c-a", "run_id": "r2"}),
    ("POST", "tasks/t/renew", {"lease_token": 1}),
    ("POST", "tasks/t/submit", {"actor": "worker:x", "lease_token": 1, "run_id": "r1", "head_sha": "a"}),
    ("POST", "tasks/t/submit", {"commits_count": 1}),
    ("POST", "tasks/t/release", {"actor": "worker:x", "lease_token": 1, "systemic": True}),
    ("POST", "tasks/t/requeue", {}),
    ("POST", "tasks/t/fail", {"reason": "no"}),
    ("POST", "tasks/t/escalate", {"actor": "human:x", "reason": "no"}),
    ("POST", "tasks/t/cancel", {}),
    ("PATCH", "tasks/t", {"priority": "P0"}),
    ("DELETE", "tasks/t", {}),
    ("PATCH", "runs/r1", {"turns": 1}),
    ("POST", "runs/r1/end", {"outcome": "stopped", "reason": "no"}),
    ("POST", "messages", {"id": "m2", "conversation_id": "t", "sender_type": "worker", "sender_id": "x",
                          "message_type": "status", "kind": "note", "body": "hi", "run_id": "r1"}),
    ("POST", "messages/m1/withdraw", {"reason": "no"}),
    ("POST", "messages/m1/delivered", {}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), FOREIGN)
async def test_a_bound_key_acts_for_its_machine_alone(
    site: Tcp, method: str, path: str, body: dict[str, Any]
) -> None:
    """T14: machine B cannot act for machine A, whatever fence it has read."""
    a, b, _ = await fleet(site)
    question = {
        "id": "m1", "conversation_id": "t", "sender_type": "worker", "sender_id": "x", "run_id": "r1",
        "message_type": "request", "kind": "question", "body": "?",
    }  # fmt: skip
    assert (await site.http.post("/api/v1/messages", json=question, headers=a)).status_code == 201
    before = await site.backend.last_seq()
    sent = None if method == "DELETE" else body
    foreign = await site.http.request(method, f"/api/v1/{path}", json=sent, headers=b)
    assert (foreign.status_code, foreign.json()["slug"]) == (403, "forbidden"), foreign.text
    assert await site.backend.last_seq() == before
    own = await site.http.request(method, f"/api/v1/{path}", json=sent, headers=a)
    assert own.status_code != 403, own.text


async def test_a_bound_key_may_create_and_answer(site: Tcp) -> None:
    _, b, _ = await fleet(site)
    new = await site.http.post("/api/v1/tasks", json={"id": "t2", "role": "docs"}, headers=b)
    assert new.status_code == 201
    assert new.json()["created_by"].startswith("system:key-")


async def test_idempotency_keys_are_each_callers_own(site: Tcp) -> None:
    """One caller's answers are not replayed to another."""
    admin, other = await site.headers(KeyScope.ADMIN), await site.headers(KeyScope.ADMIN)
    body = {"label": "vm", "scope": "work"}
    first = await site.http.post("/api/v1/keys", json=body, headers={**admin, "Idempotency-Key": "k"})
    again = await site.http.post("/api/v1/keys", json=body, headers={**other, "Idempotency-Key": "k"})
    assert first.json()["token"] != again.json()["token"]


async def test_a_bare_backend_has_keys_too(site: Tcp) -> None:
    key = await site.backend.create_key(NewKey("ana's laptop", KeyScope.READ), actor=ANA)
    assert (await site.backend.verify_key(key.token)) is not None
    assert [event.kind for event in await site.backend.events(entity_id=key.key.id)] == ["create"]
