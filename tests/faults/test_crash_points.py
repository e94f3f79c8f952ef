"""The scheduler is killed again and again, at any moment; whoever comes next finishes the work, once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from harness import at_work, git, make_project, python, until

from backend.interface import Backend
from backend.model import Queue, RunStatus, TaskFilter
from scheduler.desk import TaskDraft

ROUNDS = 10
TASKS = ("one", "two", "three", "four", "five")


def agent(tmp_path: Path) -> str:
    """Works for a moment; a second agent on the same task at the same time leaves a trace."""
    return (
        f'exec 9> "{tmp_path}/$OCTOPOID_TASK_ID.lock"\n'
        f'flock -n 9 || echo "$OCTOPOID_TASK_ID" >> "{tmp_path}/together"\n'
        "sleep 0.3\n"
        'echo "$OCTOPOID_TASK_ID" > "$OCTOPOID_TASK_ID.txt"\n'
        'git add -A\ngit commit -q -m "Write $OCTOPOID_TASK_ID"\n'
        "sleep 0.3\n"
    )


def run_and_kill(repo: Path, after_s: float, *, group: bool) -> None:
    """A scheduler that lives for so long; with `group` the git it has started dies with it."""
    with subprocess.Popen(
        python("-m", "octopoid_tui", "run"),
        cwd=repo,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as scheduler:
        time.sleep(after_s)
        assert scheduler.poll() is None, "the scheduler ended by itself"
        if group:
            os.killpg(scheduler.pid, signal.SIGKILL)
        else:
            scheduler.kill()


def processes_of(place: Path) -> list[int]:
    """Processes that carry the mark of a run below this place."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"OCTOPOID_RUN=" in environ and os.fsencode(place) in environ:
                found.append(int(entry.name))
    return found


async def check_claims(backend: Backend) -> None:
    """L-22: what is claimed has a live run, and no task has two."""
    live = {run.id: run for run in await backend.list_runs(live=True)}
    for task in await backend.list_tasks(TaskFilter(queues=frozenset({Queue.CLAIMED}))):
        assert task.run_id in live, f"{task.id} is claimed by a run that is none"
    worked_on = [run.task_id for run in live.values()]
    assert len(worked_on) == len(set(worked_on)), worked_on


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("flock") is None, reason="needs the flock program of util-linux")
@pytest.mark.parametrize("group", [False, True], ids=["alone", "with its git"])
async def test_a_scheduler_killed_at_random_moments_loses_and_repeats_nothing(
    tmp_path: Path, group: bool
) -> None:
    """F1, F2; L-13, L-22, L-23"""
    repo = make_project(
        tmp_path, agent(tmp_path), config="review: auto\nchecks: ['sleep 0.1']\n", instances=2
    )
    chance = random.Random(20 + group)
    async with at_work(repo, start=False) as work:
        for name in TASKS:
            await work.desk.enqueue(TaskDraft(name, id=name))
    for _ in range(ROUNDS):
        run_and_kill(repo, chance.uniform(0.35, 1.0), group=group)
        async with at_work(repo, start=False) as work:
            await check_claims(work.backend)
    async with at_work(repo) as work:
        assert await work.scheduler.run_until_idle() == "everything is done"
        await check_claims(work.backend)
        tasks = await work.backend.list_tasks(TaskFilter())
        runs = [run for task in tasks for run in await work.backend.list_runs(task_id=task.id)]
    assert {task.id: task.queue for task in tasks} == dict.fromkeys(TASKS, Queue.DONE)
    assert {task.attempts_counted for task in tasks} == {1}, "the death of a scheduler is no fault of a task"
    assert {run.status for run in runs} == {RunStatus.ENDED}
    assert not (tmp_path / "together").exists(), "two agents were at one task at the same time"
    merged = git(repo, "log", "--format=%(trailers:key=Octopoid-Task,valueonly)").split()
    assert sorted(merged) == sorted(TASKS), "each accepted task has exactly one merge commit"
    assert git(repo, "status", "--porcelain") == ""
    assert {path.name for path in repo.glob("*.txt")} == {f"{name}.txt" for name in TASKS}
    for place in (repo, repo / ".octopoid" / "hub.git"):
        assert git(place, "fsck", "--no-dangling") == ""
    assert list((repo / ".octopoid" / "hub.git").rglob("*.lock")) == []
    with sqlite3.connect(repo / ".octopoid" / "octopoid.db") as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()

    async def nobody() -> bool:
        return not processes_of(tmp_path)

    await until(nobody, "every process of a run to be gone")
