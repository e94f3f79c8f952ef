"""A task that becomes several: an agent plans, a person decides, and tasks wait for each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import at_work, demo_project, running

from backend.model import Outcome, Priority, Queue
from scheduler.desk import TaskDraft

PLANNER = "- name: planner\n  role: breakdown\n  adapter: demo\n  env: {OCTOPOID_DEMO_PACE: '0'}\n"
PARTS: list[dict[str, Any]] = [
    {
        "key": "model",
        "title": "Add the model",
        "role": "implement",
        "priority": "P1",
        "acceptance": ["It loads."],
    },
    {
        "key": "page",
        "title": "Show the page",
        "body": "As a table.",
        "role": "implement",
        "blocked_by": ["model"],
    },
]


def project(tmp_path: Path) -> Path:
    repo = demo_project(tmp_path, config="review: auto\n")
    (repo / ".octopoid" / "agents.yaml").write_text(PLANNER)
    return repo


def plan(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"deliver": {"kind": "tasks", "summary": "First the model.", "tasks": parts}}]


def draft(*attempts: list[dict[str, Any]], task_id: str = "big") -> TaskDraft:
    metadata = {"demo": {"breakdown": list(attempts)}}
    return TaskDraft("Build it all", id=task_id, role="breakdown", project_id="p1", metadata=metadata)


async def test_an_approved_plan_becomes_tasks_that_wait_for_each_other(tmp_path: Path) -> None:
    async with at_work(project(tmp_path)) as work:
        await work.desk.enqueue(draft(plan(PARTS)))
        await work.desk.enqueue(TaskDraft("After all of it", id="last", blocked_by=("big",)))
        assert await work.scheduler.run_until_idle() == "1 task to review", "no rule approves a plan"
        assert "its plan of 2 tasks waits for you" in (await work.desk.why("big")).summary
        async with running(work):
            big = await work.desk.accept("big")
        model, page = [await work.backend.get_task(f"big-{key}") for key in ("model", "page")]
        last = await work.backend.get_task("last")
    assert (big.queue, big.merged_sha, big.approved_by) == (Queue.DONE, None, "human:ana")
    assert (model.queue, model.priority, model.project_id) == (Queue.INCOMING, Priority.P1, "p1")
    assert model.body == "## Acceptance criteria\n\n- It loads."
    assert (page.queue, page.blocked_by) == (Queue.BLOCKED, ("big-model",))
    assert model.created_by == page.created_by == "human:ana"
    assert (last.queue, last.blocked_by) == (Queue.BLOCKED, ("big", "big-model", "big-page"))


async def test_a_plan_is_accepted_without_a_scheduler_too(tmp_path: Path) -> None:
    repo = project(tmp_path)
    async with at_work(repo) as work:
        await work.desk.enqueue(draft(plan(PARTS)))
        await work.scheduler.run_until_idle()
    async with at_work(repo, start=False) as work:
        assert (await work.desk.accept("big")).queue is Queue.DONE
        assert (await work.backend.get_task("big-page")).queue is Queue.BLOCKED


async def test_a_rejected_plan_is_made_again_with_the_reason(tmp_path: Path) -> None:
    """L-08"""
    async with at_work(project(tmp_path)) as work:
        await work.desk.enqueue(draft(plan(PARTS), plan(PARTS[:1])))
        await work.scheduler.run_until_idle()
        await work.desk.reject("big", "One task is enough.")
        await work.scheduler.run_until_idle()
        runs = await work.backend.list_runs(task_id="big")
        prompt = work.desk.run_dir(runs[1].id).prompt_md.read_text()
        assert "One task is enough." in prompt
        assert "### page: Show the page" in prompt, "the plan that was rejected"
        await work.desk.accept("big", wait=False)
        await work.scheduler.run_once()
        assert (await work.backend.get_task("big-model")).title == "Add the model"
        counts = await work.backend.count_queues()
    assert (counts[Queue.INCOMING], counts[Queue.DONE]) == (1, 1)


async def test_the_faults_of_a_plan_go_back_to_the_agent(tmp_path: Path) -> None:
    circle = [{**PARTS[0], "blocked_by": ["page"]}, PARTS[1]]
    async with at_work(project(tmp_path)) as work:
        await work.desk.enqueue(draft(plan(circle), plan([{**PARTS[0], "role": "wizard"}]), plan(PARTS)))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("big")
        runs = await work.backend.list_runs(task_id="big")
        prompts = [work.desk.run_dir(run.id).prompt_md.read_text() for run in runs]
    assert [run.outcome for run in runs] == [Outcome.EMPTY, Outcome.EMPTY, Outcome.SUBMITTED]
    assert "some tasks wait for each other in a circle" in prompts[1]
    assert "role 'wizard' has no prompt" in prompts[2]
    assert (task.queue, task.attempts_counted) == (Queue.PROVISIONAL, 3)


async def test_a_running_planner_is_told_whether_its_plan_can_be_used(tmp_path: Path) -> None:
    bad: list[dict[str, Any]] = [{"key": "a", "title": "", "role": "implement"}]
    asks = [*plan(bad), {"ask": {"question": "Is it right so?"}}]
    async with at_work(project(tmp_path)) as work:
        await work.desk.enqueue(draft(asks))
        await work.scheduler.run_until_idle()
        (run,) = await work.backend.list_runs(task_id="big")
        said = (work.desk.run_dir(run.id).path / "inbox" / "tasks.json").read_text()
        assert "has no title" in said
        assert '"usable":false' in said.replace(" ", "")


async def test_a_plan_that_cannot_be_carried_out_goes_to_a_person_and_makes_nothing(tmp_path: Path) -> None:
    async with at_work(project(tmp_path)) as work:
        await work.desk.enqueue(draft(plan(PARTS)))
        await work.scheduler.run_until_idle()
        await work.desk.enqueue(TaskDraft("In the way", id="big-page", role="test"))
        await work.desk.accept("big", wait=False)
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("big")
        counts = await work.backend.count_queues()
    assert task.queue is Queue.ESCALATED
    assert "big-page exists already" in (task.reason or "")
    assert sum(counts.values()) == 2, "all or nothing"
