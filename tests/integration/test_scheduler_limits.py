"""What the scheduler does not start and what it stops: limits of time, number and patience, with a reason."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import ASK_FIRST, EDIT_AND_COMMIT, Work, at_work, demo_project, make_project, running, until

from backend.clock import ManualClock, to_ms
from backend.interface import Action
from backend.model import AgentStatus, Outcome, Queue, Run, RunStatus
from scheduler.desk import TaskDraft
from scheduler.loop import SAFETY_TICK_S

WAIT_FOR_GO = 'while [ ! -e "$OCTOPOID_RUN_DIR/go" ]; do sleep 0.05; done\n'


async def live(work: Work) -> list[Run]:
    return await work.backend.list_runs(live=True)


async def outcomes(work: Work, task_id: str = "t1") -> list[Outcome | None]:
    return [run.outcome for run in await work.backend.list_runs(task_id=task_id)]


async def let_go(work: Work) -> None:
    """Let every agent that waits for it go on."""
    for run in await live(work):
        if run.status is not RunStatus.STARTING:
            (work.desk.run_dir(run.id).path / "go").touch()


def demo(*attempts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"demo": {"implement": list(attempts)}}


# Time


async def test_a_silent_agent_is_stopped_and_the_attempt_counts(tmp_path: Path) -> None:
    """L-30"""
    repo = make_project(
        tmp_path, "sleep 600\n", agent="  idle_timeout: 1\n", config="limits:\n  attempts: 2\n"
    )
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Say nothing", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert (task.queue, task.attempts_counted) == (Queue.FAILED, 2)
        assert "it was silent for 1 s (idle_timeout is 1 s)" in (task.reason or "")
        assert await outcomes(work) == [Outcome.TIMED_OUT, Outcome.TIMED_OUT]


async def test_waiting_for_a_person_is_no_silence_and_the_answer_begins_it_anew(tmp_path: Path) -> None:
    clock = ManualClock()
    repo = make_project(tmp_path, ASK_FIRST + WAIT_FOR_GO, agent="  idle_timeout: 10\n")
    async with at_work(repo, clock=clock) as work:
        await work.desk.enqueue(TaskDraft("Ask", id="t1"))
        await work.scheduler.run_until_idle()
        for _ in range(5):
            clock.advance(20)
            await work.scheduler.run_once()
        (run,) = await live(work)
        assert run.status is RunStatus.WAITING
        (question,) = await work.backend.open_questions()
        await work.desk.answer(question.id, "red")
        await work.scheduler.run_once()
        clock.advance(9)
        await work.scheduler.run_once()
        assert [run.status for run in await live(work)] == [RunStatus.RUNNING]
        clock.advance(2)

        async def ended() -> bool:
            await work.scheduler.run_once()
            return (await outcomes(work))[0] is Outcome.TIMED_OUT

        await until(ended, "the silent agent to be stopped")


async def test_a_machine_that_slept_does_not_take_it_for_silence(tmp_path: Path) -> None:
    clock = ManualClock()
    repo = make_project(tmp_path, WAIT_FOR_GO + EDIT_AND_COMMIT, agent="  idle_timeout: 60\n")
    async with at_work(repo, clock=clock) as work:
        await work.desk.enqueue(TaskDraft("Sleep well", id="t1"))
        await work.scheduler.run_once()
        clock.advance(8 * 3600)
        await work.scheduler.run_once()
        assert [run.status for run in await live(work)] == [RunStatus.RUNNING]
        await let_go(work)
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert (task.queue, task.attempt_count) == (Queue.PROVISIONAL, 1)


async def test_the_wall_clock_ends_even_a_talkative_agent(tmp_path: Path) -> None:
    script = "while :; do echo still here; sleep 0.05; done\n"
    repo = make_project(tmp_path, script, agent="  timeout: 1\n", config="limits:\n  attempts: 1\n")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Never end", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert task.queue is Queue.FAILED
        assert await outcomes(work) == [Outcome.TIMED_OUT]
        assert "longer than its timeout" in (task.reason or "")


async def test_an_interval_lies_between_two_starts(tmp_path: Path) -> None:
    async with at_work(make_project(tmp_path, agent="  interval_seconds: 2\n")) as work:
        for name in ("t1", "t2"):
            await work.desk.enqueue(TaskDraft(name, id=name))
        await work.scheduler.run_until_idle()
        starts = [(await work.backend.list_runs(task_id=name))[0].started_at for name in ("t1", "t2")]
    assert starts[1] - starts[0] >= timedelta(seconds=2)
    assert starts[1] - starts[0] < timedelta(seconds=SAFETY_TICK_S), "the gate's opening wakes the scheduler"


# Number


async def test_no_more_agents_than_allowed_however_often_it_looks(tmp_path: Path) -> None:
    repo = make_project(
        tmp_path, WAIT_FOR_GO + EDIT_AND_COMMIT, instances=4, config="agents:\n  max_concurrent: 2\n"
    )
    async with at_work(repo) as work:
        for number in range(4):
            await work.desk.enqueue(TaskDraft(f"Task {number}", id=f"t{number}"))
        most = 0
        async with running(work):

            async def done() -> bool:
                nonlocal most
                most = max(most, len(await live(work)))
                await let_go(work)
                return (await work.backend.count_queues()).get(Queue.PROVISIONAL) == 4

            async def full() -> bool:
                return len(await live(work)) == 2

            await until(full, "two to be at work")
            assert "2 of 2 agents are at work" in (await work.desk.why("t3")).summary

            await until(done, "all to be done")
    assert most == 2


async def test_two_agents_work_at_once_on_different_tasks(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    script = (
        f'touch "{meeting}/$OCTOPOID_TASK_ID"\n'
        f'while [ "$(ls "{meeting}" | wc -l)" -lt 2 ]; do sleep 0.05; done\n'
    )
    async with at_work(make_project(tmp_path, script + EDIT_AND_COMMIT, instances=2)) as work:
        for name in ("one", "two"):
            await work.desk.enqueue(TaskDraft(name, id=name))
        assert await work.scheduler.run_until_idle() == "2 tasks to review"
        runs = [run for name in ("one", "two") for run in await work.backend.list_runs(task_id=name)]
    assert {run.agent_name for run in runs} == {"worker-1", "worker-2"}
    assert sorted(path.name for path in meeting.iterdir()) == ["one", "two"]


async def test_a_needed_resource_is_used_by_one_task_at_a_time(tmp_path: Path) -> None:
    repo = make_project(tmp_path, WAIT_FOR_GO + EDIT_AND_COMMIT, instances=3)
    async with at_work(repo) as work:
        for name, needs in (("one", ("db",)), ("two", ("db",)), ("three", ())):
            await work.desk.enqueue(TaskDraft(name, id=name, needs=needs))
        await work.scheduler.run_once()
        assert {run.task_id for run in await live(work)} == {"one", "three"}
        assert (await work.desk.why("two")).summary == "resource 'db' is in use by another task"
        await let_go(work)

        async def second_started() -> bool:
            await work.scheduler.run_once()
            return "two" in {run.task_id for run in await live(work)}

        await until(second_started, "the resource to be free")
        await let_go(work)


async def test_at_the_review_limit_only_begun_work_goes_on(tmp_path: Path) -> None:
    script = 'date +%s%N >> "$OCTOPOID_TASK_ID.txt"\n'
    async with at_work(make_project(tmp_path, script, config="limits:\n  provisional: 1\n")) as work:
        for name in ("first", "second"):
            await work.desk.enqueue(TaskDraft(name, id=name))
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("second")).queue is Queue.INCOMING
        said = await work.desk.why("second")
        assert said.summary == "1 of 1 tasks wait for review: accept or reject some first"
        await work.desk.enqueue(TaskDraft("urgent", id="urgent"))
        await work.desk.reject("first", "Not quite.")
        await work.scheduler.run_until_idle()
        first = await work.backend.get_task("first")
        assert (first.queue, first.attempt_count) == (Queue.PROVISIONAL, 2), "what was rejected goes first"
        assert (await work.backend.get_task("urgent")).attempt_count == 0


# Going on, and giving up


async def test_out_of_turns_goes_on_where_it_stopped(tmp_path: Path) -> None:
    script = demo(
        [{"write": {"path": "a.txt", "text": "a\n"}}, {"commit": "Half"}, {"out_of_turns": None}],
        [{"append": {"path": "a.txt", "text": "b\n"}}, {"commit": "Whole"}],
    )
    async with at_work(demo_project(tmp_path)) as work:
        await work.desk.enqueue(TaskDraft("Long work", id="t1", metadata=script))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert await outcomes(work) == [Outcome.OUT_OF_TURNS, Outcome.SUBMITTED]
        assert (task.queue, task.continuation_count, task.resume_run_id) == (Queue.PROVISIONAL, 1, None)
        continued = [e for e in await work.backend.events(entity_id="t1") if e.kind == Action.CONTINUE]
        assert len(continued) == 1
        diff = await work.desk.diff("t1")
        assert "+a\n+b" in diff
        second = (await work.backend.list_runs(task_id="t1"))[1]
        assert "Half" in work.desk.run_dir(second.id).prompt_md.read_text()


async def test_a_provider_limit_is_nobodys_fault_and_closes_the_gate_until_it_ends(tmp_path: Path) -> None:
    """L-54"""
    async with at_work(demo_project(tmp_path)) as work:
        await work.desk.enqueue(TaskDraft("Limited", id="t1", metadata=demo([{"rate_limit": 3600}])))
        async with running(work):

            async def given_back() -> bool:
                return (await outcomes(work)) == [Outcome.RATE_LIMITED]

            await until(given_back, "the run to be given back")
            task = await work.backend.get_task("t1")
            said = await work.desk.why("t1")

            async def shown() -> bool:
                (agent,) = await work.backend.list_agents()
                return agent.status is AgentStatus.IDLE and "refuses work" in (agent.reason or "")

            await until(shown, "the agent to say why it is idle")
        (run,) = await work.backend.list_runs(task_id="t1")
    assert (task.queue, task.attempts_counted, task.attempt_count) == (Queue.INCOMING, 0, 1)
    shut = said.first_closed
    assert shut is not None
    assert shut.gate == "quota"
    assert shut.clears_at is not None
    assert run.ended_at is not None
    assert abs(to_ms(shut.clears_at) - to_ms(run.ended_at) - 3_600_000) < 300_000


async def test_all_ways_of_trying_again_share_one_cap(tmp_path: Path) -> None:
    """L-24"""
    script = demo([{"crash": 3}], [{"out_of_turns": None}], [{"crash": 4}])
    async with at_work(demo_project(tmp_path, config="limits:\n  attempts: 3\n")) as work:
        await work.desk.enqueue(TaskDraft("Fail in every way", id="t1", metadata=script))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert await outcomes(work) == [Outcome.CRASHED, Outcome.OUT_OF_TURNS, Outcome.CRASHED]
        assert task.queue is Queue.FAILED
        assert task.reason == "gave up after 3 attempts: it ended with exit status 4: the script says: crash"


async def test_a_failed_task_can_be_retried_and_a_failed_blocker_is_seen(tmp_path: Path) -> None:
    """L-28, L-29"""
    script = f'[ -e "{tmp_path}/fixed" ] || exit 7\n' + EDIT_AND_COMMIT
    async with at_work(make_project(tmp_path, script, config="limits:\n  attempts: 1\n")) as work:
        await work.desk.enqueue(TaskDraft("Blocker", id="blocker"))
        await work.desk.enqueue(TaskDraft("Dependent", id="dependent", blocked_by=("blocker",)))
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("blocker")).queue is Queue.FAILED
        said = (await work.desk.why("dependent")).summary
        assert "it waits for blocker" in said
        assert "failed" in said
        (tmp_path / "fixed").touch()
        await work.desk.act("blocker", Action.RETRY)
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("blocker")
        assert (task.queue, task.attempts_counted, task.attempt_count) == (Queue.PROVISIONAL, 1, 2)
        assert (await work.desk.why("dependent")).summary == "it waits for blocker"


@pytest.mark.slow
async def test_an_agent_that_kills_its_supervisor_each_time_comes_to_a_person(tmp_path: Path) -> None:
    """L-24: what is nobody's fault is bounded too."""
    async with at_work(make_project(tmp_path, "sleep 0.3\nkill -9 $PPID\nsleep 600\n")) as work:
        await work.desk.enqueue(TaskDraft("Kill", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        runs = await work.backend.list_runs(task_id="t1")
        assert task.queue is Queue.ESCALATED
        assert "5 runs in a row" in (task.reason or "")
        assert {run.outcome for run in runs} == {Outcome.LOST}
        assert len(runs) == 5


# What cannot be started


async def test_a_task_that_cannot_be_started_holds_up_no_other(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    (repo / ".octopoid" / "worktrees" / "bad-1").mkdir(parents=True)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Poison", id="bad"))
        await work.desk.enqueue(TaskDraft("Good", id="good"))
        await work.scheduler.run_until_idle()
        bad, good = await work.backend.get_task("bad"), await work.backend.get_task("good")
        assert bad.queue is Queue.ESCALATED
        assert "already exists" in (bad.reason or "")
        assert good.queue is Queue.PROVISIONAL
        assert not (await work.backend.get_pause()).paused
        assert await live(work) == []


async def test_an_agent_that_does_not_come_up_rests_alone(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    broken = tmp_path / "broken.sh"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with (repo / ".octopoid" / "agents.yaml").open("a") as file:
        file.write(f"- name: broken\n  role: test\n  adapter: command\n  command: ['{broken}']\n")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Test it", id="t1", role="test"))
        await work.desk.enqueue(TaskDraft("Build it", id="t2"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert (task.queue, task.attempts_counted) == (Queue.INCOMING, 0)
        assert len(await work.backend.list_runs(task_id="t1")) == 1, "it is not tried again at once"
        assert (await work.backend.get_task("t2")).queue is Queue.PROVISIONAL
        assert not (await work.backend.get_pause()).paused
        agents = {agent.name: agent for agent in await work.backend.list_agents()}
        assert agents["broken"].status is AgentStatus.ERROR
        assert "could not start" in (agents["broken"].reason or "")
        assert "could not start" in (await work.desk.why("t1")).summary


async def test_a_broken_prompt_claims_nothing_and_says_so(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Unspeakable", id="t1"))
        roles = repo / ".octopoid" / "roles"
        roles.mkdir()
        (roles / "implement.md").write_text("---\nproduces: commits\n---\n{{nonsense}}\n")
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).attempt_count == 0
        (agent,) = await work.backend.list_agents()
        assert agent.status is AgentStatus.ERROR
        assert "nonsense" in (agent.reason or "")
        (roles / "implement.md").unlink()
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.PROVISIONAL
