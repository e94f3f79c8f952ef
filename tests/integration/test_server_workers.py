"""Workers over plain HTTP: registering, taking work, handing it in, and losing it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tcp_serving import ANA, Tcp, serve_tcp

from backend.keys import KeyScope
from backend.model import Message, Queue
from backend.server.guard import BODY_LIMIT


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Tcp]:
    async with serve_tcp(tmp_path, keys=False) as one:
        yield one


async def post(site: Tcp, path: str, body: dict[str, Any], status: int = 200, **more: Any) -> Any:
    answer = await site.http.post(f"/api/v1/{path}", json=body, **more)
    assert answer.status_code == status, answer.text
    if status == 204:
        assert answer.content == b""
    return answer.json() if answer.content else None


async def get(site: Tcp, path: str, status: int = 200) -> Any:
    answer = await site.http.get(f"/api/v1/{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


async def worker(site: Tcp, worker_id: str = "w1", **given: Any) -> Any:
    return await post(site, "workers", {"name": f"worker {worker_id}", "id": worker_id, **given}, 201)


async def order(site: Tcp, task_id: str = "t1", **given: Any) -> Any:
    return await post(site, "queue/enqueue", {"id": task_id, "title": f"Task {task_id}", **given}, 201)


async def claim(site: Tcp, worker_id: str = "w1", status: int = 200, **given: Any) -> Any:
    return await post(site, "queue/claim", {"worker_id": worker_id, **given}, status)


async def ask(site: Tcp, task_id: str = "t1", worker_id: str = "w1", **given: Any) -> Any:
    said = {
        "message": "Which?",
        "message_type": "request",
        "conversation_id": task_id,
        "sender_id": worker_id,
    }
    return await post(site, "chat/messages", said | given, 201)


async def kinds(site: Tcp, entity_id: str) -> list[str]:
    return [event.kind for event in await site.backend.events(entity_id=entity_id)]


# Workers


async def test_a_worker_is_registered_found_and_known_again(site: Tcp) -> None:
    made = await worker(site, capabilities=["implement", "test"])
    assert (made["id"], made["name"], made["status"]) == ("w1", "worker w1", "idle")
    assert (made["capabilities"], made["orchestrator_id"]) == (["implement", "test"], "worker-w1")
    assert (await get(site, "workers/w1")) == made
    again = await post(site, "workers", {"name": "other name", "id": "w1"}, 200)
    assert (again["name"], again["capabilities"]) == ("other name", [])
    assert [one["id"] for one in (await get(site, "workers"))["workers"]] == ["w1"]
    assert made["created_at"] == again["created_at"]


async def test_workers_without_an_id_get_one_each(site: Tcp) -> None:
    ids = {(await post(site, "workers", {"name": "worker"}, 201))["id"] for _ in range(3)}
    assert len(ids) == 3
    machines = {one.id for one in await site.backend.list_orchestrators()}
    assert machines == {f"worker-{one}" for one in ids}


async def test_an_ordinary_machines_agents_are_no_workers(site: Tcp) -> None:
    await site.backend.register("c", "a", pid=None)
    assert (await get(site, "workers"))["workers"] == []
    await get(site, "workers/a", 404)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422), ({"name": ""}, 422), ({"name": "x" * 65}, 422), ({"name": "a\x1b[31mb"}, 422),
        ({"name": "w", "id": "../x"}, 422), ({"name": "w", "id": "x" * 60}, 422), ({"name": 5}, 422),
        ({"name": "w", "capabilities": ["a,b"]}, 422), ({"name": "w", "capabilities": ["*"]}, 422),
        ({"name": "w", "capabilities": [f"r{n}" for n in range(21)]}, 422), ({"name": "w", "naem": "x"}, 422),
    ],
)  # fmt: skip
async def test_a_worker_that_cannot_be_is_refused_and_leaves_nothing(
    site: Tcp, body: dict[str, Any], status: int
) -> None:
    await post(site, "workers", body, status)
    assert (await get(site, "workers"))["workers"] == []


async def test_an_offline_worker_is_shown_as_machines_are(site: Tcp) -> None:
    await worker(site)
    site.clock.advance(121)
    assert (await get(site, "workers/w1"))["status"] == "offline"
    assert (await post(site, "workers/w1/heartbeat", {}))["status"] == "idle"


async def test_a_worker_may_say_that_something_is_wrong_with_it(site: Tcp) -> None:
    await worker(site)
    said = await post(site, "workers/w1/heartbeat", {"status": "error", "reason": "no disk"})
    assert (said["status"], said["reason"]) == ("error", "no disk")
    (agent,) = await site.backend.list_agents()
    assert (agent.status.value, agent.reason) == ("error", "no disk")
    assert (await post(site, "workers/w1/heartbeat", {"status": "idle"}))["status"] == "idle"
    await post(site, "workers/w1/heartbeat", {"status": "asleep"}, 422)


async def test_a_deleted_worker_gives_back_what_it_holds(site: Tcp) -> None:
    await worker(site)
    await order(site)
    await claim(site, session_id="abc")
    assert (await site.http.delete("/api/v1/workers/w1")).status_code == 204
    task = await site.backend.get_task("t1")
    assert (task.queue, task.run_id, task.attempts_counted) == (Queue.INCOMING, None, 0)
    assert await site.backend.list_runs(live=True) == []
    (session,) = await site.backend.list_sessions()
    assert session.status.value == "terminated"
    await get(site, "workers/w1", 404)
    assert (await site.http.delete("/api/v1/workers/w1")).status_code == 404
    refused = await claim(site, status=422)
    assert refused["slug"] == "unknown-orchestrator"


# The queue


async def test_an_order_goes_from_the_queue_to_its_worker_and_is_completed(site: Tcp) -> None:
    queued = await order(
        site, description="Do it", task_type="bugfix", priority="high",
        repository_url="https://example.org/r.git", branch_name="dev",
    )  # fmt: skip
    assert (queued["status"], queued["priority"], queued["worker_id"]) == ("queued", "high", None)
    task = await site.backend.get_task("t1")
    assert (task.body, task.type.value, task.base_branch) == ("Do it", "bugfix", "dev")
    await worker(site)
    claimed = await claim(site)
    assert (claimed["id"], claimed["status"], claimed["worker_id"]) == ("t1", "claimed", "w1")
    assert claimed["execution"]["id"] == claimed["execution_id"]
    assert (await get(site, "workers/w1"))["status"] == "busy"
    done = await post(
        site, "queue/complete",
        {"worker_id": "w1", "work_order_id": "t1", "lease_token": claimed["lease_token"],
         "commits_count": 2, "turns_used": 7, "summary": "Said", "output": "Done"},
    )  # fmt: skip
    assert (done["status"], done["task"]["queue"]) == ("completed", "provisional")
    run = await site.backend.get_run(claimed["execution_id"])
    assert (run.outcome, run.commits_count, run.turns, run.summary) == ("submitted", 2, 7, "Said\n\nDone")
    assert (await get(site, "workers/w1"))["status"] == "idle"
    accepted = await post(site, "tasks/t1/accept", {"accepted_by": "ana"})
    assert accepted["queue"] == "done"


async def test_a_task_that_is_there_is_taken_from_the_backlog(site: Tcp) -> None:
    await post(site, "tasks", {"id": "t1", "role": "implement", "backlog": True}, 201)
    for _ in range(2):
        queued = await post(site, "queue/enqueue", {"task_id": "t1", "priority": "low"})
    assert (queued["status"], queued["task"]["queue"], queued["priority"]) == ("queued", "incoming", "low")
    await post(site, "queue/enqueue", {"task_id": "none"}, 404)
    await post(site, "queue/enqueue", {"task_id": "t1", "title": "x"}, 422)
    await post(site, "queue/enqueue", {}, 422)
    await post(site, "queue/enqueue", {"title": "x", "priority": "urgent"}, 422)
    await post(site, "queue/enqueue", {"id": "t1", "title": "x"}, 409)
    await worker(site)
    await claim(site)
    await post(site, "queue/enqueue", {"task_id": "t1"}, 409)


async def test_a_task_is_described_in_a_workers_words(site: Tcp) -> None:
    body = {
        "title": "Fix it", "description": "Crash", "task_type": "bugfix", "priority": "high",
        "repository_url": "https://example.org/r.git", "branch_name": "dev",
    }  # fmt: skip
    task = await post(site, "tasks", body, 201)
    assert (task["body"], task["type"], task["priority"], task["role"]) == (
        "Crash",
        "bugfix",
        "P1",
        "implement",
    )
    assert (task["repo_url"], task["base_branch"]) == ("https://example.org/r.git", "dev")
    await post(site, "tasks", {**body, "body": "Crash"}, 422)
    await post(site, "tasks", {**body, "task_type": "chat"}, 422)
    await post(site, "tasks", {**body, "description": 5}, 422)
    await post(site, "tasks", {**body, "priority": "urgent"}, 422)


async def test_a_claim_may_open_a_session_and_a_wrong_name_claims_nothing(site: Tcp) -> None:
    await worker(site)
    await order(site)
    await claim(site, status=422, session_id="a\x1b[0m")
    await claim(site, status=422, lease_seconds=0)
    await claim(site, status=422, lease_seconds=86_401)
    assert (await site.backend.get_task("t1")).queue is Queue.INCOMING
    claimed = await claim(site, session_id="abc")
    session = await get(site, "sessions/abc")
    assert (session["run_id"], session["worker_id"]) == (claimed["execution_id"], "w1")
    site.clock.advance(29 * 60)
    beat = await post(site, "workers/w1/heartbeat", {})
    assert beat["sessions"] == [session["id"]]
    ended = await post(site, "sessions/abc/end", {"reason": "done", "actor": "human:ana"})
    assert (ended["status"], ended["reason"]) == ("terminated", "done")
    assert (await post(site, "workers/w1/heartbeat", {}))["sessions"] == []
    assert (await site.backend.get_task("t1")).queue is Queue.CLAIMED
    assert (await get(site, "sessions?live=true"))["sessions"] == []
    await get(site, "sessions?status=asleep", 422)
    await get(site, "sessions?owner=w1", 422)
    await post(site, "sessions", {"session_id": "x"}, 422)
    await post(site, "sessions", {"session_id": "x", "worker_id": "none"}, 422)
    await worker(site, "w2")
    await post(site, "sessions", {"session_id": "abc", "worker_id": "w2"}, 409)
    assert (await site.http.delete("/api/v1/sessions/abc")).status_code == 204
    assert (await site.http.delete("/api/v1/sessions/none")).status_code == 404


async def test_nothing_to_claim_is_204_without_a_body(site: Tcp) -> None:
    await worker(site)
    await claim(site, status=204)
    assert (await get(site, "workers/w1"))["reason"] == "nothing waits that it may claim"


async def test_a_worker_claims_only_what_it_is_for(site: Tcp) -> None:
    await worker(site, "w1", capabilities=["docs"])
    await worker(site, "w2")
    await order(site, "t1", role="implement")
    await claim(site, "w1", 204)
    refused = await claim(site, "w1", 422, capabilities=["implement"])
    assert "docs" in refused["next_step"]
    await claim(site, "w2", 204, capabilities=["review"])
    assert (await claim(site, "w2", capabilities=["implement"]))["id"] == "t1"


async def test_a_paused_intake_gives_workers_nothing_and_says_so(site: Tcp) -> None:
    await worker(site)
    await order(site)
    await site.backend.pause(actor=ANA, reason="lunch")
    await claim(site, status=204)
    assert (await get(site, "workers/w1"))["reason"] == "intake is paused by human:ana: lunch"
    await site.backend.resume(actor=ANA)
    await claim(site)


async def test_the_same_claim_again_is_the_same_claim(site: Tcp) -> None:
    await worker(site)
    await order(site, "t1")
    await order(site, "t2")
    first = await claim(site, execution_id="run-1")
    again = await claim(site, execution_id="run-1")
    assert (first["id"], first["lease_token"]) == (again["id"], again["lease_token"])
    key = {"Idempotency-Key": "k"}
    second = [await post(site, "queue/claim", {"worker_id": "w1"}, headers=key) for _ in range(2)]
    assert second[0] == second[1]
    assert second[0]["id"] == "t2"


async def test_failing_needs_a_reason_and_keeps_it(site: Tcp) -> None:
    await worker(site)
    await order(site)
    await claim(site)
    await post(site, "queue/fail", {"worker_id": "w1", "task_id": "t1"}, 422)
    await post(site, "queue/fail", {"worker_id": "w1", "task_id": "t1", "reason": " "}, 409)
    failed = await post(site, "queue/fail", {"worker_id": "w1", "task_id": "t1", "reason": "no compiler"})
    assert (failed["status"], failed["task"]["reason"]) == ("failed", "no compiler")
    (run,) = await site.backend.list_runs(task_id="t1")
    assert (run.outcome, run.reason) == ("crashed", "no compiler")


@pytest.mark.parametrize("action", ["complete", "fail"])
async def test_only_the_holder_has_a_say(site: Tcp, action: str) -> None:
    await worker(site, "w1")
    await worker(site, "w2")
    await order(site)
    said = {"worker_id": "w2", "task_id": "t1", "reason": "no"} if action == "fail" else {
        "worker_id": "w2", "task_id": "t1"
    }  # fmt: skip
    path = f"queue/{action}"
    assert (await post(site, path, said, 409))["slug"] == "lease-lost"
    claimed = await claim(site, "w1")
    before = await site.backend.get_task("t1")
    for right in ({}, {"lease_token": claimed["lease_token"]}, {"execution_id": claimed["execution_id"]}):
        refused = await post(site, path, said | right, 409)
        assert refused["slug"] == "lease-lost"
        assert refused["details"]
    await post(site, path, said | {"worker_id": "w1", "lease_token": 99}, 409)
    await post(site, path, said | {"worker_id": "nobody"}, 422)
    await post(site, path, said | {"task_id": "none"}, 404)
    await post(site, path, said | {"work_order_id": "other"}, 422)
    assert await site.backend.get_task("t1") == before


async def test_a_late_word_counts_until_somebody_else_has_the_task(site: Tcp) -> None:
    """L-02: the fence decides, not the clock."""
    await worker(site, "w1")
    await worker(site, "w2")
    await order(site)
    claimed = await claim(site, "w1")
    site.clock.advance(301)
    assert len(await site.backend.expire_leases()) == 1
    silent = await post(site, "queue/complete", {"worker_id": "w1", "task_id": "t1"}, 409)
    assert "holds no lease" in silent["error"]
    said = {"worker_id": "w1", "task_id": "t1", "lease_token": claimed["lease_token"]}
    assert (await post(site, "queue/complete", said))["status"] == "completed"


async def test_a_worker_that_lost_its_lease_changes_nothing(site: Tcp) -> None:
    """L-31: not by its fence, nor by its name, nor by a heartbeat."""
    await worker(site, "w1")
    await worker(site, "w2")
    await order(site)
    first = await claim(site, "w1")
    site.clock.advance(301)
    await site.backend.expire_leases()
    await claim(site, "w2")
    before = await site.backend.get_task("t1")
    for right in ({}, {"lease_token": first["lease_token"]}, {"execution_id": first["execution_id"]}):
        await post(site, "queue/complete", {"worker_id": "w1", "task_id": "t1", **right}, 409)
    lease = {"task_id": "t1", "lease_token": first["lease_token"]}
    beat = await post(site, "workers/w1/heartbeat", {"leases": [lease]})
    assert (beat["lost"], beat["leases"], beat["status"]) == (["t1"], [], "idle")
    assert await site.backend.get_task("t1") == before
    await site.backend.expire_leases()
    runs = {run.id: run.outcome for run in await site.backend.list_runs(task_id="t1")}
    assert runs[first["execution_id"]] == "lost"
    assert runs[before.run_id or ""] is None


async def test_heartbeats_keep_the_lease(site: Tcp) -> None:
    await worker(site)
    await order(site)
    claimed = await claim(site)
    for _ in range(20):
        site.clock.advance(60)
        beat = await post(site, "workers/w1/heartbeat", {})
        assert await site.backend.expire_leases() == []
    assert beat["leases"] == [
        {"task_id": "t1", "execution_id": claimed["execution_id"], "lease_token": claimed["lease_token"]}
    ]
    assert beat["lost"] == []
    site.clock.advance(301)
    assert [task.id for task in await site.backend.expire_leases()] == ["t1"]
    assert (await get(site, "workers/w1"))["status"] == "offline"
    await post(site, "workers/w1/heartbeat", {"lease_seconds": 0}, 422)
    await post(site, "workers/none/heartbeat", {}, 404)


async def test_the_status_counts_orders_and_workers(site: Tcp) -> None:
    await worker(site, "w1")
    await worker(site, "w2")
    for number, priority in enumerate(["high", "P0", "normal", "low", "low"]):
        await order(site, f"t{number}", priority=priority)
    await claim(site, "w1")
    said = await get(site, "queue/status")
    assert said["queues"] == {"high_priority": 1, "default": 1, "low_priority": 2}
    assert said["work_orders"] == {"queued": 4, "claimed": 1, "completed": 0, "failed": 0}
    assert (said["workers"]["busy"], said["workers"]["idle"], said["questions"]) == (1, 1, 0)


# Asking


async def test_a_worker_asks_waits_and_is_answered(site: Tcp) -> None:
    await worker(site)
    await order(site)
    claimed = await claim(site)
    asked = await ask(site)
    assert (asked["open"], asked["execution_id"]) == (True, claimed["execution_id"])
    assert (await get(site, "workers/w1"))["status"] == "waiting"
    assert (await get(site, f"chat/messages?parent_message_id={asked['id']}"))["messages"] == []
    said = {"message": "Use X", "message_type": "response", "parent_message_id": asked["id"],
            "sender_type": "human", "sender_id": "ana"}  # fmt: skip
    answer = await post(site, "chat/messages", said, 201)
    assert (answer["id"], answer["parent_message_id"]) == (f"{asked['id']}.answer", asked["id"])
    assert (await post(site, "chat/messages", said, 201)) == answer
    await post(site, "chat/messages", said | {"message": "Use Y"}, 409)
    (heard,) = (await get(site, f"chat/messages?parent_message_id={asked['id']}"))["messages"]
    assert (heard["message"], heard["sender_type"], heard["sender_id"]) == ("Use X", "human", "ana")
    assert (await get(site, "workers/w1"))["status"] == "busy"
    message: Message = await site.backend.get_message(asked["id"])
    assert message.answer == "Use X"


async def test_a_wait_for_an_answer_ends_with_it_and_with_the_server(site: Tcp) -> None:
    await worker(site)
    await order(site)
    await claim(site)
    asked = await ask(site)
    path = f"/api/v1/chat/messages?parent_message_id={asked['id']}&wait=25"
    waiting = asyncio.create_task(site.http.get(path, timeout=60))
    await site.backend.answer(asked["id"], "red", actor=ANA)
    answer = await waiting
    assert [one["message"] for one in answer.json()["messages"]] == ["red"]
    in_vain = asyncio.create_task(site.http.get(f"{path}&after={answer.json()['next_after']}", timeout=60))
    async with asyncio.timeout(60):
        while not site.backend._engine.watchers._watching:
            await asyncio.sleep(0.01)
    await site.server.stop()  # it would cut what is not answered by then
    assert (await in_vain).json()["messages"] == []


async def test_the_chat_is_read_on_from_what_was_seen(site: Tcp) -> None:
    await worker(site)
    for task_id in ("t1", "t2"):
        await order(site, task_id)
        await claim(site)
        await ask(site, task_id, id=f"q-{task_id}")
    await post(site, "chat/messages", {"message": "note", "conversation_id": "t1", "sender_id": "w1"}, 201)
    await post(site, "messages/q-t1/answer", {"text": "red", "actor": "human:bo"})
    await post(site, "messages/q-t2/withdraw", {"reason": "solved"})
    everything = (await get(site, "chat/messages"))["messages"]
    assert [one["id"] for one in everything if one["message"] != "note"] == [
        "q-t1", "q-t2", "q-t1.answer", "q-t2.withdrawal",
    ]  # fmt: skip
    assert [one["seq"] for one in everything] == sorted(one["seq"] for one in everything)
    for seen, one in enumerate(everything):
        by_id = await get(site, f"chat/messages?last_message_id={one['id']}")
        by_seq = await get(site, f"chat/messages?after={one['seq']}")
        assert by_id["messages"] == by_seq["messages"] == everything[seen + 1 :]
    first = await get(site, "chat/messages?limit=2")
    rest = await get(site, f"chat/messages?after={first['next_after']}")
    assert first["messages"] + rest["messages"] == everything
    of_one = (await get(site, "chat/messages?conversation_id=t1"))["messages"]
    assert of_one == [one for one in everything if one["task_id"] == "t1"]
    await get(site, "chat/messages?last_message_id=none", 404)
    await get(site, "chat/messages?parent_message_id=none", 404)
    await get(site, "chat/messages?conversation_id=t1&task_id=t2", 422)
    await get(site, "chat/messages?befor=1", 422)
    await get(site, "chat/messages?wait=99", 422)


async def test_an_answer_needs_to_say_to_what_unless_it_is_clear(site: Tcp) -> None:
    await worker(site)
    said = {"message": "yes", "message_type": "response"}
    assert "no request is open" in (await post(site, "chat/messages", said, 422))["error"]
    for task_id in ("t1", "t2"):
        await order(site, task_id)
        await claim(site)
        await ask(site, task_id, id=f"q-{task_id}")
    assert "2 requests are open" in (await post(site, "chat/messages", said, 422))["error"]
    answer = await post(site, "chat/messages", said | {"conversation_id": "t2"}, 201)
    assert answer["parent_message_id"] == "q-t2"
    assert (await post(site, "chat/messages", said, 201))["parent_message_id"] == "q-t1"
    mixed = said | {"parent_message_id": "q-t1", "conversation_id": "t2"}
    await post(site, "chat/messages", mixed, 422)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"message_type": "request"}, 422), ({"message": "x", "message_type": "request"}, 422),
        ({"message": "x", "conversation_id": "none", "sender_id": "ana", "sender_type": "human"}, 404),
        ({"message": "x", "sender_id": "ana", "sender_type": "human"}, 422),
        ({"message": "x", "sender_id": "ana", "sender_type": "robot"}, 422),
        ({"message": "x", "text": "x"}, 422),
        ({"message": " \x1b[2J ", "conversation_id": "t1", "sender_id": "a", "sender_type": "human"}, 422),
        ({"message": "x", "conversation_id": "t1", "sender_id": "a\nb", "sender_type": "human"}, 422),
        ({"message": "x", "conversation_id": "t1", "sender_id": "a" * 101, "sender_type": "human"}, 422),
        ({"message": "x", "message_type": "response", "parent_message_id": "none"}, 404),
    ],
)  # fmt: skip
async def test_what_cannot_be_said_is_not_stored(site: Tcp, body: dict[str, Any], status: int) -> None:
    await order(site)
    await post(site, "chat/messages", body, status)
    assert (await get(site, "chat/messages"))["messages"] == []


async def test_what_a_worker_says_is_made_harmless_before_it_is_stored(site: Tcp) -> None:
    """T1: an escape sequence does not reach a screen by way of the store."""
    await worker(site)
    await order(site)
    await claim(site)
    asked = await ask(site, message="Red\x1b]52;c;aGk=\x07 or \u202eblue?", options=["r\x1b[8m", "b"])
    stored = await site.backend.get_message(asked["id"])
    assert (stored.body, stored.options) == ("Red or \ufffdblue?", ("r", "b"))


async def test_a_question_about_somebody_elses_task_is_refused(site: Tcp) -> None:
    await worker(site, "w1")
    await worker(site, "w2")
    await order(site)
    await claim(site, "w1")
    said = {"message": "?", "message_type": "request", "conversation_id": "t1", "sender_id": "w2"}
    assert (await post(site, "chat/messages", said, 409))["slug"] == "lease-lost"
    alone = {"message": "?", "message_type": "request", "sender_id": "w1"}
    assert (await post(site, "chat/messages", alone, 201))["conversation_id"] == "t1"


# Who may


async def test_keys_bound_to_a_worker_act_for_no_other(tmp_path: Path) -> None:
    """T14: neither its claims nor its words nor its questions."""
    async with serve_tcp(tmp_path) as site:
        one = await site.headers(KeyScope.WORK, "worker-w1")
        two = await site.headers(KeyScope.WORK, "worker-w2")
        for headers in (one, two):
            # Without an id of its own it is the worker that its key is for.
            await post(site, "workers", {"name": "w"}, 201, headers=headers)
        await post(site, "workers", {"name": "x", "id": "w1"}, 403, headers=two)
        await post(site, "queue/enqueue", {"id": "t1", "title": "T"}, 201, headers=two)
        await post(site, "queue/claim", {"worker_id": "w1"}, 403, headers=two)
        await post(site, "queue/claim", {"worker_id": "w1", "session_id": "s"}, 200, headers=one)
        mine = {"worker_id": "w1", "task_id": "t1"}
        await post(site, "queue/complete", mine, 403, headers=two)
        await post(site, "queue/fail", {**mine, "reason": "x"}, 403, headers=two)
        await post(site, "workers/w1/heartbeat", {}, 403, headers=two)
        await post(site, "sessions/s/heartbeat", {}, 403, headers=two)
        await post(site, "sessions/s/end", {"reason": "x"}, 403, headers=two)
        assert (await site.http.delete("/api/v1/sessions/s", headers=two)).status_code == 403
        assert (await site.http.delete("/api/v1/workers/w1", headers=two)).status_code == 403
        new = {"session_id": "n", "worker_id": "w1"}
        await post(site, "sessions", new, 403, headers=two)
        said = {"message": "?", "message_type": "request", "conversation_id": "t1", "sender_id": "w1"}
        await post(site, "chat/messages", said, 403, headers=two)
        asked = await post(site, "chat/messages", said, 201, headers=one)
        answer = {"message": "a", "message_type": "response", "parent_message_id": asked["id"]}
        await post(site, "chat/messages", answer, 201, headers=two)
        await post(site, "queue/complete", mine, 200, headers=one)


CHANGES = [
    ("POST", "workers"), ("POST", "workers/w1/heartbeat"), ("DELETE", "workers/w1"),
    ("POST", "queue/enqueue"), ("POST", "queue/claim"), ("POST", "queue/complete"),
    ("POST", "queue/fail"), ("POST", "sessions"),
    ("POST", "sessions/s/heartbeat"), ("POST", "sessions/s/end"), ("DELETE", "sessions/s"),
    ("POST", "chat/messages"),
]  # fmt: skip
READS = ["workers", "workers/w1", "queue/status", "sessions", "sessions/s", "chat/messages", "chat/events"]


async def test_reading_takes_a_key_and_changing_one_that_may_work(tmp_path: Path) -> None:
    async with serve_tcp(tmp_path) as site:
        reading = await site.headers(KeyScope.READ)
        for method, path in CHANGES:
            for headers, status in (({}, 401), (reading, 403)):
                body = b"" if method == "DELETE" else b"{}"
                kind = {"Content-Type": "application/json"}
                answer = await site.http.request(
                    method, f"/api/v1/{path}", content=body, headers={**headers, **kind}
                )
                assert answer.status_code == status, (method, path)
        for path in READS:
            assert (await site.http.get(f"/api/v1/{path}")).status_code == 401
            assert (await site.http.get(f"/api/v1/{path}", headers=reading)).status_code in (200, 404)


@pytest.mark.parametrize("path", [path for method, path in CHANGES if method == "POST"])
async def test_what_is_no_request_is_told_apart(site: Tcp, path: str) -> None:
    await worker(site)
    address, kind = f"/api/v1/{path}", {"Content-Type": "application/json"}
    for content, headers, status in (
        (b"{", kind, 400), (b"[]", kind, 422), (b'{"nonsense": 1}', kind, 422), (b"{}", {}, 415),
        (b" " * (BODY_LIMIT + 1), kind, 413),
    ):  # fmt: skip
        answer = await site.http.post(address, content=content, headers=headers)
        known = (status, 404) if "/s/" in path else (status,)
        assert answer.status_code in known, (path, content[:20], answer.text)
    assert (await site.http.put(address, json={})).status_code == 405
