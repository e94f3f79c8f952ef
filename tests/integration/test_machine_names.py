"""Machines of one server: two of one name are noticed, and a fault of one stays its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import make_repo, running, until
from live_server import Live, live
from team import machine, on

from backend.errors import Duplicate
from backend.model import Queue, TaskFilter
from scheduler.desk import TaskDraft


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    for name in ("OCTOPOID_SERVER", "OCTOPOID_API_KEY", "OCTOPOID_DIR"):
        monkeypatch.delenv(name, raising=False)
    with live(tmp_path) as one:
        yield one


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "origin")


async def test_a_second_machine_of_the_same_name_is_refused_while_the_first_is_at_work(
    server: Live, origin: Path
) -> None:
    box, double = machine(server, origin, "box"), machine(server, origin, "double")
    config = double / ".octopoid" / "config.yaml"
    config.write_text(config.read_text().replace("machine_id: double", "machine_id: box"))
    async with on(box) as first:
        with pytest.raises(Duplicate, match=r"another installation is at work as machine box.*machine_id"):
            async with on(double):
                raise AssertionError("two machines go by one name")
        (known,) = await first.backend.list_orchestrators()
        assert (known.status, known.instance) == ("active", first.project.instance)
    async with on(double) as second:
        (known,) = await second.backend.list_orchestrators()
        assert (known.status, known.instance) == ("active", second.project.instance)
    assert server.ask(server.backend.list_orchestrators())[0].status == "offline"


async def test_a_machine_that_can_make_no_worktree_pauses_itself_alone(server: Live, origin: Path) -> None:
    box, other = machine(server, origin, "box"), machine(server, origin, "other")
    async with on(box) as broken:
        worktrees = box / ".octopoid" / "worktrees"
        shutil.rmtree(worktrees, ignore_errors=True)
        worktrees.write_text("in the way")
        await broken.desk.enqueue(TaskDraft("Write a file", id="t1"))

        async def paused() -> bool:
            return (await broken.backend.get_pause(machine="team-box")).paused

        async with running(broken):
            await until(paused, "the broken machine to pause")
        pause = await broken.backend.get_pause(machine="team-box")
        assert (pause.machine, "t1 did not start" in (pause.reason or "")) == ("team-box", True)
        assert "this machine's intake is paused" in (await broken.desk.why("t1")).summary
        async with on(other) as sound:
            assert not (await sound.backend.get_pause(machine="team-other")).paused

            async def handed_in() -> bool:
                wanted = TaskFilter(queues=frozenset({Queue.PROVISIONAL}))
                return [task.id for task in await sound.backend.list_tasks(wanted)] == ["t1"]

            async with running(sound):
                await until(handed_in, "the other machine to do the work")
            (run,) = [run for run in await sound.backend.list_runs() if run.commits_count]
            assert run.orchestrator_id == "team-other"


async def test_why_says_where_the_work_of_a_vanished_machine_is(server: Live, origin: Path) -> None:
    box, other = machine(server, origin, "box"), machine(server, origin, "other")
    async with on(box) as first:
        await first.desk.enqueue(TaskDraft("Write a file", id="t1"))
        assert await first.scheduler.run_until_idle() == "1 task to review"
        await first.desk.reject("t1", "once more")
    async with on(other, start=False) as second:
        said = (await second.desk.why("t1")).summary
    assert "its work so far is on team-box, last heard of at" in said
    assert "start the scheduler there" in said
