"""The scheduler and the desk over a server that goes away and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from harness import EDIT_AND_COMMIT, ME, Work, at_work, git, make_project, make_repo, running, until
from live_server import Live, live
from team import machine, on

from backend.clock import SystemClock
from backend.interface import Action, Transition
from backend.model import ClaimRequest, Outcome, Queue, RunEnd, RunStatus
from backend.sync import Choice, SyncMode
from octopoid_tui.versions import mine_fields, their_fields
from scheduler import contact
from scheduler.desk import TaskDraft
from scheduler.git.names import attempt_ref
from scheduler.recover import Recovery

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    for name in ("OCTOPOID_SERVER", "OCTOPOID_API_KEY", "OCTOPOID_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("backend.offline.sync.LONGEST_PAUSE_S", 0.5)
    with live(tmp_path) as one:
        yield one


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "origin")


def waiting(origin: Path) -> tuple[str, Path]:
    """An agent that writes a file, and goes on when the gate is there."""
    gate = origin.parent / "gate"
    return f"echo begun > begun.txt\nuntil [ -e {gate} ]; do sleep 0.05; done\n" + EDIT_AND_COMMIT, gate


async def mode_is(work: Work, mode: SyncMode) -> None:
    """Wait until the machine, which tries again and again, finds its server so."""

    async def so() -> bool:
        return (await work.backend.sync_now()).mode is mode

    await until(so, f"the mode {mode}")


async def away(server: Live, work: Work) -> None:
    """Take the server away from a machine that has been in touch with it, and wait until it knows."""
    await mode_is(work, SyncMode.ONLINE)
    await asyncio.to_thread(server.stop_tcp)
    await mode_is(work, SyncMode.OFFLINE)


async def back(server: Live, work: Work) -> None:
    await asyncio.to_thread(server.restart_tcp)
    await mode_is(work, SyncMode.ONLINE)


async def agent_runs(server: Live, work: Work) -> None:
    """Wait until the one agent has begun its work, and the server knows that it runs."""

    async def so() -> bool:
        runs = await asyncio.to_thread(server.ask, server.backend.list_runs(live=True))
        begun = [path.read_text() for path in work.project.layout.worktrees.glob("*/begun.txt")]
        known = all(run.status is RunStatus.RUNNING for run in runs)
        return work.scheduler.live_runs == 1 and known and begun == ["begun\n"]

    await until(so, "the agent")


async def in_queue(work: Work, task_id: str, queue: Queue) -> None:
    async def so() -> bool:
        return (await work.backend.get_task(task_id)).queue is queue

    await until(so, f"{task_id} to be {queue}")


def take_it(server: Live, task_id: str) -> None:
    """Another machine gets the task: somebody cancelled it and queued it again."""
    for action in (Action.CANCEL, Action.RETRY):
        server.ask(server.backend.transition(Transition(task_id, action, ME)))
    other = server.ask(server.backend.register("team", "other", pid=None)).id
    wish = ClaimRequest(other, "other-worker", "command", "run-other", 300, ("implement",), task_id)
    assert server.ask(server.backend.claim(wish)) is not None


async def test_nothing_is_claimed_meanwhile_and_the_reason_says_so(
    server: Live, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L-21: no claim without the server's word; L-42: never idle without a reason."""
    async with on(machine(server, origin, "one")) as work:
        await away(server, work)
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        await work.scheduler.run_once()
        assert (await work.backend.get_task("t1")).queue is Queue.INCOMING
        said = await work.desk.why("t1")
        assert said.summary.startswith("the server is away: no new task is claimed (since 20")
        (agent,) = (await work.desk.status())["agents"]
        assert "the server is away" in agent["reason"]
        assert not any(job.failures for job in work.scheduler.jobs.values())
        with monkeypatch.context() as patch:
            patch.setattr(contact, "PATIENCE", timedelta(0))
            assert await work.scheduler.run_until_idle() == "1 task waiting, the server is away"
        await back(server, work)
        assert await work.scheduler.run_until_idle() == "1 task to review"
        assert [run.task_id for run in await work.backend.list_runs()] == ["t1"]


async def test_the_count_of_what_waits_is_right_from_any_process(server: Live, origin: Path) -> None:
    repo = machine(server, origin, "one")
    async with on(repo) as work:
        await away(server, work)
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        async with on(repo, start=False) as other:
            status = await other.desk.status()
            assert status["sync"] == {"state": "offline", "pending": 1, "conflicts": 0}
            await other.desk.note("t1", "Be quick.")
        assert (await work.desk.status())["sync"]["pending"] == 2
        await back(server, work)

        async def sent() -> bool:
            return (await work.desk.status())["sync"] == {"state": "online", "pending": 0, "conflicts": 0}

        await until(sent, "everything sent")
    assert server.ask(server.backend.get_task("t1")).queue is Queue.INCOMING
    (note,) = server.ask(server.backend.list_messages("t1"))
    assert note.body == "Be quick."


async def test_agents_of_other_machines_are_not_called_stopped(server: Live, origin: Path) -> None:
    one, two = machine(server, origin, "one"), machine(server, origin, "two")
    async with on(two) as other, on(one) as work:
        for each in (other, work):
            await each.scheduler.run_once()
        await away(server, work)
        reasons = {agent["name"]: agent["reason"] for agent in (await work.desk.status())["agents"]}
        assert "no scheduler" not in reasons["two-worker"]
        assert "no task waits" in reasons["one-worker"]


async def test_what_is_finished_meanwhile_is_checked_and_handed_in_later(server: Live, origin: Path) -> None:
    script, gate = waiting(origin)
    config = "checks:\n  - {name: there, command: 'test -e t1.txt'}\n"
    async with on(machine(server, origin, "one", script, config)) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        async with running(work):
            await agent_runs(server, work)
            await away(server, work)
            gate.touch()
            await in_queue(work, "t1", Queue.PROVISIONAL)
            assert server.ask(server.backend.get_task("t1")).queue is Queue.CLAIMED
            await back(server, work)

            async def handed_in() -> bool:
                there = await asyncio.to_thread(server.ask, server.backend.get_task("t1"))
                return there.queue is Queue.PROVISIONAL

            await until(handed_in, "the work on the server")
    (run,) = server.ask(server.backend.list_runs(task_id="t1"))
    assert (run.outcome, run.commits_count) == (Outcome.SUBMITTED, 1)
    (evidence,) = server.ask(server.backend.list_evidence("t1"))
    assert (evidence.passed, evidence.commit_sha) == (True, run.head_sha)


async def test_an_approval_waits_for_the_server_before_anything_is_merged(server: Live, origin: Path) -> None:
    repo = machine(server, origin, "one")
    async with on(repo) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        await work.scheduler.run_until_idle()
        before = git(repo, "rev-parse", "main")
        await away(server, work)
        async with running(work):
            task = await work.desk.accept("t1")
            assert (task.queue, task.approved_by) == (Queue.PROVISIONAL, str(ME))
            assert git(repo, "rev-parse", "main") == before
            await back(server, work)
            await in_queue(work, "t1", Queue.DONE)
    assert git(repo, "rev-parse", "main") == server.ask(server.backend.get_task("t1")).merged_sha


async def test_finished_work_whose_lease_was_lost_is_kept_as_a_conflict(server: Live, origin: Path) -> None:
    """L-04, L-05: another machine has the task now; nothing of the late run is thrown away."""
    script, gate = waiting(origin)
    repo = machine(server, origin, "one", script)
    async with on(repo) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        async with running(work):
            await agent_runs(server, work)
            (run,) = await work.backend.list_runs(live=True)
            await away(server, work)
            gate.touch()
            await in_queue(work, "t1", Queue.PROVISIONAL)
            await asyncio.to_thread(take_it, server, "t1")
            await back(server, work)

            async def in_conflict() -> bool:
                return bool(await work.backend.list_conflicts())

            await until(in_conflict, "the conflict")
            found = await work.backend.list_conflicts()
            assert [one.task_id for one in found] == ["t1"]
            assert run.id in found[0].summary
            assert {"action", "head_sha", "outcome"} <= {field.name for field in mine_fields(found[0])}
            assert "claimed" in [field.value for field in their_fields(found[0]) if field.name == "queue"]
            assert (await work.desk.status())["sync"]["conflicts"] == 1
            kept = git(repo / ".octopoid" / "hub.git", "rev-parse", attempt_ref("t1", run.attempt))
            assert git(repo / ".octopoid" / "hub.git", "show", f"{kept}:t1.txt") == "t1"
            await work.backend.settle_conflict(found[0].id, Choice.THEIRS, actor=ME)
            assert await work.backend.list_conflicts() == []
            assert git(repo / ".octopoid" / "hub.git", "rev-parse", attempt_ref("t1", run.attempt)) == kept
    task = server.ask(server.backend.get_task("t1"))
    assert (task.queue, task.run_id) == (Queue.CLAIMED, "run-other")


async def test_a_run_that_lost_its_task_is_stopped_at_the_return_and_kept(server: Live, origin: Path) -> None:
    """L-31: no process of the old attempt goes on beside the new one."""
    script, _ = waiting(origin)
    repo = machine(server, origin, "one", script)
    async with on(repo) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        async with running(work):
            await agent_runs(server, work)
            (run,) = await work.backend.list_runs(live=True)
            await away(server, work)
            await asyncio.to_thread(take_it, server, "t1")
            assert work.scheduler.live_runs == 1
            await back(server, work)

            async def stopped() -> bool:
                return work.scheduler.live_runs == 0

            await until(stopped, "the end of the late run")
        ended = await work.backend.get_run(run.id)
    assert ended.outcome is Outcome.STOPPED
    assert ended.head_sha is not None
    assert git(repo / ".octopoid" / "hub.git", "show", f"{ended.head_sha}:begun.txt") == "begun"
    assert attempt_ref("t1", run.attempt) in (ended.reason or "")
    assert server.ask(server.backend.get_task("t1")).run_id == "run-other"


async def test_a_server_that_comes_and_goes_has_everything_done_once(server: Live, origin: Path) -> None:
    """L-21: no agent is started twice on a task, however often the server goes away."""
    script = 'echo "$OCTOPOID_TASK_ID" >> "$0.log"\nsleep 0.3\n' + EDIT_AND_COMMIT
    one, two = (machine(server, origin, name, script) for name in ("one", "two"))
    names = [f"t{number}" for number in range(6)]
    logs = [origin.parent / f"{name}.sh.log" for name in ("one", "two")]

    def begun() -> list[str]:
        return [task_id for log in logs if log.exists() for task_id in log.read_text().split()]

    async with on(one) as first, on(two) as second:
        for name in names:
            await first.desk.enqueue(TaskDraft("Write a file", id=name, auto_accept=True))
        async with running(first), running(second):
            for number in range(1, 5):

                async def more_begun(wanted: int = number) -> bool:
                    return len(begun()) >= wanted

                await until(more_begun, f"task {number} to be begun")
                await away(server, first)
                await back(server, first)
            await second.backend.sync_now()
            for name in names:
                await in_queue(first, name, Queue.DONE)

            async def all_sent() -> bool:
                states = [await work.backend.sync_state() for work in (first, second)]
                return [(state.pending, state.conflicts) for state in states] == [(0, 0), (0, 0)]

            await until(all_sent, "everything sent")
    assert sorted(begun()) == names


def recovery_of(work: Work) -> Recovery:
    """What a scheduler that starts would recover with."""
    return Recovery(work.backend, work.project, work.scheduler.fleet, SystemClock(), lambda name: False)


async def test_an_agent_is_not_ended_on_the_word_of_a_copy(tmp_path: Path) -> None:
    """What is remembered proves no run's end; the server does, once it is back."""
    script = f"until [ -e {tmp_path / 'gate'} ]; do sleep 0.05; done\n"
    repo = make_project(tmp_path, script)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        await work.scheduler.run_once()
        (run,) = await work.backend.list_runs()
    async with at_work(repo, start=False) as work:
        await work.backend.transition(Transition("t1", Action.CANCEL, ME))
        await work.backend.end_run(run.id, RunEnd(Outcome.STOPPED, "said by the store alone"))
        run_dir = work.desk.run_dir(run.id)
        assert run_dir.is_alive()
    async with at_work(repo, start=False) as work:
        recovery = recovery_of(work)
        await recovery.recover(server_away=True)
        assert run_dir.is_alive()
        await recovery.compare()

        async def ended() -> bool:
            return not run_dir.is_alive()

        await until(ended, "the agent's end")


async def test_a_claim_whose_answer_was_lost_is_given_back(tmp_path: Path) -> None:
    """L-22: claimed means a live run; what was never started goes back, blameless."""
    async with at_work(make_project(tmp_path), start=False) as work:
        project = work.project
        await work.backend.register(project.cluster, project.machine_id, pid=None)
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        wish = ClaimRequest(project.orchestrator_id, "worker", "command", "run-1", 300, ("implement",))
        assert await work.backend.claim(wish) is not None
        await recovery_of(work).compare()
        task = await work.backend.get_task("t1")
        assert (task.queue, task.attempts_counted) == (Queue.INCOMING, 0)
        assert (await work.backend.get_run("run-1")).outcome is Outcome.LOST
