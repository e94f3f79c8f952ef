"""What is left of a run long after it has ended."""

from __future__ import annotations

from pathlib import Path

from harness import at_work, make_project

from backend.clock import ManualClock
from backend.model import Queue
from scheduler.desk import TaskDraft
from scheduler.git.hub import Hub
from scheduler.tidy import BIN_RETENTION, Tidier

DAY_S = 86_400


async def test_old_run_directories_go_to_the_bin_and_then_for_good(tmp_path: Path) -> None:
    clock = ManualClock()
    repo = make_project(tmp_path, config="retention:\n  runs_days: 2\n")
    async with at_work(repo, clock=clock) as work:
        runs = work.project.layout.runs
        await work.desk.enqueue(TaskDraft("Write a file", id="t1"))
        await work.scheduler.run_until_idle()
        (run,) = await work.backend.list_runs(task_id="t1")
        stranger = runs / "not-in-the-store"
        stranger.mkdir()

        tidy = Tidier(work.backend, work.project, Hub.open(work.project.layout.root, repo), clock).tidy
        await tidy()
        assert (runs / run.id / "prompt.md").exists()
        clock.advance(2 * DAY_S + 1)
        await tidy()
        assert not (runs / run.id).exists()
        (binned,) = (runs / ".bin").iterdir()
        assert (binned / "prompt.md").exists()
        clock.advance(BIN_RETENTION.total_seconds() + 1)
        await tidy()
        assert list((runs / ".bin").iterdir()) == []
        assert stranger.exists()
        assert await work.desk.diff("t1"), "the work itself is in the hub"
        assert await work.desk.read_events(run.id) == ([], 0)
        assert (await work.backend.get_task("t1")).queue is Queue.PROVISIONAL
