"""Budgets that hold while agents work, and providers' limits that outlive the scheduler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Work, at_work, demo_project, running, until

from backend.clock import ManualClock, day_of, from_ms, to_ms
from backend.model import MessageKind, Outcome, Queue, Run
from scheduler.desk import TaskDraft
from scheduler.runs.rundir import RunDir

SPEND: list[dict[str, Any]] = [
    {"write": {"path": "a.txt", "text": "begun\n"}},
    {"commit": "Begin"},
    {"usage": {"cost_usd": 2.0, "input": 900, "output": 100, "turns": 3}},
]
STUCK: list[dict[str, Any]] = [*SPEND, {"ask": {"question": "Go on?"}}]


def project(tmp_path: Path, budgets: str = "", agent: str = "") -> Path:
    repo = demo_project(tmp_path, config=f"budgets: {{{budgets}}}\n" if budgets else "")
    agents = repo / ".octopoid" / "agents.yaml"
    agents.write_text(agents.read_text() + agent)
    return repo


def draft(*attempts: list[dict[str, Any]], task_id: str = "t1", **more: Any) -> TaskDraft:
    return TaskDraft(task_id, id=task_id, metadata={"demo": {"implement": list(attempts)}}, **more)


async def runs_of(work: Work, task_id: str = "t1") -> list[Run]:
    return await work.backend.list_runs(task_id=task_id)


def ended(work: Work, outcome: Outcome, task_id: str = "t1") -> Callable[[], Awaitable[bool]]:
    async def so() -> bool:
        return [run.outcome for run in await runs_of(work, task_id)][-1:] == [outcome]

    return so


async def test_a_run_that_has_spent_its_budget_is_ended_and_its_task_goes_to_a_person(tmp_path: Path) -> None:
    """L-54"""
    async with at_work(project(tmp_path, agent="  budget_usd: 1.5\n")) as work:
        await work.desk.enqueue(draft(STUCK))
        async with running(work):
            await until(ended(work, Outcome.OVER_BUDGET), "the run to be ended")
        task = await work.backend.get_task("t1")
        (run,) = await runs_of(work)
    assert task.queue is Queue.ESCALATED
    assert task.reason == "this run's budget is spent: $2.00 of $1.50"
    assert task.head_sha == run.head_sha, "its work is kept"
    assert run.commits_count == 1


async def test_tokens_are_a_budget_too(tmp_path: Path) -> None:
    async with at_work(project(tmp_path, agent="  budget_tokens: 1000\n")) as work:
        await work.desk.enqueue(draft(STUCK))
        async with running(work):
            await until(ended(work, Outcome.OVER_BUDGET), "the run to be ended")
        task = await work.backend.get_task("t1")
    assert task.reason == "this run's budget is spent: 1,000 tokens of 1,000 tokens"


async def test_a_spent_task_starts_no_other_run_until_it_is_raised(tmp_path: Path) -> None:
    repo = project(tmp_path, "task_usd: 3")
    async with at_work(repo) as work:
        await work.desk.enqueue(draft([*SPEND, {"crash": 1}], STUCK))
        async with running(work):
            await until(ended(work, Outcome.OVER_BUDGET), "the second run to be ended")
        task = await work.backend.get_task("t1")
        assert task.reason == "this task's budget is spent: $4.00 of $3.00"
        assert len(await runs_of(work)) == 2


async def test_a_spent_day_gives_tasks_back_blameless_and_opens_at_midnight(tmp_path: Path) -> None:
    clock = ManualClock()
    async with at_work(project(tmp_path, "day_usd: 2"), clock=clock) as work:
        await work.desk.enqueue(draft(STUCK, SPEND[:2]))
        async with running(work):
            await until(ended(work, Outcome.OVER_BUDGET), "the run to be ended")
            task = await work.backend.get_task("t1")
            said = await work.desk.why("t1")
        midnight = day_of(from_ms(clock.now_ms()))[1]
        assert (task.queue, task.attempts_counted) == (Queue.INCOMING, 0)
        assert said.summary == "today's budget is spent: $2.00 of $2.00"
        assert said.first_closed is not None
        assert said.first_closed.clears_at == midnight
        (alert,) = await work.backend.list_alerts()
        assert (alert.reason, alert.until) == ("today's budget of $2.00 is spent", midnight)
        assert any("today's budget of $2.00 is spent" in one.text for one in await work.desk.notices())
    clock.advance((to_ms(midnight) - clock.now_ms()) / 1000 + 1)
    async with at_work(work.project.repo, clock=clock) as work:
        assert await work.backend.list_alerts() == []
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.PROVISIONAL


async def test_an_agent_and_a_project_have_budgets_of_their_own(tmp_path: Path) -> None:
    repo = project(tmp_path, "project_usd: 2", agent="  day_usd: 3\n")
    async with at_work(repo, clock=ManualClock()) as work:
        await work.desk.enqueue(draft(SPEND, project_id="p"))
        await work.scheduler.run_until_idle()
        await work.desk.enqueue(draft(SPEND, task_id="t2", project_id="p"))
        await work.scheduler.run_until_idle()
        said = await work.desk.why("t2")
        assert said.summary.startswith("the budget of project p is spent: $2.00 of $2.00")
        assert said.first_closed is not None
        assert said.first_closed.clears_at is None
        await work.desk.enqueue(draft(SPEND, task_id="t3"))
        await work.desk.enqueue(draft(SPEND, task_id="t4"))

        async def closed() -> bool:
            await work.scheduler.run_once()
            return "today's budget of agent worker is spent" in (await work.desk.why("t4")).summary

        await until(closed, "the agent's day to be spent")
        assert (await work.backend.get_task("t2")).queue is Queue.INCOMING


async def test_a_warning_comes_once_before_the_end(tmp_path: Path) -> None:
    """L-24: told once, not at every look."""
    asks = [*SPEND, {"ask": {"question": "More?"}}, *SPEND, {"ask": {"question": "Even more?"}}]
    repo = project(tmp_path, "task_usd: 2.2, day_usd: 2.4, warn_percent: 75")
    async with at_work(repo, clock=ManualClock()) as work:
        await work.desk.enqueue(draft(asks))
        await work.scheduler.run_until_idle()
        (question,) = await work.backend.open_questions()
        await work.scheduler.run_once()
        await work.desk.answer(question.id, "yes")
        await work.scheduler.run_until_idle()
        messages = await work.backend.list_messages("t1")
        alerts = await work.backend.list_alerts()
        events = await work.backend.events(limit=10_000)
    notes = [one.body for one in messages if one.kind is MessageKind.NOTE]
    assert notes == ["this task's budget is nearly used: $2.00 of $2.20"]
    assert [alert.reason for alert in alerts] == ["today's budget of $2.40 is used to 75% or more"]
    assert [event.kind for event in events if event.entity == "alert"] == ["raise"]


async def test_more_turns_than_allowed_end_a_run_that_is_then_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It does not end when it is told to.
    monkeypatch.setitem(RunDir.write_spec.__kwdefaults__, "grace_s", 0.5)
    async with at_work(project(tmp_path, agent="  max_turns: 2\n")) as work:
        await work.desk.enqueue(draft([*SPEND, {"hang": None}], [{"say": "Done."}]))
        async with running(work):
            await until(ended(work, Outcome.SUBMITTED), "the next run to finish it")
        runs = await runs_of(work)
    assert [run.outcome for run in runs] == [Outcome.OUT_OF_TURNS, Outcome.SUBMITTED]
    assert runs[0].reason == "it took 3 turns (max_turns is 2)"


async def test_what_ends_the_same_way_again_and_again_goes_to_a_person(tmp_path: Path) -> None:
    async with at_work(project(tmp_path)) as work:
        await work.desk.enqueue(draft([{"crash": 7}]))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
    assert task.queue is Queue.ESCALATED
    assert task.reason == "3 attempts ended the same way: it ended with exit status 7: the script says: crash"


async def test_a_providers_limit_outlives_the_scheduler(tmp_path: Path) -> None:
    """L-54"""
    repo = project(tmp_path)
    async with at_work(repo) as work:
        await work.desk.enqueue(draft([{"rate_limit": 3600}], SPEND))
        async with running(work):
            await until(ended(work, Outcome.RATE_LIMITED), "the run to be given back")
    async with at_work(repo) as work:
        await work.scheduler.run_once()
        said = await work.desk.why("t1")
        assert said.first_closed is not None
        assert said.first_closed.gate == "quota"
        assert (await work.backend.get_task("t1")).attempts_counted == 0
        assert len(await runs_of(work)) == 1
        assert any("the provider of demo refuses work" in one.text for one in await work.desk.notices())
        await work.desk.resume()
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.PROVISIONAL


async def test_an_agent_that_waits_for_its_provider_keeps_others_from_starting(tmp_path: Path) -> None:
    repo = project(tmp_path, agent="  max_instances: 2\n")
    async with at_work(repo) as work:
        waits = [{"emit": {"kind": "retry", "data": {"attempt": 3, "delay_s": 900}}}, *STUCK]
        await work.desk.enqueue(draft(waits))
        await work.scheduler.run_until_idle()
        await work.desk.enqueue(draft(SPEND, task_id="t2"))
        await work.scheduler.run_once()
        assert "refuses work" in (await work.desk.why("t2")).summary
        assert await runs_of(work, "t2") == []
        (question,) = await work.backend.open_questions()
        assert question.conversation_id == "t1", "the one that waits goes on"


async def test_the_desk_tells_each_shared_budget_and_how_much_is_used(tmp_path: Path) -> None:
    budgets = "day_usd: 10, project_usd: 4, task_usd: 9, task_tokens: 5000"
    async with at_work(project(tmp_path, budgets, "  day_usd: 3\n")) as work:
        await work.desk.enqueue(draft(SPEND, project_id="web"))
        async with running(work):
            await until(ended(work, Outcome.SUBMITTED), "the run to be ended")
        standing = await work.desk.budgets()
    assert [(line.reach, line.of, line.used, line.limit) for line in standing.shared] == [
        ("agent", "worker", 2.0, 3.0),
        ("project", "web", 2.0, 4.0),
        ("day", "", 2.0, 10.0),
    ]
    assert (standing.limits.task_usd, standing.limits.task_tokens) == (9, 5000)
