"""The scheduler and its project: configuration, leases, acceptance by rule, checkouts, and broken git."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import ASK_FIRST, EDIT_AND_COMMIT, Work, at_work, git, make_project, running, until

from backend.clock import ManualClock
from backend.errors import Refused
from backend.interface import Action, Transition
from backend.model import SYSTEM, AgentStatus, ClaimRequest, NewTask, Outcome, Queue, Run, RunEnd, RunStatus
from scheduler.desk import TaskDraft
from scheduler.loop import Scheduler

WAIT_FOR_GO = 'while [ ! -e "$OCTOPOID_RUN_DIR/go" ]; do sleep 0.05; done\n'


async def live_run(work: Work) -> Run:
    (run,) = await work.backend.list_runs(live=True)
    return run


async def queue_of(work: Work, task_id: str = "t1") -> Queue:
    return (await work.backend.get_task(task_id)).queue


# Acceptance by rule


async def test_a_task_may_say_that_no_person_needs_to_agree(tmp_path: Path) -> None:
    repo = make_project(tmp_path, config="checks: ['test -f auto.txt']\n")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("By itself", id="auto", auto_accept=True))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("auto")
        assert (task.queue, task.approved_by) == (Queue.DONE, "system:rule")
        assert (repo / "auto.txt").exists()


async def test_without_a_pass_nothing_is_accepted_by_rule(tmp_path: Path) -> None:
    config = "review: auto\nchecks: ['test -f other.txt']\nlimits:\n  continuations: 1\n"
    repo = make_project(tmp_path, config=config)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("By itself", id="t1"))
        await work.scheduler.run_until_idle()
        assert await queue_of(work) is Queue.ESCALATED
        (repo / ".octopoid" / "config.yaml").write_text("review: auto\nchecks: ['test -f t2.txt']\n")
        work.project.refresh()
        await work.desk.enqueue(TaskDraft("By itself", id="t2"))
        await work.scheduler.run_until_idle()
        assert await queue_of(work, "t2") is Queue.DONE
    assert git(repo, "log", "--format=%(trailers:key=Octopoid-Task,valueonly)").split() == ["t2"]


# Configuration


async def test_a_changed_configuration_is_used_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L-40"""
    monkeypatch.setattr("scheduler.loop.CONFIGURATION_EVERY_S", 0.1)
    repo = make_project(tmp_path, agent="  paused: true\n")
    agents = repo / ".octopoid" / "agents.yaml"
    text = agents.read_text()
    async with at_work(repo) as work, running(work):
        await work.desk.enqueue(TaskDraft("Wait", id="t1"))
        agents.write_text("- name: worker\n  rolle: implement\n")

        async def noticed() -> bool:
            return work.project.config_error is not None

        await until(noticed, "the broken file to be noticed")
        assert (await work.desk.why("t1")).summary == "worker is paused in agents.yaml"
        agents.write_text(text.replace("paused: true", "paused: false"))

        async def worked() -> bool:
            return await queue_of(work) is Queue.PROVISIONAL

        await until(worked, "the change to be picked up")
        assert work.project.config_error is None


# Leases


async def test_a_lease_is_renewed_past_its_length_while_the_agent_works(tmp_path: Path) -> None:
    clock = ManualClock()
    config = "leases:\n  seconds: 20\n  heartbeat_seconds: 1\n"
    repo = make_project(tmp_path, WAIT_FOR_GO + EDIT_AND_COMMIT, config=config)
    async with at_work(repo, clock=clock) as work:
        await work.desk.enqueue(TaskDraft("Take long", id="t1"))
        await work.scheduler.run_once()
        first = await work.backend.get_task("t1")
        for _ in range(3):
            before = (await work.backend.get_task("t1")).lease_expires_at
            assert before is not None
            clock.advance(15)

            async def renewed(before: object = before) -> bool:
                return (await work.backend.get_task("t1")).lease_expires_at != before

            await until(renewed, "the lease to be renewed")
        task = await work.backend.get_task("t1")
        assert (task.queue, task.fence, task.run_id) == (Queue.CLAIMED, first.fence, first.run_id)
        (work.desk.run_dir((await live_run(work)).id).path / "go").touch()
        await work.scheduler.run_until_idle()
        assert await queue_of(work) is Queue.PROVISIONAL


async def test_a_run_whose_task_another_machine_took_is_stopped_and_its_work_kept(tmp_path: Path) -> None:
    """L-04, L-31"""
    clock = ManualClock()
    script = (
        'echo mine > mine.txt\ngit add -A\ngit commit -qm Mine\ntouch "$OCTOPOID_RUN_DIR/did"\nsleep 600\n'
    )
    repo = make_project(tmp_path, script)
    async with at_work(repo, clock=clock) as work:
        await work.desk.enqueue(TaskDraft("Contested", id="t1"))
        await work.scheduler.run_once()
        run = await live_run(work)

        async def committed() -> bool:
            return (work.desk.run_dir(run.id).path / "did").exists()

        await until(committed, "the commit")
        await work.desk.pause("no further attempts here")
        clock.advance(3600)
        await work.backend.expire_leases()
        other = await work.backend.register("default", "elsewhere", pid=None)
        claim = await work.backend.claim(
            ClaimRequest(other.id, "stranger", "command", "strangers-run", 300, ("implement",), "t1")
        )
        assert claim is not None

        async def ended() -> bool:
            await work.scheduler.run_once()
            return (await work.backend.get_run(run.id)).outcome is not None

        await until(ended, "the run to be stopped")
        mine = await work.backend.get_run(run.id)
        task = await work.backend.get_task("t1")
        assert mine.outcome is Outcome.STOPPED
        assert mine.head_sha is not None
        assert (task.queue, task.run_id) == (Queue.CLAIMED, "strangers-run")
        assert not work.desk.run_dir(run.id).is_alive()
    hub = repo / ".octopoid" / "hub.git"
    assert git(hub, "show", f"{mine.head_sha}:mine.txt") == "mine"


async def test_finished_work_is_taken_though_its_lease_ran_out(tmp_path: Path) -> None:
    """L-02"""
    clock = ManualClock()
    repo = make_project(tmp_path, WAIT_FOR_GO + EDIT_AND_COMMIT)
    async with at_work(repo, clock=clock) as work:
        await work.desk.enqueue(TaskDraft("Late", id="t1"))
        await work.scheduler.run_once()
        await work.desk.pause("nobody else is to have it")
        clock.advance(3600)
        assert [task.id for task in await work.backend.expire_leases()] == ["t1"]
        run = await live_run(work)
        (work.desk.run_dir(run.id).path / "go").touch()
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert (task.queue, task.attempt_count) == (Queue.PROVISIONAL, 1)


# The user's checkout


async def test_a_dirty_checkout_is_left_alone_and_gets_the_work_later(tmp_path: Path) -> None:
    repo = make_project(tmp_path, "echo agent > README.md\n")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Write the readme", id="t1"))
        await work.scheduler.run_until_idle()
        (repo / "README.md").write_text("my own words\n")
        await work.desk.accept("t1", wait=False)
        await work.scheduler.run_until_idle()
        assert await queue_of(work) is Queue.DONE
        assert (repo / "README.md").read_text() == "my own words\n"
        said = (await work.desk.why("t1")).summary
        assert "it waits to be brought into main" in said
        assert "git -C" in said
        assert any("git -C" in message.body for message in await work.backend.list_messages("t1"))
        git(repo, "checkout", "README.md")
        await work.scheduler._deliverer.deliver()
        assert (repo / "README.md").read_text() == "agent\n"
        assert git(repo, "status", "--porcelain") == ""
        assert "waits" not in (await work.desk.why("t1")).summary


# Broken machinery


async def test_broken_git_closes_intake_leaves_the_task_blameless_and_passes(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    hub = repo / ".octopoid" / "hub.git"
    async with at_work(repo) as work, running(work):
        hub.rename(hub.with_name("elsewhere"))
        await work.backend.create_task(new_task(repo), actor=SYSTEM)

        async def paused() -> bool:
            return (await work.backend.get_pause(machine=work.project.orchestrator_id)).paused

        await until(paused, "intake to be paused")
        pause = await work.backend.get_pause(machine=work.project.orchestrator_id)
        assert pause.by == "system:scheduler"
        assert pause.until is not None
        assert "t1 did not start" in (pause.reason or "")

        async def given_back() -> bool:
            return await queue_of(work) is Queue.INCOMING

        await until(given_back, "the task to be given back")
        task = await work.backend.get_task("t1")
        assert task.attempts_counted == 0
        assert (await work.desk.why("t1")).summary.startswith(
            "this machine's intake is paused by system:scheduler"
        )
        hub.with_name("elsewhere").rename(hub)
        await work.desk.resume()

        async def worked() -> bool:
            return await queue_of(work) is Queue.PROVISIONAL

        await until(worked, "the work after the repair")


def new_task(repo: Path) -> NewTask:
    return NewTask("t1", "Work", "implement", "main", git(repo, "rev-parse", "main"), "human:ana")


async def test_broken_git_at_the_end_of_a_run_loses_nothing(tmp_path: Path) -> None:
    """L-01"""
    repo = make_project(tmp_path, WAIT_FOR_GO + EDIT_AND_COMMIT)
    hub = repo / ".octopoid" / "hub.git"
    clock = ManualClock()
    async with at_work(repo, clock=clock) as work:
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        await work.scheduler.run_once()
        (hub / "config").replace(hub.parent / "config.away")
        (hub / "config").write_text("[core\n")
        run = await live_run(work)
        (work.desk.run_dir(run.id).path / "go").touch()

        async def paused() -> bool:
            await work.scheduler.run_once()
            return (await work.backend.get_pause(machine=work.project.orchestrator_id)).paused

        await until(paused, "intake to be paused")
        assert "cannot be settled" in (
            (await work.backend.get_pause(machine=work.project.orchestrator_id)).reason or ""
        )
        assert await queue_of(work) is Queue.CLAIMED
        (hub.parent / "config.away").replace(hub / "config")
        clock.advance(20)

        async def settled() -> bool:
            await work.scheduler.run_once()
            return await queue_of(work) is Queue.PROVISIONAL

        await until(settled, "the run to be settled")
        assert (await work.backend.get_task("t1")).attempt_count == 1


async def test_a_persons_pause_is_not_ended_by_one_of_the_machinery(tmp_path: Path) -> None:
    repo = make_project(tmp_path, WAIT_FOR_GO + EDIT_AND_COMMIT)
    hub = repo / ".octopoid" / "hub.git"
    async with at_work(repo, clock=ManualClock()) as work:
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        await work.scheduler.run_once()
        await work.desk.pause("lunch")
        (hub / "config").replace(hub.parent / "config.away")
        (hub / "config").write_text("[core\n")
        run = await live_run(work)
        (work.desk.run_dir(run.id).path / "go").touch()

        async def failed() -> bool:
            await work.scheduler.run_once()
            return bool(work.scheduler._again)

        await until(failed, "the failure")
        (hub.parent / "config.away").replace(hub / "config")
        pause = await work.backend.get_pause()
        assert (pause.by, pause.reason, pause.until) == ("human:ana", "lunch", None)


# Starting and stopping


async def test_one_cycle_starts_and_settles_and_leaves_agents_at_work(tmp_path: Path) -> None:
    async with at_work(make_project(tmp_path, WAIT_FOR_GO + EDIT_AND_COMMIT)) as work:
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        await work.scheduler.run_once()
        run = await live_run(work)
        assert run.status is RunStatus.RUNNING
        assert work.desk.run_dir(run.id).is_alive()
        (agent,) = await work.backend.list_agents()
        assert (agent.status, agent.task_id, agent.run_id) == (AgentStatus.BUSY, "t1", run.id)
        assert agent.pid is not None
        (work.desk.run_dir(run.id).path / "go").touch()

        async def ended() -> bool:
            await work.scheduler.run_once()
            return await queue_of(work) is Queue.PROVISIONAL

        await until(ended, "the run to be settled")


async def test_the_next_scheduler_adopts_and_a_stopped_one_lets_go(tmp_path: Path) -> None:
    """L-65"""
    repo = make_project(tmp_path, ASK_FIRST + EDIT_AND_COMMIT)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Ask", id="t1"))
        await work.scheduler.run_until_idle()
        first = work.desk.run_dir((await live_run(work)).id).started()
        await work.scheduler.stop()
        second = Scheduler(work.backend, work.project)
        await second.start()
        try:
            assert second.live_runs == 1
            assert await second.run_until_idle() == "1 open question"
            (question,) = await work.backend.open_questions()
            await work.desk.answer(question.id, "red")
            await second.run_until_idle()
            task = await work.backend.get_task("t1")
            (run,) = await work.backend.list_runs(task_id="t1")
            assert (task.queue, task.attempt_count) == (Queue.PROVISIONAL, 1)
            assert work.desk.run_dir(run.id).started() == first
        finally:
            await second.stop()


async def test_a_scheduler_that_cannot_start_lets_another_try(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    async with at_work(repo, start=False) as work:
        (repo / ".git").rename(repo / "away")
        with pytest.raises(Exception, match="repository"):
            await work.scheduler.start()
        (repo / "away").rename(repo / ".git")
        second = Scheduler(work.backend, work.project)
        await second.start()
        await second.stop()


async def test_a_claim_without_a_run_directory_is_given_back_at_the_next_start(tmp_path: Path) -> None:
    """L-22: killed between the claim and everything else."""
    repo = make_project(tmp_path)
    async with at_work(repo) as work:
        who = work.project.orchestrator_id
        await work.desk.pause("only one of them is to claim")
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        claim = await work.backend.claim(
            ClaimRequest(who, "worker", "command", "never-started", 300, ("implement",), "t1")
        )
        assert claim is not None
    async with at_work(repo) as work:
        task = await work.backend.get_task("t1")
        assert (task.queue, task.attempts_counted) == (Queue.INCOMING, 0)
        assert (await work.backend.get_run("never-started")).outcome is Outcome.LOST
        await work.desk.resume()
        await work.scheduler.run_until_idle()
        assert await queue_of(work) is Queue.PROVISIONAL


async def test_an_agent_whose_run_has_ended_on_record_is_ended_at_the_next_start(tmp_path: Path) -> None:
    """L-31"""
    repo = make_project(tmp_path, "sleep 600\n", config="limits:\n  attempts: 1\n")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        await work.scheduler.run_once()
        run = await live_run(work)
        await work.scheduler.stop()
        end = RunEnd(Outcome.LOST, "somebody said so")
        await work.backend.transition(
            Transition("t1", Action.RELEASE, SYSTEM, reason="x", fence=run.fence, run_id=run.id, run_end=end)
        )
        assert work.desk.run_dir(run.id).is_alive()
    async with at_work(repo) as work:

        async def gone() -> bool:
            return not work.desk.run_dir(run.id).is_alive()

        await until(gone, "the agent to be ended")
        assert work.scheduler.live_runs == 0


async def test_a_merge_that_a_person_overtakes_does_not_stop_the_others(tmp_path: Path) -> None:
    async with at_work(make_project(tmp_path, instances=2)) as work:
        for name in ("one", "two"):
            await work.desk.enqueue(TaskDraft(name, id=name))
        await work.scheduler.run_until_idle()
        await work.desk.accept("one", wait=False)
        await work.desk.reject("one", "I changed my mind.")
        await work.desk.accept("two", wait=False)
        await work.scheduler.run_until_idle()
        assert await queue_of(work, "two") is Queue.DONE
        with pytest.raises(Refused):
            await work.desk.reject("two", "too late")


FORGED = (
    '{"code":0,"signal":null,"at":"2026-01-01T00:00:00.000Z","cause":"exited","error":"","bytes_out":0,'
    '"bytes_err":0,"dropped":0,"strays_killed":0,"survivors":0}'
)


@pytest.mark.parametrize("written", [FORGED, "nonsense"])
async def test_a_check_cannot_write_its_own_result(tmp_path: Path, written: str) -> None:
    """Checks run what agents wrote, which can reach the directory that the check's end is recorded in."""
    place = tmp_path / "forged"
    place.write_text(written)
    forge = f'for run in "$HOME"/../runs/*; do cp {place} "$run/exit.json"; done; sleep 1; exit 3'
    repo = make_project(
        tmp_path, config=f"limits: {{attempts: 1}}\nchecks: [{{name: c, command: {forge!r}}}]\n"
    )
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Work", id="t1"))
        await work.scheduler.run_until_idle()
        (evidence,) = await work.backend.list_evidence("t1")
        assert not evidence.passed
        assert not (await work.backend.get_pause(machine=work.project.orchestrator_id)).paused
