"""Contract: projects, drafts, scopes, and why a task is where it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend.clock import ManualClock
from backend.errors import BadInput, Duplicate, NotFound, Refused, VersionConflict
from backend.interface import Action, Backend
from backend.model import (
    Actor,
    Agent,
    AgentStatus,
    MessageKind,
    MessageType,
    NewMessage,
    NewTask,
    Queue,
    SenderType,
    TaskFilter,
)
from backend.planning import DraftPatch, DraftStatus, NewDraft, NewProject, ProjectPatch, ProjectStatus

ANA = Actor(SenderType.HUMAN, "ana")
SHOP = NewProject("shop", "Faster shop", "ana", "All of it", "release", True, "acme", {"key": [1, "ü"]})
IDEA = NewDraft("idea", "Search", "ana", "Rank better", "shop", "drafts/s.md", ("search",), "acme", {"a": 1})


async def kinds(backend: Backend, entity_id: str) -> list[tuple[str, str, str | None, str | None]]:
    events = await backend.events(entity_id=entity_id)
    return [(one.entity, one.kind, one.from_state, one.to_state) for one in events]


# Projects


async def test_a_project_is_made_once_and_read_as_it_was_given(backend: Backend) -> None:
    made = await backend.create_project(SHOP, actor=ANA)
    assert (made.title, made.description, made.base_branch, made.auto_accept, made.scope, made.metadata) == (
        "Faster shop", "All of it", "release", True, "acme", {"key": [1, "ü"]},
    )  # fmt: skip
    assert (made.status, made.version, made.created_by, made.completed_at) == (
        ProjectStatus.ACTIVE, 1, "ana", None,
    )  # fmt: skip
    assert await backend.get_project("shop") == made
    assert await backend.create_project(SHOP, actor=ANA) == made
    with pytest.raises(Duplicate):
        await backend.create_project(NewProject("shop", "Other", "ana"), actor=ANA)
    assert await kinds(backend, "shop") == [("project", "create", None, "active")]


async def test_projects_are_listed_oldest_first(backend: Backend) -> None:
    assert await backend.list_projects() == []
    for name in ("b", "a", "c"):
        await backend.create_project(NewProject(name, name, "ana"), actor=ANA)
    assert [one.id for one in await backend.list_projects()] == ["b", "a", "c"]


@pytest.mark.parametrize(
    "new", [NewProject("../x", "T", "ana"), NewProject("p", " ", "ana"), NewProject("p", "T", "a", scope="/")]
)
async def test_a_project_that_cannot_be_is_refused(backend: Backend, new: NewProject) -> None:
    with pytest.raises(BadInput):
        await backend.create_project(new, actor=ANA)
    assert await backend.list_projects() == []


async def test_a_project_is_edited_by_version(backend: Backend, clock: ManualClock) -> None:
    made = await backend.create_project(SHOP, actor=ANA)
    clock.advance(5)
    after = await backend.edit_project(
        "shop", ProjectPatch(title="Shop", auto_accept=False), actor=ANA, version=1
    )
    assert (after.title, after.auto_accept, after.version) == ("Shop", False, 2)
    assert after.updated_at == made.updated_at + timedelta(seconds=5)
    assert await backend.get_project("shop") == after
    assert await backend.edit_project("shop", ProjectPatch(title="Shop"), actor=ANA) == after
    with pytest.raises(VersionConflict):
        await backend.edit_project("shop", ProjectPatch(title="Old"), actor=ANA, version=1)
    with pytest.raises(BadInput):
        await backend.edit_project("shop", ProjectPatch(title=""), actor=ANA)
    with pytest.raises(NotFound):
        await backend.edit_project("none", ProjectPatch(title="x"), actor=ANA)


async def test_a_project_with_unfinished_tasks_is_neither_completed_nor_deleted(
    acts: Any, backend: Backend
) -> None:
    await backend.create_project(SHOP, actor=ANA)
    await acts.create("t1", project_id="shop")
    await acts.create("t2", project_id="other")
    completed = ProjectPatch(status=ProjectStatus.COMPLETED)
    with pytest.raises(Refused, match="t1") as refused:
        await backend.edit_project("shop", completed, actor=ANA)
    assert refused.value.details == ("it has unfinished tasks: t1",)
    with pytest.raises(Refused, match="t1"):
        await backend.delete_project("shop", actor=ANA)
    await acts.do("t1", Action.CANCEL)
    done = await backend.edit_project("shop", completed, actor=ANA)
    assert (done.status, done.completed_at) == (ProjectStatus.COMPLETED, done.updated_at)
    again = await backend.edit_project("shop", ProjectPatch(status=ProjectStatus.ACTIVE), actor=ANA)
    assert again.completed_at is None
    with pytest.raises(VersionConflict):
        await backend.delete_project("shop", actor=ANA, version=1)
    await backend.delete_project("shop", actor=ANA, version=again.version)
    with pytest.raises(NotFound):
        await backend.get_project("shop")
    assert (await backend.get_task("t1")).project_id == "shop"
    assert [kind for _, kind, _, _ in await kinds(backend, "shop")] == ["create", "edit", "edit", "delete"]
    assert (await backend.create_project(SHOP, actor=ANA)).version == 1


async def test_tasks_are_found_by_project(acts: Any, backend: Backend) -> None:
    await acts.create("t1", project_id="shop")
    await acts.create("t2")
    assert [one.id for one in await backend.list_tasks(TaskFilter(project_id="shop"))] == ["t1"]


# Drafts


async def test_a_draft_is_made_edited_and_deleted(backend: Backend) -> None:
    made = await backend.create_draft(IDEA, actor=ANA)
    assert (made.body, made.project_id, made.file_path, made.tags, made.task_ids, made.scope) == (
        "Rank better", "shop", "drafts/s.md", ("search",), (), "acme",
    )  # fmt: skip
    assert (made.status, made.version) == (DraftStatus.IDEA, 1)
    assert await backend.create_draft(IDEA, actor=ANA) == made
    with pytest.raises(Duplicate):
        await backend.create_draft(NewDraft("idea", "Other", "ana"), actor=ANA)
    patch = DraftPatch(status=DraftStatus.PROPOSED, tags=("a", "b"), body="Better")
    after = await backend.edit_draft("idea", patch, actor=ANA, version=1)
    assert (after.status, after.tags, after.body, after.version) == (
        DraftStatus.PROPOSED, ("a", "b"), "Better", 2,
    )  # fmt: skip
    assert await backend.list_drafts() == [after]
    with pytest.raises(VersionConflict):
        await backend.edit_draft("idea", DraftPatch(title="x"), actor=ANA, version=1)
    with pytest.raises(Refused):
        await backend.edit_draft("idea", DraftPatch(status=DraftStatus.PROMOTED), actor=ANA)
    await backend.delete_draft("idea", actor=ANA)
    with pytest.raises(NotFound):
        await backend.get_draft("idea")
    assert [kind for _, kind, _, _ in await kinds(backend, "idea")] == ["create", "edit", "delete"]


def becoming(task_id: str, **changes: Any) -> NewTask:
    return NewTask(task_id, task_id.upper(), "implement", "main", "", "ana", **changes)


async def test_a_draft_becomes_tasks_all_or_none(backend: Backend) -> None:
    await backend.create_draft(IDEA, actor=ANA)
    with pytest.raises(NotFound):
        await backend.promote_draft("idea", [becoming("t1"), becoming("t2", blocked_by=("none",))], actor=ANA)
    assert await backend.list_tasks(TaskFilter()) == []
    with pytest.raises(BadInput):
        await backend.promote_draft("idea", [], actor=ANA)
    tasks = [becoming("t1"), becoming("t2", blocked_by=("t1",))]
    after = await backend.promote_draft("idea", tasks, actor=ANA)
    assert (after.status, after.task_ids, after.version) == (DraftStatus.PROMOTED, ("t1", "t2"), 2)
    found = {one.id: one.queue for one in await backend.list_tasks(TaskFilter())}
    assert found == {"t1": Queue.INCOMING, "t2": Queue.BLOCKED}
    assert await backend.promote_draft("idea", tasks, actor=ANA) == after
    more = await backend.promote_draft("idea", [becoming("t3")], actor=ANA)
    assert more.task_ids == ("t1", "t2", "t3")


# Scopes


async def test_a_scope_keeps_lists_and_claims_apart(acts: Any, backend: Backend) -> None:
    for task_id, scope in (("t1", None), ("t2", "a"), ("t3", "b"), ("t4", "a")):
        assert (await acts.create(task_id, scope=scope)).scope == scope
    found = await backend.list_tasks(TaskFilter(scope="a"))
    assert [one.id for one in found] == ["t2", "t4"]
    assert (await acts.claim(scope="a")).task.id == "t2"
    assert (await acts.claim(scope="a", roles=("implement",))).task.id == "t4"
    assert await backend.claim(acts.asking(scope="a")) is None
    assert await backend.claim(acts.asking(scope="a", roles=("implement",))) is None
    with pytest.raises(NotFound, match="scope a"):
        await backend.claim(acts.asking(scope="a", task_id="t3"))
    assert (await acts.claim(scope="b", task_id="t3")).task.scope == "b"
    assert (await acts.claim()).task.id == "t1"


async def test_a_scope_is_a_name(acts: Any) -> None:
    with pytest.raises(BadInput, match="scope"):
        await acts.create("t1", scope="a b")


# Why


async def known(backend: Backend, task_id: str) -> dict[str, list[tuple[bool, str]]]:
    reasons: dict[str, list[tuple[bool, str]]] = {}
    for one in await backend.why(task_id):
        reasons.setdefault(one.kind, []).append((one.holds, one.text))
    return reasons


async def test_why_an_incoming_task_waits(acts: Any, backend: Backend, clock: ManualClock) -> None:
    await acts.create()
    said = await known(backend, "t")
    assert said["state"] == [(False, "it waits for an agent of role implement")]
    assert said["machine"] == [(True, "no machine has reported an agent of role implement")]
    assert said["attempts"][0][0] is False
    task = await backend.get_task("t")
    slot = Agent(
        "impl-1", acts.orchestrator_id, "implement", "demo", AgentStatus.IDLE, None, None, None, "no work",
        task.created_at,
    )  # fmt: skip
    await backend.report_agents(acts.orchestrator_id, [slot])
    await backend.pause(actor=ANA, reason="lunch", until=task.created_at + timedelta(seconds=500))
    clock.advance(130)
    said = await known(backend, "t")
    assert said["machine"] == [(True, "home-laptop is offline, last seen 130 s ago: impl-1 idle")]
    assert said["paused"] == [(True, "intake is paused by human:ana: lunch")]
    (paused,) = [one for one in await backend.why("t") if one.kind == "paused"]
    assert paused.when == task.created_at + timedelta(seconds=500)


async def test_why_a_task_is_blocked_or_held_or_waits_for_an_answer(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    await acts.create("a")
    await acts.create("b", blocked_by=("a",))
    assert (await known(backend, "b"))["blocker"] == [(True, "a is incoming")]
    claim = await acts.claim()
    bot = Actor(SenderType.WORKER, "impl-1")
    asked = NewMessage(
        "m1", "a", bot, MessageType.REQUEST, MessageKind.QUESTION, "Which\none?", run_id=claim.run.id
    )
    await backend.post_message(asked)
    clock.advance(100)
    said = await known(backend, "a")
    assert said["state"] == [(False, "impl-1 is at work on it")]
    (lease,) = [one for one in await backend.why("a") if one.kind == "lease"]
    assert lease.text == f"impl-1 on home-laptop holds it with run {claim.run.id}; the lease has 200 s left"
    assert lease.when == claim.task.lease_expires_at
    assert said["question"][0][0] is True
    assert said["question"][0][1].startswith("nobody has answered m1: Which")
    clock.advance(201)
    assert (await known(backend, "a"))["lease"][0][1].endswith("the lease has run out")
    with pytest.raises(NotFound):
        await backend.why("none")
