"""The calls of older clients and of the documentation's examples, as they are written there."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tcp_serving import Tcp, serve_tcp

from backend.keys import KeyScope


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Tcp]:
    async with serve_tcp(tmp_path, keys=False) as one:
        yield one


MACHINE = {"cluster": "test", "machine_id": "test-1", "repo_url": "https://github.com/..."}
TASK = {"id": "test-123", "file_path": "tasks/test-123.md", "role": "implement"}
CLAIM = {"orchestrator_id": "test-test-1", "agent_name": "test-agent", "role_filter": "implement"}


async def post(site: Tcp, path: str, body: dict[str, Any], status: int = 200) -> Any:
    answer = await site.http.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def claimed(site: Tcp) -> Any:
    await post(site, "orchestrators/register", MACHINE, 201)
    await post(site, "tasks", TASK, 201)
    return await post(site, "tasks/claim", CLAIM)


async def submitted(site: Tcp) -> Any:
    await claimed(site)
    return await post(site, "tasks/test-123/submit", {"commits_count": 5, "turns_used": 10})


async def test_health_says_healthy_and_the_version(site: Tcp) -> None:
    said = (await site.http.get("/api/health")).json()
    assert said["status"] == "healthy"
    assert said["version"]


async def test_registering_answers_with_the_id_to_claim_by(site: Tcp) -> None:
    """L-4A: the id is made by the server, and the claim that uses it finds work."""
    machine = await post(site, "orchestrators/register", MACHINE, 201)
    assert machine["id"] == "test-test-1"
    await post(site, "orchestrators/register", MACHINE, 200)


async def test_a_task_needs_only_id_file_and_role(site: Tcp) -> None:
    task = await post(site, "tasks", TASK, 201)
    assert (task["title"], task["queue"], task["base_branch"]) == ("test-123", "incoming", "main")
    assert task["base_sha"] == ""
    listed = (await site.http.get("/api/v1/tasks")).json()
    assert [one["id"] for one in listed["tasks"]] == ["test-123"]


async def test_the_example_of_the_sdk_makes_a_task(site: Tcp) -> None:
    body = {
        "id": "my-task-123",
        "file_path": "tasks/incoming/TASK-my-task-123.md",
        "queue": "incoming",
        "priority": "P1",
        "role": "implement",
    }
    task = await post(site, "tasks", body, 201)
    assert (task["title"], task["priority"], task["file_path"]) == ("my-task-123", "P1", body["file_path"])


async def test_a_task_may_begin_in_the_backlog_and_nowhere_else(site: Tcp) -> None:
    assert (await post(site, "tasks", {**TASK, "queue": "backlog"}, 201))["queue"] == "backlog"
    await post(site, "tasks", {**TASK, "id": "other", "queue": "done"}, 422)


async def test_a_claim_names_its_role_and_its_time(site: Tcp) -> None:
    await post(site, "orchestrators/register", MACHINE, 201)
    await post(site, "tasks/claim", CLAIM, 204)
    await post(site, "tasks", TASK, 201)
    await post(site, "tasks/claim", {**CLAIM, "role_filter": "review"}, 204)
    task = await post(site, "tasks/claim", {**CLAIM, "lease_duration_seconds": 60, "queue": "incoming"})
    assert (task["queue"], task["claimed_by"], task["orchestrator_id"]) == (
        "claimed", "test-agent", "test-test-1",
    )  # fmt: skip
    site.clock.advance(61)
    assert [one.id for one in await site.backend.expire_leases()] == ["test-123"]


async def test_a_lease_lasts_five_minutes_by_itself(site: Tcp) -> None:
    await claimed(site)
    site.clock.advance(299)
    assert await site.backend.expire_leases() == []
    await post(site, "tasks/test-123/renew", {"agent_name": "test-agent"})
    site.clock.advance(299)
    assert await site.backend.expire_leases() == []
    site.clock.advance(2)
    assert len(await site.backend.expire_leases()) == 1
    await post(site, "tasks/test-123/renew", {}, 409)


async def test_a_claimant_nobody_knows_is_refused(site: Tcp) -> None:
    """L-4A: it does not look like an empty queue."""
    await post(site, "tasks", TASK, 201)
    refused = await post(site, "tasks/claim", CLAIM, 422)
    assert refused["slug"] == "unknown-orchestrator"


async def test_work_is_handed_in_without_a_fence(site: Tcp) -> None:
    task = await submitted(site)
    assert task["queue"] == "provisional"
    (run,) = (await site.http.get("/api/v1/tasks/test-123/runs")).json()["runs"]
    assert (run["commits_count"], run["turns"], run["outcome"]) == (5, 10, "submitted")
    (listed,) = (await site.http.get("/api/v1/tasks?queue=provisional")).json()["tasks"]
    assert (listed["commits_count"], listed["turns_used"]) == (5, 10)


async def test_work_nobody_holds_a_lease_on_is_not_handed_in(site: Tcp) -> None:
    await post(site, "tasks", TASK, 201)
    refused = await post(site, "tasks/test-123/submit", {"commits_count": 1}, 409)
    assert refused["details"]


async def test_another_worker_cannot_hand_it_in(site: Tcp) -> None:
    await claimed(site)
    refused = await post(site, "tasks/test-123/submit", {"agent_name": "somebody"}, 409)
    assert refused["slug"] == "lease-lost"
    await post(site, "tasks/test-123/fail", {"reason": "no", "orchestrator_id": "other"}, 409)


async def test_accepting_by_name_is_done(site: Tcp) -> None:
    await submitted(site)
    task = await post(site, "tasks/test-123/accept", {"accepted_by": "auto-approve"})
    assert (task["queue"], task["approved_by"]) == ("done", "human:auto-approve")


async def test_accepting_commits_leaves_the_merge_to_an_orchestrator(site: Tcp) -> None:
    await claimed(site)
    await post(site, "tasks/test-123/submit", {"commits_count": 1, "head_sha": "a" * 40})
    task = await post(site, "tasks/test-123/accept", {"accepted_by": "ana"})
    assert (task["queue"], task["approved_sha"]) == ("provisional", "a" * 40)


async def test_rejecting_sends_it_back_with_the_reason(site: Tcp) -> None:
    await submitted(site)
    task = await post(site, "tasks/test-123/reject", {"reason": "no tests", "rejected_by": "ana"})
    assert (task["queue"], task["rejection_count"]) == ("incoming", 1)
    (message,) = (await site.http.get("/api/v1/tasks/test-123/messages")).json()["messages"]
    assert (message["body"], message["sender_id"]) == ("no tests", "ana")
    await post(site, "tasks/test-123/reject", {"reason": "again", "rejected_by": ""}, 422)


async def test_what_the_table_refuses_has_an_error_and_details(site: Tcp) -> None:
    await post(site, "tasks", TASK, 201)
    refused = await site.http.post("/api/v1/tasks/test-123/accept", json={"accepted_by": "ana"})
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert isinstance(refused.json()["error"], str)
    assert refused.json()["details"]


async def test_giving_back_and_failing_need_no_fence(site: Tcp) -> None:
    await claimed(site)
    assert (await post(site, "tasks/test-123/requeue", {}))["queue"] == "incoming"
    await post(site, "tasks/claim", CLAIM)
    assert (await post(site, "tasks/test-123/fail", {"reason": "stuck"}))["queue"] == "failed"


async def test_a_reviewer_claims_from_the_provisional_queue(site: Tcp) -> None:
    await submitted(site)
    asking = {**CLAIM, "role_filter": "review", "queue": "provisional", "agent_name": "gatekeeper-1"}
    task = await post(site, "tasks/claim", asking)
    assert (task["queue"], task["claimed_by"], task["run"]["role"]) == (
        "provisional",
        "gatekeeper-1",
        "review",
    )
    await post(site, "tasks/claim", asking, 204)


@pytest.mark.parametrize(
    "change", [{"queue": "done"}, {"claimed_by": "me"}, {"attempt_count": 0}, {"orchestrator_id": "x"}]
)
async def test_a_patch_changes_no_state(site: Tcp, change: dict[str, Any]) -> None:
    await post(site, "tasks", TASK, 201)
    assert (await site.http.patch("/api/v1/tasks/test-123", json=change)).status_code == 422
    edited = await site.http.patch("/api/v1/tasks/test-123", json={"priority": "P0"})
    assert edited.json()["priority"] == "P0"


async def test_deleting_cancels_and_keeps_the_record(site: Tcp) -> None:
    await claimed(site)
    assert (await site.http.delete("/api/v1/tasks/test-123")).status_code == 409
    await post(site, "tasks/test-123/requeue", {})
    for _ in range(2):
        assert (await site.http.delete("/api/v1/tasks/test-123")).status_code == 204
    assert (await site.http.get("/api/v1/tasks/test-123")).json()["queue"] == "cancelled"
    assert (await site.http.delete("/api/v1/tasks/none")).status_code == 404


async def test_what_is_done_is_not_deleted(site: Tcp) -> None:
    await submitted(site)
    await post(site, "tasks/test-123/accept", {"accepted_by": "ana"})
    assert (await site.http.delete("/api/v1/tasks/test-123")).status_code == 409


async def test_the_history_has_every_step(site: Tcp) -> None:
    await submitted(site)
    events = (await site.http.get("/api/v1/tasks/test-123/history")).json()["events"]
    assert [event["kind"] for event in events] == ["create", "claim", "submit"]


async def test_filters_find_by_each_field(site: Tcp) -> None:
    await claimed(site)
    await post(site, "tasks", {"id": "t2", "title": "Write it up", "role": "docs", "priority": "P0"}, 201)
    for query, ids in (
        ("queue=claimed", ["test-123"]), ("role=docs", ["t2"]), ("priority=P0", ["t2"]),
        ("claimed_by=test-agent", ["test-123"]), ("q=write", ["t2"]), ("type=bugfix", []),
    ):  # fmt: skip
        found = (await site.http.get(f"/api/v1/tasks?{query}")).json()
        assert [task["id"] for task in found["tasks"]] == ids, query


@pytest.mark.parametrize("query", ["", "&role=implement"])
async def test_cursors_lead_through_all_pages_once(site: Tcp, query: str) -> None:
    for number in range(7):
        await post(site, "tasks", {"id": f"t{number}", "role": "implement"}, 201)
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await site.http.get(f"/api/v1/tasks?queue=incoming&limit=3{query}{cursor}")).json()
        seen += [task["id"] for task in page["tasks"]]
        if len(seen) == 3:  # what goes meanwhile does not shift what follows
            assert page["total"] == 7
            await post(site, "tasks/t0/cancel", {})
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [f"t{number}" for number in range(7)]
    assert (await site.http.get("/api/v1/tasks?cursor=x")).status_code == 422


async def test_a_stale_version_is_412_and_the_same_post_is_made_once(site: Tcp) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await site.http.post("/api/v1/tasks", json=TASK, headers=headers)
    again = await site.http.post("/api/v1/tasks", json=TASK, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    stale = {"If-Match": '"v9"'}
    assert first.headers["etag"] == '"v1"'
    assert (await site.http.delete("/api/v1/tasks/test-123", headers=stale)).status_code == 412
    cancel = await site.http.post("/api/v1/tasks/test-123/cancel", json={}, headers=stale)
    assert cancel.status_code == 412


async def test_metrics_count_what_there_is(site: Tcp) -> None:
    await claimed(site)
    said = await site.http.get("/metrics")
    assert said.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = said.text.splitlines()
    for line in (
        'octopoid_tasks{queue="claimed"} 1',
        "octopoid_leases 1",
        'octopoid_orchestrators{status="active"} 1',
    ):
        assert line in lines


async def test_two_machines_do_not_hand_in_each_others_work(tmp_path: Path) -> None:
    """T14: without a fence, the key's machine decides."""
    async with serve_tcp(tmp_path) as site:
        await site.backend.register("c", "a", pid=None)
        await site.backend.register("c", "b", pid=None)
        a, b = await site.headers(KeyScope.WORK, "c-a"), await site.headers(KeyScope.WORK, "c-b")
        await site.http.post("/api/v1/tasks", json=TASK, headers=a)
        claim = {"orchestrator_id": "c-a", "agent_name": "x"}
        assert (await site.http.post("/api/v1/tasks/claim", json=claim, headers=b)).status_code == 403
        assert (await site.http.post("/api/v1/tasks/claim", json=claim, headers=a)).status_code == 200
        done = {"commits_count": 1}
        stolen = await site.http.post("/api/v1/tasks/test-123/submit", json=done, headers=b)
        assert (stolen.status_code, stolen.json()["slug"]) == (403, "forbidden")
        own = await site.http.post("/api/v1/tasks/test-123/submit", json=done, headers=a)
        assert own.json()["queue"] == "provisional"


# The lines as they are written, by the program they are written for

AT_HOME, ELSEWHERE = "http://localhost:8787", "https://your-server"
LINES = (
    ("curl http://localhost:8787/api/health", "healthy"),
    (
        """curl -X POST http://localhost:8787/api/v1/orchestrators/register \
  -H "Content-Type: application/json" \
  -d '{"cluster":"test","machine_id":"test-1","repo_url":"https://github.com/..."}'""",
        "test-test-1",
    ),
    (
        """curl -X POST http://localhost:8787/api/v1/tasks \
  -H "Content-Type: application/json" \
  -d '{"id":"test-123","file_path":"tasks/test-123.md","role":"implement"}'""",
        "test-123",
    ),
    ("curl http://localhost:8787/api/v1/tasks", "test-123"),
    (
        """curl -X POST http://localhost:8787/api/v1/tasks/claim \
  -H "Content-Type: application/json" \
  -d '{"orchestrator_id":"test-test-1","agent_name":"test-agent","role_filter":"implement"}'""",
        "test-agent",
    ),
)
IMPORT = """curl -X POST https://your-server/api/admin/import \
  -H "Content-Type: application/json" \
  -d @backup.json"""


async def curl(site: Tcp, line: str, folder: Path) -> str:
    """What a line prints when it calls this server; it fails on an answer of 400 or more."""
    command = line.replace(AT_HOME, site.url).replace(ELSEWHERE, site.url)
    program, *arguments = shlex.split(command)
    options = ["--silent", "--show-error", "--fail-with-body", "--noproxy", "*"]
    process = await asyncio.create_subprocess_exec(
        program, *options, *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_every_line_works_as_it_is_written(site: Tcp, tmp_path: Path) -> None:
    for line, expected in LINES:
        assert expected in await curl(site, line, tmp_path), line


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_an_export_is_imported_by_the_line_for_it(site: Tcp, tmp_path: Path) -> None:
    await claimed(site)
    backup = await curl(site, f"curl {AT_HOME}/api/admin/export", tmp_path)
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "backup.json").write_text(backup)
    async with serve_tcp(folder, keys=False) as other:
        assert '"tasks":1' in await curl(other, IMPORT, folder)
        there, before = [await one.backend.get_task("test-123") for one in (other, site)]
        assert (there.title, there.fence, there.attempt_count) == (before.title, before.fence, 1)
        assert (there.claimed_by, before.claimed_by) == (None, "test-agent"), "leases stay where they were"
