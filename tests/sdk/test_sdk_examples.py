"""The examples of the documentation, against a real server over TCP and over a socket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_server import Live, live
from octopoid_sdk import (
    AsyncOctopoidClient,
    AsyncOctopoidSDK,
    Conflict,
    Duplicate,
    LeaseLost,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OctopoidClient,
    OctopoidSDK,
    UnknownOrchestrator,
    VersionConflict,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as one:
        yield one


@pytest.fixture(params=["tcp", "socket"])
def sdk(server: Live, request: pytest.FixtureRequest) -> Iterator[OctopoidSDK]:
    if request.param == "tcp":
        made = OctopoidSDK(server_url=server.url, api_key=server.key)
    else:
        made = OctopoidSDK(socket_path=server.socket)
    with made:
        yield made


@pytest.fixture
def client(server: Live) -> Iterator[OctopoidClient]:
    with OctopoidClient(server_url=server.url, api_key=server.key) as made:
        yield made


def finish(client: OctopoidClient, task_id: str, machine: str) -> None:
    """Work on a task as an agent of any language would."""
    claimed = client.claim_task(orchestrator_id=machine, agent_name="agent-1", task_id=task_id)
    assert claimed is not None
    client.submit_completion(task_id, commits_count=5, turns_used=10)


def test_create_list_and_approve_automatically(sdk: OctopoidSDK, client: OctopoidClient) -> None:
    task = sdk.tasks.create(
        id="my-task-123",
        file_path="tasks/incoming/TASK-my-task-123.md",
        queue="incoming",
        priority="P1",
        role="docs",
    )
    assert (task["id"], task["priority"], task["queue"]) == ("my-task-123", "P1", "incoming")
    assert [one["id"] for one in sdk.tasks.list(queue="incoming")] == ["my-task-123"]
    finish(client, "my-task-123", client.register_orchestrator(cluster="prod", machine_id="001")["id"])
    accepted = []
    for task in sdk.tasks.list(queue="provisional"):
        if task["role"] == "docs" and task.get("commits_count", 0) > 0:
            accepted.append(sdk.tasks.accept(task["id"], accepted_by="auto-approve"))
    assert [one["approved_by"] for one in accepted] == ["human:auto-approve"]
    assert not sdk.tasks.list(queue="provisional")


def test_the_flat_client(client: OctopoidClient) -> None:
    machine = client.register_orchestrator(cluster="prod", machine_id="001")
    assert machine["id"] == "prod-001"
    client.create_task(id="new-123", file_path="tasks/new-123.md", role="implement", priority="P1")
    assert [task["id"] for task in client.list_tasks(queue="incoming", priority="P1")] == ["new-123"]
    assert client.get_task("new-123")["file_path"] == "tasks/new-123.md"
    assert client.update_task("new-123", priority="P0")["priority"] == "P0"
    claimed = client.claim_task(orchestrator_id="prod-001", agent_name="agent-1")
    assert claimed is not None
    assert (claimed["id"], claimed["run"]["agent_name"]) == ("new-123", "agent-1")
    assert client.claim_task(orchestrator_id="prod-001", agent_name="agent-2") is None
    assert client.submit_completion("new-123", commits_count=5, turns_used=10)["queue"] == "provisional"
    rejected = client.reject_completion("new-123", reason="Failed tests")
    assert (rejected["queue"], rejected["rejection_count"]) == ("incoming", 1)
    finish(client, "new-123", "prod-001")
    client.accept_completion("new-123", accepted_by="reviewer")
    assert client.get_task("new-123")["approved_by"] == "human:reviewer"
    assert client.send_heartbeat(orchestrator_id="prod-001")["status"] == "active"


def test_the_flat_client_on_projects_and_drafts(client: OctopoidClient) -> None:
    made = client.create_project(id="proj-123", title="Faster shop", base_branch="release", auto_accept=True)
    assert client.get_project("proj-123") == made
    assert [one["id"] for one in client.list_projects()] == ["proj-123"]
    client.create_task(id="t1", role="implement", project_id="proj-123")
    assert client.get_task("t1")["base_branch"] == "release"
    with pytest.raises(Conflict) as refused:
        client.delete_project("proj-123")
    assert refused.value.details == ("it has unfinished tasks: t1",)
    client.create_draft(id="draft-3", title="Search ranking", project_id="proj-123", tags=["search"])
    assert client.update_draft("draft-3", status="proposed", version=1)["version"] == 2
    after = client.promote_draft("draft-3", [{"id": "t2", "role": "implement"}, {"role": "test"}])
    assert (after["status"], after["task_ids"][0], len(after["task_ids"])) == ("promoted", "t2", 2)
    assert client.get_draft("draft-3") == after
    assert client.list_drafts(project_id="proj-123", status="promoted") == [after]
    client.delete_draft("draft-3", actor="human:ana")
    with pytest.raises(VersionConflict):
        client.update_project("proj-123", title="Old", version=9)


def test_projects_and_drafts_by_namespace(sdk: OctopoidSDK) -> None:
    for number in range(203):
        sdk.projects.create(id=f"p{number:03}", title="P", scope="odd" if number % 2 else None)
    assert [one["id"] for one in sdk.projects.list()] == [f"p{number:03}" for number in range(203)]
    assert len(sdk.projects.list(scope="odd")) == 101
    assert len(sdk.projects.list(limit=7)) == 7
    assert sdk.projects.update("p000", status="completed")["completed_at"]
    assert [one["id"] for one in sdk.projects.list(status="completed")] == ["p000"]
    sdk.projects.delete("p000", version=2)
    with pytest.raises(NotFound):
        sdk.projects.get("p000")
    draft = sdk.drafts.create(title="Idea")
    with pytest.raises(Duplicate):
        sdk.drafts.create(id=draft["id"], title="Other")
    assert sdk.drafts.list() == [sdk.drafts.get(draft["id"])]


def test_a_scope_why_and_a_poll(sdk: OctopoidSDK) -> None:
    machine = sdk.orchestrators.register(cluster="prod", machine_id="001")["id"]
    sdk.tasks.create(id="t1", title="One", role="implement", scope="a")
    sdk.tasks.create(id="t2", title="Two", role="implement", blocked_by=["t1"])
    assert [one["id"] for one in sdk.tasks.list(scope="a")] == ["t1"]
    assert sdk.tasks.claim(orchestrator_id=machine, agent_name="x", scope="b") is None
    assert ("blocker", "t1 is incoming") in [(one["kind"], one["text"]) for one in sdk.tasks.why("t2")]
    said = sdk.orchestrators.poll(machine, roles=["implement"], after=0)
    assert [one["id"] for one in said["claimable"]["implement"]] == ["t1"]
    assert said["events"][-1]["seq"] == said["next_after"]
    claimed = sdk.tasks.claim(orchestrator_id=machine, agent_name="x", scope="a")
    assert claimed is not None
    (lease,) = sdk.orchestrators.poll(machine)["leases"]
    assert (lease["run_id"], lease["lease_token"]) == (claimed["run"]["id"], claimed["lease_token"])


def test_a_claim_by_an_unknown_machine_is_an_error_and_no_empty_queue(client: OctopoidClient) -> None:
    """L-4A"""
    client.create_task(id="t1", role="implement", title="One")
    with pytest.raises(UnknownOrchestrator, match="register"):
        client.claim_task(orchestrator_id="my-laptop", agent_name="agent-1")


def test_a_list_is_whole_however_many_pages_it_takes(sdk: OctopoidSDK) -> None:
    """A page's default length never cuts a count."""
    wanted = [f"t{number:03}" for number in range(230)]
    for task_id in wanted:
        sdk.tasks.create(id=task_id, title=task_id, role="implement")
    assert [task["id"] for task in sdk.tasks.list()] == wanted
    assert [task["id"] for task in sdk.tasks.list(limit=210)] == wanted[:210]
    assert [task["id"] for task in sdk.tasks.list(role=["implement", "test"], limit=3)] == wanted[:3]


def test_refusals_are_exceptions_of_their_own(sdk: OctopoidSDK) -> None:
    made = sdk.tasks.create(id="t1", title="One", role="implement")
    with pytest.raises(NotFound):
        sdk.tasks.get("t2")
    with pytest.raises(Duplicate):
        sdk.tasks.create(id="t1", title="Two", role="implement")
    sdk.tasks.update("t1", title="Uno", version=made["version"])
    with pytest.raises(VersionConflict):
        sdk.tasks.update("t1", title="Eins", version=made["version"])
    with pytest.raises(Conflict) as refused:
        sdk.tasks.accept("t1", accepted_by="ana")
    assert (refused.value.status, refused.value.slug) == (409, "wrong-state")
    with pytest.raises(LeaseLost):
        sdk.tasks.act("t1", "release", reason="mine", lease_token=9)
    with pytest.raises(ValueError, match="is no id"):
        sdk.tasks.get("../orchestrators")


def test_keys_are_needed_and_have_a_scope(server: Live) -> None:
    with OctopoidSDK(server.url) as nobody, pytest.raises(NotAuthenticated):
        nobody.tasks.list()
    with OctopoidSDK(server.url, "oct_nonsense_key") as wrong, pytest.raises(NotAuthenticated):
        wrong.tasks.list()
    with OctopoidSDK(server.url, server.reading) as reader:
        assert reader.tasks.list() == []
        with pytest.raises(NotAllowed, match="read"):
            reader.tasks.create(id="t1", title="One", role="implement")


def test_conversations_and_the_state_of_the_fleet(sdk: OctopoidSDK) -> None:
    sdk.tasks.create(id="t1", title="One", role="implement")
    sdk.messages.post("t1", "Mind the gap.")
    asked = sdk.messages.post("t1", "Which?", message_type="request", kind="question", options=["a", "b"])
    assert [one["id"] for one in sdk.messages.questions()] == [asked["id"]]
    assert sdk.messages.answer(asked["id"], "a", actor="human:ana")["answer"] == "a"
    assert [one["body"] for one in sdk.tasks.messages("t1")][:2] == ["Mind the gap.", "Which?"]
    assert sdk.status.queues()["incoming"] == 1
    assert sdk.status.pause(reason="lunch")["paused"]
    assert not sdk.status.resume()["paused"]
    assert sdk.status.health()["status"] == "healthy"
    assert [event["kind"] for event in sdk.tasks.history("t1")] == ["create"]
    sdk.tasks.delete("t1")
    assert sdk.tasks.get("t1")["queue"] == "cancelled"


async def test_the_same_awaited(server: Live) -> None:
    async with AsyncOctopoidSDK(server.url, server.key) as sdk:
        made = await sdk.tasks.create(title="One", role="implement")
        assert await sdk.tasks.get(made["id"]) == made
        assert [task["id"] for task in await sdk.tasks.list()] == [made["id"]]
        project = await sdk.projects.create(title="P")
        assert await sdk.projects.list() == [project]
        assert (await sdk.drafts.create(title="D"))["status"] == "idea"
    async with AsyncOctopoidClient(socket_path=server.socket) as client:
        assert (await client.get_task(made["id"]))["title"] == "One"


def test_an_event_stream_goes_on_where_the_connection_broke(server: Live) -> None:
    with OctopoidSDK(server.url, server.key) as sdk:
        feed = sdk.events.follow(after=sdk.events.last())
        sdk.tasks.create(id="t1", title="One", role="implement")
        assert next(feed)["entity_id"] == "t1"
        server.restart_tcp()
        sdk.tasks.create(id="t2", title="Two", role="implement")
        assert next(feed)["entity_id"] == "t2"
        assert [event["entity_id"] for event in sdk.events.list() if event["entity"] == "task"] == [
            "t1",
            "t2",
        ]
        feed.close()


async def test_the_awaited_event_stream_does_too(server: Live) -> None:
    async with AsyncOctopoidSDK(server.url, server.key) as sdk:
        await sdk.tasks.create(id="t1", title="One", role="implement")
        feed = sdk.events.follow()
        seen = [await anext(feed)]
        while seen[-1]["entity_id"] != "t1":
            seen.append(await anext(feed))
        server.restart_tcp()
        await sdk.tasks.create(id="t2", title="Two", role="implement")
        assert (await anext(feed))["entity_id"] == "t2"
        await feed.aclose()


def test_the_readme_runs(server: Live, client: OctopoidClient) -> None:
    client.create_task(id="t1", title="One", role="docs")
    finish(client, "t1", client.register_orchestrator(cluster="prod", machine_id="001")["id"])
    text = (ROOT / "sdk" / "python" / "README.md").read_text()
    found = re.search(r"```python\n(.*?)```", text, re.S)
    assert found is not None
    code = found[1].replace("https://octopoid.example.org", server.url).replace("oct_…", server.key)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    names["sdk"].close()
    assert client.get_task("t1")["approved_by"] == "human:auto-approve"
