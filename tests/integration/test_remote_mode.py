"""Two machines, each with its own clone, `.octopoid` folder and agents, over one server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ASK_FIRST, EDIT_AND_COMMIT, ME, Work, git, make_repo, running, until
from live_server import Live, live
from team import machine, on, write_key

from backend.clock import ManualClock, SystemClock
from backend.errors import ConfigError, NotFound, Refused, StoreBusy
from backend.model import NewTask, Queue, TaskFilter
from backend.rest.connection import KeyRefused
from octopoid_tui.cli.session import open_store
from scheduler.desk import Desk, TaskDraft
from scheduler.project import Project


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    for name in ("OCTOPOID_SERVER", "OCTOPOID_API_KEY", "OCTOPOID_DIR"):
        monkeypatch.delenv(name, raising=False)
    with live(tmp_path) as one:
        yield one


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "origin")


async def test_from_queue_to_merge_over_a_server(server: Live, origin: Path) -> None:
    repo = machine(server, origin, "box")
    async with on(repo) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        assert await work.scheduler.run_until_idle() == "1 task to review"
        assert "+t1" in await work.desk.diff("t1")
        async with running(work):
            task = await work.desk.accept("t1")
        assert task.queue is Queue.DONE
        (orchestrator,) = await work.backend.list_orchestrators()
        assert (orchestrator.id, orchestrator.last_cycle_at is not None) == ("team-box", True)
        status = await work.desk.status()
    assert (status["mode"], status["sync"]) == ("remote", {"state": "online", "pending": 0, "conflicts": 0})
    assert git(repo, "rev-parse", "main") == task.merged_sha
    assert server.ask(server.backend.get_task("t1")).merged_sha == task.merged_sha


async def test_two_machines_share_the_work_and_never_do_it_twice(server: Live, origin: Path) -> None:
    """L-21: one claim, one holder, over two machines."""
    script = (
        'echo "$OCTOPOID_TASK_ID" >> "$0.log"\n'
        f'while [ "$(ls "{origin.parent}"/*.sh.log | wc -l)" -lt 2 ]; do sleep 0.05; done\n'
    ) + EDIT_AND_COMMIT
    one, other = (machine(server, origin, name, script) for name in ("one", "two"))
    async with on(one) as first, on(other) as second:
        for number in range(6):
            await first.desk.enqueue(TaskDraft("Write a file", id=f"t{number}"))
        provisional = TaskFilter(queues=frozenset({Queue.PROVISIONAL}))

        async def all_handed_in() -> bool:
            return len(await second.backend.list_tasks(provisional)) == 6

        async with running(first), running(second):
            await until(all_handed_in, "six finished tasks")
        runs = await first.backend.list_runs()
    done_by = [(origin.parent / f"{name}.sh.log").read_text().split() for name in ("one", "two")]
    assert sorted(done_by[0] + done_by[1]) == [f"t{number}" for number in range(6)]
    assert all(done_by), "each machine did its part"
    assert {run.orchestrator_id for run in runs} == {"team-one", "team-two"}
    assert len({run.task_id for run in runs}) == len(runs) == 6


async def test_a_question_is_answered_from_the_other_machine(server: Live, origin: Path) -> None:
    script = ASK_FIRST + 'echo "$ANSWER" > word.txt\ngit add -A\ngit commit -q -m "Write the word"\n'
    working, looking = machine(server, origin, "one", script), machine(server, origin, "two")
    async with on(working) as work, on(looking, start=False) as guest:
        await guest.desk.enqueue(TaskDraft("Write a word", id="t1"))
        async with running(work):
            await until(lambda: _asked(guest), "a question")
            (question,) = await guest.backend.open_questions()
            await guest.desk.answer(question.id, "blue")

            async def handed_in() -> bool:
                return (await guest.backend.get_task("t1")).queue is Queue.PROVISIONAL

            await until(handed_in, "the work")
        assert "+blue" in await work.desk.diff("t1")


async def _asked(work: Work) -> bool:
    return bool(await work.backend.open_questions())


async def test_only_the_machine_that_has_the_work_merges_it(server: Live, origin: Path) -> None:
    working, idle = machine(server, origin, "one"), machine(server, origin, "two")
    async with on(idle) as guest, on(working) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        await work.scheduler.run_until_idle()
        with pytest.raises(NotFound, match="team-one"):
            await guest.desk.diff("t1")
        await guest.desk.accept("t1", wait=False)
        await guest.scheduler.run_once()
        assert (await guest.backend.get_task("t1")).queue is Queue.PROVISIONAL
        async with running(work):
            task = await guest.desk.accept("t1")
    assert task.queue is Queue.DONE
    assert git(working, "rev-parse", "main") == task.merged_sha
    assert git(idle, "rev-parse", "main") != task.merged_sha


async def test_accepting_what_nobody_can_merge_now_says_who_could(server: Live, origin: Path) -> None:
    working, looking = machine(server, origin, "one"), machine(server, origin, "two")
    async with on(working) as work:
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        await work.scheduler.run_until_idle()
    clock = ManualClock(SystemClock().now_ms() + 600_000)
    async with on(looking, start=False) as guest:
        later = Desk(guest.backend, guest.project, actor=ME, clock=clock)
        with pytest.raises(Refused, match="team-one, which has its work, does not run"):
            await later.accept("t1")
        assert (await guest.backend.get_task("t1")).approved_by == str(ME)


async def test_a_rejected_task_is_gone_on_with_where_its_work_is(server: Live, origin: Path) -> None:
    script = "echo more >> more.txt\n" + EDIT_AND_COMMIT
    working, idle = machine(server, origin, "one", script), machine(server, origin, "two")
    async with on(idle) as guest:
        async with on(working) as work:
            await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
            await work.scheduler.run_until_idle()
        await guest.desk.reject("t1", "Use fewer words.")
        await guest.scheduler.run_once()
        assert (await guest.backend.get_task("t1")).queue is Queue.INCOMING
        (agent,) = [one for one in await guest.backend.list_agents() if one.orchestrator_id == "team-two"]
        assert agent.reason == "task t1 waits: its work so far is on another machine"
        async with on(working) as work:
            await work.scheduler.run_until_idle()
        runs = await guest.backend.list_runs(task_id="t1")
    assert [run.orchestrator_id for run in runs] == ["team-one", "team-one"]


async def test_work_starts_from_the_recorded_commit_wherever_it_is_done(server: Live, origin: Path) -> None:
    """The base commit is fetched from the clone's own repository, on whatever branch it is there."""
    making, working = machine(server, origin, "one"), machine(server, origin, "two")
    (making / "new.txt").write_text("new\n")
    git(making, "add", "new.txt")
    git(making, "-c", "user.name=Ana", "-c", "user.email=ana@example.org", "commit", "-q", "-m", "New")
    async with on(making, start=False) as guest:
        task = await guest.desk.enqueue(TaskDraft("Write a file", id="t1"))
    assert task.base_sha == git(making, "rev-parse", "main")
    async with on(working) as work:
        await work.scheduler.run_once()
        assert (await work.backend.get_task("t1")).queue is Queue.INCOMING
        (agent,) = await work.backend.list_agents()
        assert task.base_sha[:12] in (agent.reason or "")
    git(making, "push", "-q", "origin", "main:refs/heads/ahead")
    git(working, "fetch", "-q")
    async with on(working) as work:
        assert await work.scheduler.run_until_idle() == "1 task to review"
        (run,) = await work.backend.list_runs(task_id="t1")
    assert run.base_sha == task.base_sha


async def test_a_task_without_a_base_commit_starts_from_the_branch(server: Live, origin: Path) -> None:
    """A script that creates a task knows no commit."""
    working = machine(server, origin, "one")
    async with on(working) as work:
        new = NewTask("t1", "Write a file", "implement", "main", "", "human:script")
        await work.backend.create_task(new, actor=ME)
        assert await work.scheduler.run_until_idle() == "1 task to review"
        (run,) = await work.backend.list_runs(task_id="t1")
        async with running(work):
            assert (await work.desk.accept("t1")).queue is Queue.DONE
    assert run.base_sha == git(origin, "rev-parse", "main")


async def test_a_server_that_was_away_is_found_again(server: Live, origin: Path) -> None:
    repo = machine(server, origin, "one")
    async with on(repo) as work, running(work):
        await asyncio.to_thread(server.stop_tcp)
        await asyncio.to_thread(server.restart_tcp)
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))

        async def handed_in() -> bool:
            return (await work.backend.get_task("t1")).queue is Queue.PROVISIONAL

        await until(handed_in, "the work")


async def test_one_process_to_a_folder_owns_and_the_others_go_through_it(server: Live, origin: Path) -> None:
    project = Project.open(machine(server, origin, "one"))
    async with (
        await open_store(project, "screen", serve=True) as first,
        await open_store(project, "screen") as second,
        await open_store(project, "command") as third,
    ):
        assert (first.owned, second.owned, third.owned) == (True, False, False)
        assert await third.backend.last_seq() == await second.backend.last_seq()


async def test_a_wrong_key_and_a_server_that_is_not_there_are_told_at_once(
    server: Live, origin: Path
) -> None:
    repo = machine(server, origin, "one")
    project = Project.open(repo)
    write_key(repo, "oct_wrong_key")
    with pytest.raises(KeyRefused, match="OCTOPOID_API_KEY"):
        await open_store(project, "command")
    (repo / ".octopoid" / "api_key").unlink()
    with pytest.raises(KeyRefused, match="OCTOPOID_API_KEY"):
        await open_store(project, "command")
    write_key(repo, server.key)
    server.stop_tcp()
    with pytest.raises(StoreBusy, match=re.escape(server.url)) as gone:
        await open_store(project, "command")
    assert "octopoid serve" in gone.value.next_step


async def test_a_key_that_others_can_read_is_not_used(server: Live, origin: Path) -> None:
    repo = machine(server, origin, "one")
    write_key(repo, server.key, 0o644)
    with pytest.raises(ConfigError, match="others can read it"):
        await open_store(Project.open(repo), "command")
    write_key(repo, "two words")
    with pytest.raises(ConfigError, match="one key"):
        await open_store(Project.open(repo), "command")


async def test_the_key_of_the_environment_comes_first(
    server: Live, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = machine(server, origin, "one")
    write_key(repo, "oct_wrong_key")
    monkeypatch.setenv("OCTOPOID_API_KEY", server.key)
    async with await open_store(Project.open(repo), "command") as opened:
        assert await opened.backend.count_queues()
