"""Contract: create, read, list and edit tasks, and what waits for what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.clock import ManualClock
from backend.errors import BadInput, DependencyCycle, Duplicate, NotFound, Refused, VersionConflict
from backend.interface import Action, Backend
from backend.model import (
    Actor,
    Complexity,
    NewTask,
    Priority,
    Queue,
    SenderType,
    TaskFilter,
    TaskPatch,
    TaskType,
)

ANA = Actor(SenderType.HUMAN, "ana")


def new(task_id: str = "t", **changes: Any) -> NewTask:
    base = NewTask(task_id, "Title", "implement", "main", "base", "ana")
    return replace(base, **changes)


async def test_a_task_is_stored_as_it_was_described(backend: Backend, clock: ManualClock) -> None:
    wanted = new(
        body="ünïcode\n# head", priority=Priority.P0, type=TaskType.BUGFIX, complexity=Complexity.XL,
        needs=("db", "port"), project_id="p", file_path="a/b.md", repo_url="r", auto_accept=True,
        metadata={"kept": [1, {"deep": None}], "text": "x"},
    )  # fmt: skip
    task = await backend.create_task(wanted, actor=ANA)
    assert task == await backend.get_task("t")
    for name in ("body", "priority", "type", "complexity", "needs", "project_id", "file_path", "repo_url",
                 "auto_accept", "metadata", "base_branch", "base_sha", "created_by"):  # fmt: skip
        assert getattr(task, name) == getattr(wanted, name), name
    assert (task.queue, task.version, task.fence, task.attempt_count) == (Queue.INCOMING, 1, 0, 0)
    assert task.created_at == task.updated_at
    assert task.created_at.timestamp() * 1000 == clock.now_ms()


async def test_creating_again_is_no_error_and_writes_nothing(acts: Any, backend: Backend) -> None:
    await backend.create_task(new(), actor=ANA)
    await acts.claim()
    seq = await backend.last_seq()
    assert (await backend.create_task(new(), actor=ANA)).queue is Queue.CLAIMED
    assert await backend.last_seq() == seq


async def test_another_task_under_the_same_id_is_a_duplicate(backend: Backend) -> None:
    await backend.create_task(new(), actor=ANA)
    with pytest.raises(Duplicate, match="task t exists"):
        await backend.create_task(new(title="Other"), actor=ANA)


async def test_a_file_belongs_to_one_task(backend: Backend) -> None:
    await backend.create_task(new(file_path="a.md"), actor=ANA)
    with pytest.raises(Duplicate, match="belongs to task t"):
        await backend.create_task(new("u", file_path="a.md"), actor=ANA)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": " "},
        {"role": ""},
        {"base_branch": ""},
        {"blocked_by": ("../x",)},
        {"id": "a/b"},
    ],
)
async def test_l32_what_is_required_is_required_at_the_edge(
    backend: Backend, changes: dict[str, Any]
) -> None:
    with pytest.raises(BadInput):
        await backend.create_task(new(**changes), actor=ANA)
    assert await backend.list_tasks(TaskFilter()) == []


async def test_a_task_that_does_not_exist_is_not_found(backend: Backend) -> None:
    with pytest.raises(NotFound, match="no task 'x'"):
        await backend.get_task("x")
    with pytest.raises(NotFound):
        await backend.edit_task("x", TaskPatch(title="y"), actor=ANA)


async def test_tasks_are_listed_in_claim_order(acts: Any, backend: Backend) -> None:
    await acts.create("low", priority=Priority.P3)
    await acts.create("old")
    await acts.create("young")
    await acts.create("urgent", priority=Priority.P0)
    await acts.provisional("rejected")
    await acts.do("rejected", Action.REJECT, reason="no")
    listed = [task.id for task in await backend.list_tasks(TaskFilter())]
    assert listed == ["urgent", "rejected", "old", "young", "low"]
    claimed = [(await acts.claim()).task.id for _ in listed]
    assert claimed == listed


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (TaskFilter(queues=frozenset({Queue.BACKLOG})), ["b"]),
        (TaskFilter(queues=frozenset({Queue.BACKLOG, Queue.BLOCKED})), ["b", "c"]),
        (TaskFilter(priorities=frozenset({Priority.P0})), ["a"]),
        (TaskFilter(roles=frozenset({"test", "none"})), ["b"]),
        (TaskFilter(project_id="p"), ["c"]),
        (TaskFilter(text="100%"), ["a"]),
        (TaskFilter(text="_"), ["c"]),
        (TaskFilter(text="\\"), ["b"]),
        (TaskFilter(text="NEEDLE"), ["b"]),
        (TaskFilter(limit=2), ["a", "b"]),
        (TaskFilter(limit=0), []),
        (TaskFilter(roles=frozenset({"implement"}), priorities=frozenset({Priority.P2})), ["c"]),
    ],
)
async def test_filters_narrow_a_listing(
    acts: Any, backend: Backend, wanted: TaskFilter, found: list[str]
) -> None:
    await acts.create("a", priority=Priority.P0, title="100% sure")
    await acts.create("b", role="test", backlog=True, body="back\\slash needle")
    await acts.create("c", blocked_by=("a",), project_id="p", body="under_score")
    assert [task.id for task in await backend.list_tasks(wanted)] == found


async def test_counts_are_kept_for_every_state(acts: Any, backend: Backend) -> None:
    await acts.create("a")
    await acts.create("b", backlog=True)
    await acts.create("c", blocked_by=("a",))
    await acts.claim()
    counts = await backend.count_queues()
    assert set(counts) == set(Queue)
    assert {queue: n for queue, n in counts.items() if n} == {
        Queue.CLAIMED: 1, Queue.BACKLOG: 1, Queue.BLOCKED: 1,
    }  # fmt: skip


async def test_an_edit_changes_what_it_names_and_nothing_else(acts: Any, backend: Backend) -> None:
    before = await acts.create(body="b", metadata={"a": 1})
    patch = TaskPatch(title="New", priority=Priority.P1, auto_accept=True, metadata={"b": 2}, pr_url="u")
    after = await backend.edit_task("t", patch, actor=ANA, version=1)
    assert after == await backend.get_task("t")
    assert after == replace(
        before, title="New", priority=Priority.P1, auto_accept=True, metadata={"b": 2}, pr_url="u", version=2,
        updated_at=after.updated_at,
    )  # fmt: skip
    event = (await backend.events(entity_id="t"))[-1]
    assert (event.kind, event.actor, event.version) == ("edit", "human:ana", 2)
    assert event.data == {"fields": ["auto_accept", "metadata", "pr_url", "priority", "title"]}


async def test_an_edit_that_changes_nothing_leaves_the_version(acts: Any, backend: Backend) -> None:
    await acts.create()
    assert (await backend.edit_task("t", TaskPatch(title="T"), actor=ANA)).version == 1
    assert await acts.kinds("t") == ["create"]


async def test_an_edit_over_somebody_elses_is_a_conflict(acts: Any, backend: Backend) -> None:
    await acts.create()
    await backend.edit_task("t", TaskPatch(title="Mine"), actor=ANA, version=1)
    with pytest.raises(VersionConflict, match="version 2, not 1"):
        await backend.edit_task("t", TaskPatch(title="Yours"), actor=ANA, version=1)


async def test_an_edit_does_not_take_a_claim_away(acts: Any, backend: Backend) -> None:
    await acts.create()
    claim = await acts.claim()
    edited = await backend.edit_task("t", TaskPatch(priority=Priority.P0), actor=ANA)
    assert (edited.run_id, edited.fence) == (claim.run.id, claim.task.fence)
    assert (await acts.submit(claim)).queue is Queue.PROVISIONAL


# What waits for what


async def test_l28_dependents_wait_and_are_unblocked_with_the_accept(acts: Any, backend: Backend) -> None:
    await acts.create("a")
    await acts.create("b")
    c = await acts.create("c", blocked_by=("b", "a", "a"))
    assert (c.queue, c.blocked_by) == (Queue.BLOCKED, ("a", "b"))
    for task_id in ("a", "b"):
        await acts.submit(await acts.claim(task_id=task_id))
    await acts.done("a")
    assert await acts.queue("c") is Queue.BLOCKED
    assert (await backend.get_task("c")).version == 1
    seq = await backend.last_seq()
    await acts.done("b")
    assert await acts.queue("c") is Queue.INCOMING
    kinds = [(e.entity_id, e.kind) for e in await backend.events(after=seq)]
    assert kinds == [("b", "approve"), ("b", "accept"), ("c", "unblock")]


async def test_a_task_that_waits_for_what_is_done_is_ready(acts: Any) -> None:
    await acts.provisional("a")
    await acts.done("a")
    assert (await acts.create("b", blocked_by=("a",))).queue is Queue.INCOMING


@pytest.mark.parametrize(
    ("action", "says"), [(Action.FAIL, "which failed: broken"), (Action.CANCEL, "was cancelled: broken")]
)
async def test_l28_a_blocker_that_ends_badly_is_told_to_its_dependents(
    acts: Any, backend: Backend, action: Action, says: str
) -> None:
    """L-28: a failed blocker left its dependents waiting for ever."""
    await acts.provisional("a")
    await acts.create("b", blocked_by=("a",))
    await acts.do("a", action, reason="broken")
    waiting = await backend.get_task("b")
    assert waiting.queue is Queue.BLOCKED
    assert waiting.reason is not None
    assert waiting.reason.startswith("waits for a, which")
    assert says in waiting.reason
    late = await acts.create("c", blocked_by=("a",))
    assert late.reason == waiting.reason
    await acts.do("a", Action.RETRY)
    assert (await backend.get_task("b")).reason is None
    assert await acts.kinds("b") == ["create", "block", "block"]


async def test_a_person_frees_a_task_by_dropping_its_dependency(acts: Any, backend: Backend) -> None:
    await acts.create("a")
    await acts.create("b", blocked_by=("a",))
    with pytest.raises(Refused, match="1 of its dependencies"):
        await acts.do("b", Action.UNBLOCK)
    freed = await backend.edit_task("b", TaskPatch(blocked_by=()), actor=ANA)
    assert (freed.queue, freed.blocked_by, freed.reason) == (Queue.INCOMING, (), None)
    with pytest.raises(Refused, match="none of its dependencies"):
        await acts.do("b", Action.BLOCK)
    again = await backend.edit_task("b", TaskPatch(blocked_by=("a",)), actor=ANA)
    assert (again.queue, again.blocked_by) == (Queue.BLOCKED, ("a",))
    event = (await backend.events(entity_id="b"))[-1]
    assert (event.kind, event.from_state, event.to_state) == ("edit", "incoming", "blocked")


async def test_a_claimed_task_given_a_dependency_blocks_when_it_comes_back(
    acts: Any, backend: Backend
) -> None:
    await acts.create("a")
    await acts.create("b")
    claim = await acts.claim(task_id="b")
    await backend.edit_task("b", TaskPatch(blocked_by=("a",)), actor=ANA)
    back = await acts.do("b", Action.RELEASE, fence=claim.task.fence, systemic=True)
    assert back.queue is Queue.BLOCKED


async def test_l28_cycles_are_refused_when_written(acts: Any, backend: Backend) -> None:
    await acts.create("a")
    await acts.create("b", blocked_by=("a",))
    await acts.create("c", blocked_by=("b",))
    for blockers in (("c",), ("b",), ("a",)):
        with pytest.raises(DependencyCycle):
            await backend.edit_task("a", TaskPatch(blocked_by=blockers), actor=ANA)
    with pytest.raises(DependencyCycle, match="itself"):
        await acts.create("d", blocked_by=("d",))
    with pytest.raises(NotFound, match="'nobody'"):
        await acts.create("d", blocked_by=("nobody",))
    assert (await backend.get_task("a")).blocked_by == ()


async def test_a_done_task_forced_open_blocks_its_dependents_again(acts: Any, backend: Backend) -> None:
    await acts.provisional("a")
    await acts.done("a")
    await acts.create("b", blocked_by=("a",))
    await acts.do("a", Action.FORCE, to=Queue.INCOMING, reason="reverted")
    assert await acts.queue("b") is Queue.BLOCKED
    assert (await backend.events(entity_id="a"))[-1].kind == "forced"
