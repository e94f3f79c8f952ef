"""Workers, queue, sessions, chat, rules, alerts, usage, keys and the rest, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import Live, live
from octopoid_sdk import (
    AsyncOctopoidSDK,
    BadRequest,
    Claim,
    Conflict,
    LeaseLost,
    NotAllowed,
    NotFound,
    OctopoidSDK,
)

ANA = "human:ana"
SINCE = "2020-01-01T00:00:00Z"
FUTURE = "2999-01-01T00:00:00Z"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as one:
        yield one


@pytest.fixture
def sdk(server: Live) -> Iterator[OctopoidSDK]:
    """Over the socket, where everything is allowed."""
    with OctopoidSDK(socket_path=server.socket) as made:
        yield made


def claimed(sdk: OctopoidSDK, task_id: str) -> Claim:
    machine = sdk.orchestrators.register(cluster="c", machine_id="m", instance="one")
    sdk.tasks.create(id=task_id, title=task_id, role="implement")
    claim = sdk.tasks.claim(orchestrator_id=machine["id"], agent_name="a", task_id=task_id)
    assert claim is not None
    return claim


def test_a_worker_takes_completes_and_fails_work(sdk: OctopoidSDK) -> None:
    worker = sdk.workers.register("w", id="w1", capabilities=["docs"])
    assert (worker["status"], worker["capabilities"]) == ("idle", ["docs"])
    assert sdk.queue.claim("w1") is None
    made = sdk.queue.enqueue(title="Write", id="t1", role="docs", priority="high")
    assert (made["status"], made["task"]["priority"]) == ("queued", "P1")
    order = sdk.queue.claim("w1", execution_id="r1")
    assert order is not None
    assert order["execution"] is not None
    assert (order["id"], order["execution"]["id"]) == ("t1", "r1")
    beat = sdk.workers.heartbeat("w1")
    assert (beat["status"], beat["lost"], beat["leases"][0]["task_id"]) == ("busy", [], "t1")
    assert sdk.queue.status()["work_orders"]["claimed"] == 1
    done = sdk.queue.complete("w1", "t1", lease_token=order["lease_token"], summary="done")
    assert done["status"] == "completed"
    sdk.tasks.create(id="t2", title="Two", role="docs", queue="backlog")
    assert sdk.queue.enqueue("t2")["status"] == "queued"
    assert sdk.queue.claim("w1") is not None
    assert sdk.queue.fail("w1", "t2", reason="no way")["status"] == "failed"
    with pytest.raises(LeaseLost):
        sdk.queue.complete("w1", "t2")
    assert [one["id"] for one in sdk.workers.list()] == ["w1"]
    assert sdk.workers.get("w1")["status"] == "idle"
    sdk.workers.delete("w1")
    with pytest.raises(NotFound):
        sdk.workers.get("w1")


def test_sessions_are_opened_listed_and_ended(sdk: OctopoidSDK) -> None:
    sdk.workers.register("w", id="w1")
    for number in range(203):
        sdk.sessions.open(f"s{number}", worker_id="w1", id=f"i{number}")
    assert [one["id"] for one in sdk.sessions.list()] == [f"i{number}" for number in range(203)]
    assert len(sdk.sessions.list(worker_id="w1", status="active", limit=7)) == 7
    assert sdk.sessions.heartbeat("s0")["status"] == "active"
    assert sdk.sessions.end("s0", "over", actor=ANA)["reason"] == "over"
    sdk.sessions.delete("i1")
    assert {sdk.sessions.get(one)["status"] for one in ("s0", "s1")} == {"terminated"}
    assert len(sdk.sessions.list(live=True)) == 201
    with pytest.raises(Conflict):
        sdk.sessions.heartbeat("s0")


def test_chat_rules_and_answers(sdk: OctopoidSDK) -> None:
    claim = claimed(sdk, "t1")
    asked = sdk.messages.post(
        "t1", "Which?", sender_type="worker", sender_id="a", message_type="request", kind="question",
        run_id=claim["run"]["id"], options=["x", "y"],
    )  # fmt: skip
    assert [one["id"] for one in sdk.messages.questions()] == [asked["id"]]
    said = sdk.chat.say(
        "x", message_type="response", sender_id="ana", sender_type="human", parent_message_id=asked["id"]
    )
    assert said["parent_message_id"] == asked["id"]
    assert [one["id"] for one in sdk.messages.undelivered([claim["run"]["id"]])] == [asked["id"]]
    assert sdk.messages.mark_delivered(asked["id"])["delivered_at"] is not None
    assert sdk.messages.undelivered([claim["run"]["id"]]) == []
    rule = sdk.rules.create(asked["id"], "task", actor=ANA)
    assert (rule["answer"], rule["scope_id"]) == ("x", "t1")
    assert sdk.rules.revoke(rule["id"], actor=ANA)["revoked_at"] is not None
    assert [one["id"] for one in sdk.rules.list()] == [rule["id"]]
    note = sdk.chat.say("Mind the gap", task_id="t1", sender_id="ana", sender_type="human")
    page = sdk.chat.read(task_id="t1")
    assert [one["message"] for one in page["messages"]] == ["Which?", "x", "Mind the gap"]
    assert page["next_after"] >= note["seq"]
    assert sdk.chat.events(task_id="t1")[-1]["seq"] == note["seq"]
    for number in range(201):
        sdk.messages.post("t1", f"note {number}")
    assert len(sdk.tasks.messages("t1")) == 203
    assert sdk.messages.unfinished() == sdk.tasks.messages("t1")


def test_alerts(sdk: OctopoidSDK) -> None:
    raised = sdk.alerts.raise_("quota:c-m:demo", "the provider refuses work", until=FUTURE)
    assert sdk.alerts.list() == [raised]
    sdk.alerts.clear("quota:c-m:demo")
    assert sdk.alerts.list() == []


def test_runs_usage_and_evidence(sdk: OctopoidSDK) -> None:
    claim = claimed(sdk, "t1")
    run_id = claim["run"]["id"]
    after = sdk.runs.update(run_id, status="running", cost_usd=0.5, tokens_input=7)
    assert sdk.runs.get(run_id) == after
    assert sdk.runs.list(task_id="t1") == sdk.runs.list(live=True) == sdk.status.runs() == [after]
    (used,) = sdk.runs.usage("task", since=SINCE)
    assert (used["key"], used["cost_usd"], used["tokens_input"]) == ("t1", 0.5, 7)
    noted = sdk.tasks.add_evidence(
        "t1", check="tests", command="pytest", commit_sha="a", base_sha="b", exit_code=None, duration_ms=1,
        at=SINCE, run_id=run_id,
    )  # fmt: skip
    assert (noted["exit_code"], noted["passed"]) == (None, False)
    assert sdk.tasks.evidence("t1") == [noted]
    assert sdk.tasks.unfinished_evidence() == [noted]
    sdk.tasks.submit("t1", head_sha="c" * 40, lease_token=claim["lease_token"])
    assert sdk.runs.end(run_id, outcome="stopped", reason="over")["status"] == "ended"
    with pytest.raises(Conflict):
        sdk.runs.update(run_id, turns=2)


def test_every_other_transition(sdk: OctopoidSDK) -> None:
    claim = claimed(sdk, "t1")
    assert sdk.tasks.release("t1", reason="busy", lease_token=claim["lease_token"])["queue"] == "incoming"
    assert sdk.tasks.hold("t1")["queue"] == "backlog"
    assert sdk.tasks.enqueue("t1")["queue"] == "incoming"
    assert sdk.tasks.escalate("t1", reason="a person", actor=ANA)["queue"] == "escalated"
    sdk.tasks.retry("t1")
    again = sdk.tasks.claim(orchestrator_id="c-m", agent_name="a", task_id="t1")
    assert again is not None
    assert sdk.tasks.continue_("t1", reason="out of turns")["queue"] == "incoming"
    assert sdk.tasks.claim(orchestrator_id="c-m", agent_name="a", task_id="t1") is not None
    sdk.tasks.submit("t1", head_sha="a" * 40)
    held = sdk.tasks.claim_in_place("t1", orchestrator_id="c-m", agent_name="a")
    assert held["run"]["role"] == "review"
    assert sdk.tasks.finish_in_place("t1")["queue"] == "provisional"
    assert sdk.tasks.approve("t1", actor=ANA)["approved_by"] == ANA
    part = {"title": "Part", "role": "implement", "base_branch": "main", "base_sha": "", "created_by": "ana"}
    assert sdk.tasks.split("t1", [{**part, "id": "p1"}, {**part, "blocked_by": ["p1"]}])["queue"] == "done"
    assert sdk.tasks.get("p1")["queue"] == "incoming"
    with pytest.raises(Conflict):
        sdk.tasks.block("p1")
    with pytest.raises(Conflict):
        sdk.tasks.unblock("p1")
    assert sdk.tasks.force("p1", "done", reason="so", actor=ANA)["queue"] == "done"
    claimed(sdk, "t2")
    sdk.tasks.submit("t2", head_sha="a" * 40)
    assert sdk.tasks.note_conflict("t2", reason="it does not merge")["id"] == "t2"
    kinds = [event["kind"] for event in sdk.tasks.history("t1")]
    assert (kinds[0], kinds[-1]) == ("create", "split")


def test_machines_leases_and_pauses(sdk: OctopoidSDK) -> None:
    claim = claimed(sdk, "t1")
    lease: dict[str, str | int] = {"task_id": "t1", "lease_token": claim["lease_token"]}
    assert sdk.orchestrators.renew_leases("c-m", [lease, {"task_id": "t1", "lease_token": 9}]) == ["t1"]
    assert sdk.orchestrators.expire_leases() == []
    agent = {
        "name": "a", "orchestrator_id": "c-m", "role": "implement", "adapter": "demo", "status": "busy",
        "task_id": "t1", "run_id": None, "pid": None, "reason": None, "updated_at": SINCE,
    }  # fmt: skip
    sdk.orchestrators.report_agents("c-m", [agent])
    assert [one["adapter"] for one in sdk.orchestrators.agents()] == ["demo"]
    assert sdk.orchestrators.set_status("c-m", "offline")["status"] == "offline"
    assert sdk.status.pause(reason="lunch", machine="c-m", actor=ANA)["machine"] == "c-m"
    assert (sdk.status.paused()["paused"], sdk.status.paused(machine="c-m")["paused"]) == (False, True)
    assert sdk.status.resume(machine="c-m", actor=ANA)["paused"] is False


def test_keys_sync_and_the_whole_state(sdk: OctopoidSDK, server: Live, tmp_path: Path) -> None:
    made = sdk.admin.create_key(label="one", scope="read", actor=ANA)
    with OctopoidSDK(server.url, made["token"]) as reader:
        assert reader.tasks.list() == []
        with pytest.raises(NotAllowed):
            reader.tasks.create(title="x", role="docs")
    assert sdk.admin.revoke_key(made["id"], actor=ANA)["revoked_at"] is not None
    assert made["id"] in {key["id"] for key in sdk.admin.list_keys()}
    assert sdk.sync.state() == sdk.sync.now()
    assert sdk.sync.pending() == []
    assert sdk.sync.conflicts() == []
    with pytest.raises(NotFound):
        sdk.sync.settle("x", "mine")
    sdk.tasks.create(id="t1", title="Ä", role="docs")
    state = sdk.admin.export_state()
    (tmp_path / "other").mkdir()
    with live(tmp_path / "other") as other, OctopoidSDK(socket_path=other.socket) as far:
        assert far.admin.import_state(state, actor=ANA)["tasks"] == 1
        assert far.tasks.get("t1") == sdk.tasks.get("t1")
        with pytest.raises(Conflict):
            far.admin.import_state(state)
        state["tasks"][0]["queue"] = "done"
        with pytest.raises(BadRequest):
            far.admin.import_state({**state, "format": "none"})


def test_the_same_to_be_awaited(server: Live) -> None:
    async def work() -> None:
        async with AsyncOctopoidSDK(socket_path=server.socket) as sdk:
            await sdk.workers.register("w", id="w1")
            await sdk.queue.enqueue(title="One", id="t1")
            order = await sdk.queue.claim("w1")
            assert order is not None
            await sdk.sessions.open("s1", worker_id="w1", task_id="t1")
            assert [one["task_id"] for one in await sdk.sessions.list(live=True)] == ["t1"]
            assert [one["id"] for one in await sdk.runs.list()] == [order["execution_id"]]
            assert (await sdk.queue.complete("w1", "t1"))["status"] == "completed"
            assert await sdk.alerts.list() == await sdk.rules.list() == []

    asyncio.run(work())
