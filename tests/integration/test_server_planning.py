"""Projects, drafts, scopes, why and poll over HTTP: who may, what is refused, and what is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tcp_serving import Tcp, serve_tcp

from backend.keys import KeyScope

JSON = {"Content-Type": "application/json"}
NOUNS = ("projects", "drafts")
MACHINE = {"cluster": "c", "machine_id": "a"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Tcp]:
    async with serve_tcp(tmp_path, keys=False) as one:
        yield one


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Tcp]:
    async with serve_tcp(tmp_path) as one:
        yield one


async def send(site: Tcp, method: str, path: str, status: int, **given: Any) -> Any:
    answer = await site.http.request(method, f"/api/v1/{path}", **given)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


@pytest.mark.parametrize("noun", NOUNS)
async def test_create_read_edit_list_delete(site: Tcp, noun: str) -> None:
    given = {"id": "x1", "title": "One", "metadata": {"a": 1}, "scope": "s"}
    made = await site.http.post(f"/api/v1/{noun}", json=given)
    assert (made.status_code, made.headers["etag"]) == (201, '"v1"')
    assert {name: made.json()[name] for name in given} == given
    read = await site.http.get(f"/api/v1/{noun}/x1")
    assert (read.json(), read.headers["etag"]) == (made.json(), '"v1"')
    edit = {"title": "Uno", "actor": "human:ana"}
    edited = await site.http.patch(f"/api/v1/{noun}/x1", json=edit, headers={"If-Match": '"v1"'})
    assert (edited.json()["title"], edited.headers["etag"]) == ("Uno", '"v2"')
    listed = await send(site, "GET", noun, 200)
    assert listed == {noun: [edited.json()], "total": 1, "limit": 50, "offset": 0}
    await send(site, "DELETE", f"{noun}/x1?actor=human:ana", 204)
    await send(site, "GET", f"{noun}/x1", 404)
    events = (await send(site, "GET", "events?entity_id=x1", 200))["events"]
    assert [(one["kind"], one["actor"]) for one in events] == [
        ("create", "system:api"), ("edit", "human:ana"), ("delete", "human:ana"),
    ]  # fmt: skip


@pytest.mark.parametrize("noun", NOUNS)
async def test_what_is_wrong_is_said(site: Tcp, noun: str) -> None:
    bad = await site.http.post(f"/api/v1/{noun}", content=b"{", headers=JSON)
    assert (bad.status_code, bad.json()["slug"]) == (400, "bad-json")
    await send(site, "POST", noun, 422, json={"title": "One", "colour": "red"})
    await send(site, "POST", noun, 422, json={"id": "x1"})
    await send(site, "POST", noun, 422, json={"id": "../x", "title": "One"})
    await send(site, "POST", noun, 422, json=[])
    await send(site, "POST", noun, 415, content=b"{}", headers={"Content-Type": "text/plain"})
    await send(site, "GET", f"{noun}?colour=red", 422)
    await send(site, "GET", f"{noun}?status=lost", 422)
    for method in ("GET", "DELETE"):
        await send(site, method, f"{noun}/none", 404)
    await send(site, "PATCH", f"{noun}/none", 404, json={"title": "x"})
    await send(site, "PUT", f"{noun}/none", 405, json={})
    await send(site, "POST", noun, 201, json={"id": "x1", "title": "One"})
    await send(site, "POST", noun, 201, json={"id": "x1", "title": "One"})
    refused = await send(site, "POST", noun, 409, json={"id": "x1", "title": "Two"})
    assert refused["slug"] == "duplicate"
    for method, given in (("PATCH", {"json": {"title": "x"}}), ("DELETE", {})):
        stale = await send(site, method, f"{noun}/x1", 412, headers={"If-Match": '"v9"'}, **given)
        assert stale["slug"] == "version-conflict"
    await send(site, "PATCH", f"{noun}/x1", 422, json={"version": 3})
    await send(site, "DELETE", f"{noun}/x1?colour=red", 422)
    assert (await send(site, "GET", f"{noun}/x1", 200))["version"] == 1


@pytest.mark.parametrize("noun", NOUNS)
async def test_pages_and_filters(site: Tcp, noun: str) -> None:
    for number in range(5):
        scope = {"scope": "odd"} if number % 2 else {}
        await send(site, "POST", noun, 201, json={"id": f"x{number}", "title": "T", **scope})
    page = await send(site, "GET", f"{noun}?limit=2&offset=3", 200)
    assert ([one["id"] for one in page[noun]], page["total"], page["offset"]) == (["x3", "x4"], 5, 3)
    odd = await send(site, "GET", f"{noun}?scope=odd", 200)
    assert [one["id"] for one in odd[noun]] == ["x1", "x3"]
    assert (await send(site, "GET", f"{noun}?limit=0", 200))["total"] == 5


@pytest.mark.parametrize("noun", NOUNS)
async def test_reading_takes_a_key_and_changing_one_that_may_work(guarded: Tcp, noun: str) -> None:
    reader, worker = await guarded.headers(KeyScope.READ), await guarded.headers(KeyScope.WORK)
    body = {"id": "x1", "title": "One"}
    await send(guarded, "GET", noun, 401)
    await send(guarded, "POST", noun, 403, json=body, headers=reader)
    await send(guarded, "POST", noun, 201, json=body, headers=worker)
    await send(guarded, "GET", f"{noun}/x1", 200, headers=reader)
    await send(guarded, "PATCH", f"{noun}/x1", 403, json={"title": "x"}, headers=reader)
    await send(guarded, "DELETE", f"{noun}/x1", 403, headers=reader)
    await send(guarded, "DELETE", f"{noun}/x1", 204, headers=worker)


async def test_the_same_post_under_one_key_is_made_once(site: Tcp) -> None:
    for replayed in (None, "true"):
        answer = await site.http.post(
            "/api/v1/projects", json={"title": "One"}, headers={"Idempotency-Key": "k1"}
        )
        assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (201, replayed)
    assert (await send(site, "GET", "projects", 200))["total"] == 1


# Projects and their tasks


async def test_tasks_begin_with_what_their_project_says(site: Tcp) -> None:
    project = {"id": "p", "title": "P", "base_branch": "release", "auto_accept": True, "scope": "s"}
    await send(site, "POST", "projects", 201, json=project)
    task = await send(site, "POST", "tasks", 201, json={"id": "t1", "role": "docs", "project_id": "p"})
    assert (task["base_branch"], task["auto_accept"], task["scope"]) == ("release", True, "s")
    said = {"id": "t2", "role": "docs", "project_id": "p", "base_branch": "main", "auto_accept": False}
    task = await send(site, "POST", "tasks", 201, json=said)
    assert (task["base_branch"], task["auto_accept"]) == ("main", False)
    task = await send(site, "POST", "tasks", 201, json={"id": "t3", "role": "docs", "project_id": "none"})
    assert (task["base_branch"], task["auto_accept"], task["scope"]) == ("main", False, None)
    found = await send(site, "GET", "tasks?project_id=p", 200)
    assert [one["id"] for one in found["tasks"]] == ["t1", "t2"]


async def test_a_project_with_unfinished_tasks_stays(site: Tcp) -> None:
    await send(site, "POST", "projects", 201, json={"id": "p", "title": "P"})
    await send(site, "POST", "tasks", 201, json={"id": "t1", "role": "docs", "project_id": "p"})
    refused = await send(site, "DELETE", "projects/p", 409)
    assert refused["details"] == ["it has unfinished tasks: t1"]
    await send(site, "PATCH", "projects/p", 409, json={"status": "completed"})
    await send(site, "POST", "tasks/t1/cancel", 200, json={})
    assert (await send(site, "PATCH", "projects/p", 200, json={"status": "completed"}))["completed_at"]
    await send(site, "DELETE", "projects/p", 204)


# Drafts and their tasks


async def test_a_draft_becomes_tasks(site: Tcp) -> None:
    await send(site, "POST", "projects", 201, json={"id": "p", "title": "P", "base_branch": "release"})
    draft = {"id": "d", "title": "Search", "body": "Rank better", "project_id": "p", "tags": ["x"]}
    await send(site, "POST", "drafts", 201, json=draft)
    tasks = [{"id": "t1", "role": "implement"}, {"id": "t2", "role": "test", "blocked_by": ["t1"]}]
    after = await send(site, "POST", "drafts/d/promote", 200, json={"tasks": tasks})
    assert (after["status"], after["task_ids"]) == ("promoted", ["t1", "t2"])
    task = await send(site, "GET", "tasks/t1", 200)
    assert (task["title"], task["body"], task["project_id"], task["base_branch"]) == (
        "Search", "Rank better", "p", "release",
    )  # fmt: skip
    assert (await send(site, "GET", "tasks/t2", 200))["queue"] == "blocked"
    for wrong in ({"tasks": []}, {"tasks": [1]}, {"tasks": [{"id": "t3"}]}, {}, {"tasks": [], "x": 1}):
        await send(site, "POST", "drafts/d/promote", 422, json=wrong)
    await send(site, "POST", "drafts/none/promote", 404, json={"tasks": tasks})
    assert (await send(site, "GET", "tasks", 200))["total"] == 2


# Scope


async def test_a_scope_is_taken_everywhere_and_hides_what_is_of_another(site: Tcp) -> None:
    await send(site, "POST", "orchestrators/register", 201, json={**MACHINE, "scope": "a"})
    await send(site, "POST", "tasks", 201, json={"id": "t1", "role": "docs", "scope": "a"})
    await send(site, "POST", "tasks?scope=b", 201, json={"id": "t2", "role": "docs"})
    await send(site, "POST", "tasks", 201, json={"id": "t3", "role": "docs"})
    for scope, ids in (("a", ["t1"]), ("b", ["t2"]), ("c", [])):
        listed = await send(site, "GET", f"tasks?scope={scope}", 200)
        assert ([one["id"] for one in listed["tasks"]], listed["total"]) == (ids, len(ids))
    await send(site, "GET", "tasks/t1?scope=a", 200)
    for scope in ("b", "c"):
        await send(site, "GET", f"tasks/t1?scope={scope}", 404)
        await send(site, "PATCH", "tasks/t1", 404, json={"title": "x", "scope": scope})
        await send(site, "POST", f"tasks/t1/cancel?scope={scope}", 404, json={})
        await send(site, "GET", f"tasks/t1/history?scope={scope}", 404)
    claim = {"orchestrator_id": "c-a", "agent_name": "x", "scope": "b"}
    assert (await send(site, "POST", "tasks/claim", 200, json=claim))["id"] == "t2"
    await send(site, "POST", "tasks/claim", 204, json=claim)
    await send(site, "POST", "tasks/claim?scope=c", 204, json={"orchestrator_id": "c-a", "agent_name": "x"})
    await send(site, "POST", "tasks/t2/submit", 200, json={"commits_count": 1, "scope": "b"})
    await send(site, "POST", "tasks/t2/accept", 200, json={"accepted_by": "ana", "scope": "b"})
    for path in ("counts", "runs", "agents", "orchestrators", "pause", "events"):
        await send(site, "GET", f"{path}?scope=a", 200)


@pytest.mark.parametrize("scope", ["a b", "../a", "", 7, ["a"]])
async def test_a_scope_that_is_no_name_is_refused(site: Tcp, scope: Any) -> None:
    await send(site, "POST", "tasks", 422, json={"id": "t1", "role": "docs", "scope": scope})
    await send(site, "POST", "tasks", 201, json={"id": "t1", "role": "docs"})
    await send(site, "POST", "tasks/t1/hold", 422, json={"scope": scope})
    if isinstance(scope, str):
        await send(site, "GET", "tasks/t1", 422, params={"scope": scope})


async def test_two_different_scopes_are_refused(site: Tcp) -> None:
    await send(site, "POST", "tasks?scope=a", 422, json={"id": "t1", "role": "docs", "scope": "b"})
    await send(site, "POST", "tasks?scope=a", 201, json={"id": "t1", "role": "docs", "scope": "a"})
    await send(site, "GET", "tasks/t1?scope=a&scope=b", 422)


# Why


async def test_why_names_each_reason_with_its_time(site: Tcp) -> None:
    await send(site, "POST", "orchestrators/register", 201, json=MACHINE)
    await send(site, "POST", "tasks", 201, json={"id": "t1", "role": "docs"})
    await send(site, "POST", "tasks", 201, json={"id": "t2", "role": "docs", "blocked_by": ["t1"]})
    task = await send(site, "POST", "tasks/claim", 200, json={"orchestrator_id": "c-a", "agent_name": "x"})
    reasons = (await send(site, "GET", "tasks/t1/why", 200))["reasons"]
    assert [one["kind"] for one in reasons] == ["state", "lease", "attempts"]
    assert reasons[1]["when"] == task["lease_expires_at"]
    blocked = (await send(site, "GET", "tasks/t2/why", 200))["reasons"]
    assert {"kind": "blocker", "holds": True, "text": "t1 is claimed", "when": None} in blocked
    await send(site, "GET", "tasks/none/why", 404)
    await send(site, "GET", "tasks/t1/why?x=1", 422)


# Poll


async def test_one_poll_has_all_that_a_round_needs(site: Tcp) -> None:
    await send(site, "POST", "orchestrators/register", 201, json=MACHINE)
    for task_id, role in (("t1", "docs"), ("t2", "docs"), ("t3", "test"), ("t4", "docs")):
        await send(site, "POST", "tasks", 201, json={"id": task_id, "role": role})
    claim = {"orchestrator_id": "c-a", "agent_name": "x"}
    held = await send(site, "POST", "tasks/claim", 200, json=claim)
    lost = await send(site, "POST", "tasks/claim", 200, json=claim)
    question = {
        "id": "m1", "conversation_id": "t1", "sender_type": "worker", "sender_id": "x",
        "message_type": "request", "kind": "question", "body": "Which?", "run_id": held["run"]["id"],
    }  # fmt: skip
    await send(site, "POST", "messages", 201, json=question)
    await send(site, "POST", "messages/m1/answer", 200, json={"text": "That one"})
    await send(site, "POST", "tasks/t2/cancel", 200, json={})
    seen = (await send(site, "GET", "events/last", 200))["seq"]
    await send(site, "POST", "pause", 200, json={"reason": "lunch"})
    said = await send(site, "POST", "scheduler/poll", 200, json={"orchestrator_id": "c-a", "after": seen})
    assert (said["queues"]["incoming"], said["queues"]["claimed"]) == (2, 1)
    assert (said["pause"]["paused"], said["pause"]["reason"]) == (True, "lunch")
    assert {role: [one["id"] for one in tasks] for role, tasks in said["claimable"].items()} == {
        "test": ["t3"], "docs": ["t4"],
    }  # fmt: skip
    assert [(one["id"], one["answer"]) for one in said["answers"]] == [("m1", "That one")]
    assert [(one["run_id"], one["lease_token"]) for one in said["leases"]] == [
        (held["run"]["id"], held["lease_token"])
    ]
    assert [(one["run_id"], one["queue"]) for one in said["lost"]] == [(lost["run"]["id"], "cancelled")]
    assert [one["kind"] for one in said["events"]] == ["pause"]
    assert said["next_after"] == seen + 1
    again = {"orchestrator_id": "c-a", "after": said["next_after"], "roles": ["test", "none"], "limit": 1}
    said = await send(site, "POST", "scheduler/poll", 200, json=again)
    assert (said["events"], said["next_after"]) == ([], seen + 1)
    assert {role: len(tasks) for role, tasks in said["claimable"].items()} == {"test": 1, "none": 0}
    without = await send(site, "POST", "scheduler/poll", 200, json={"orchestrator_id": "c-a"})
    assert (without["events"], without["next_after"]) == ([], seen + 1)


async def test_a_poll_is_refused_to_strangers(guarded: Tcp) -> None:
    await guarded.backend.register("c", "a", pid=None)
    body = {"orchestrator_id": "c-a"}
    await send(guarded, "POST", "scheduler/poll", 401, json=body)
    await send(
        guarded, "POST", "scheduler/poll", 403, json=body, headers=await guarded.headers(KeyScope.READ)
    )
    bound = await guarded.headers(KeyScope.WORK, "c-b")
    await send(guarded, "POST", "scheduler/poll", 403, json=body, headers=bound)
    worker = await guarded.headers(KeyScope.WORK)
    await send(guarded, "POST", "scheduler/poll", 200, json=body, headers=worker)
    refused = await send(
        guarded, "POST", "scheduler/poll", 422, json={"orchestrator_id": "x"}, headers=worker
    )
    assert refused["slug"] == "unknown-orchestrator"
    for wrong in ({}, {**body, "colour": 1}, {**body, "limit": -1}, {**body, "after": "x"}):
        await send(guarded, "POST", "scheduler/poll", 422, json=wrong, headers=worker)
