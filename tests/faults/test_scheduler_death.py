"""An agent survives the death of its scheduler: another one adopts it, and nothing runs twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

from harness import at_work, make_project, python, until

from backend.model import Outcome, Queue
from backend.owner import OwnerLock
from scheduler.desk import TaskDraft

ASK_AND_COUNT = """\
echo started >> "$OCTOPOID_RUN_DIR/starts"
ANSWER=$(octopoid ask "Which word?")
echo "$ANSWER" > word.txt
git add -A
git commit -q -m "Write the word"
"""


def start_scheduler(repo: Path) -> subprocess.Popen[bytes]:
    """A scheduler in a process of its own, as `octopoid run` starts it."""
    return subprocess.Popen(
        python("-I", "-m", "octopoid_tui", "run"),
        cwd=repo,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def waiting_runs(repo: Path) -> list[Path]:
    """Run directories whose agent has put a question into its outbox."""
    return [path.parent.parent for path in repo.glob(".octopoid/runs/*/outbox/*.json")]


async def test_a_question_outlives_the_scheduler_and_its_answer_reaches_the_same_process(
    tmp_path: Path,
) -> None:
    """L-61, L-65"""
    repo = make_project(tmp_path, ASK_AND_COUNT)
    async with at_work(repo, start=False) as work:
        await work.desk.enqueue(TaskDraft("Ask something", id="t1"))
    first = start_scheduler(repo)
    try:

        async def asked() -> bool:
            return bool(waiting_runs(repo))

        await until(asked, "the agent to ask")
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()

    (run_dir,) = waiting_runs(repo)
    async with at_work(repo) as work:
        before = work.desk.run_dir(run_dir.name).started()
        assert work.desk.run_dir(run_dir.name).is_alive(), "the agent lives on without a scheduler"
        await work.scheduler.run_until_idle()
        (question,) = await work.backend.open_questions()
        assert question.run_id == run_dir.name
        await work.desk.answer(question.id, "blue")
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        (run,) = await work.backend.list_runs(task_id="t1")
        assert (task.queue, task.attempt_count) == (Queue.PROVISIONAL, 1)
        assert run.outcome is Outcome.SUBMITTED
        assert "+blue" in await work.desk.diff("t1")
        assert work.desk.run_dir(run.id).started() == before, "it is the same process"
    assert (run_dir / "starts").read_text() == "started\n", "the agent was started once"


async def test_a_run_that_ended_without_a_scheduler_is_collected_by_the_next(tmp_path: Path) -> None:
    """L-01"""
    script = 'while [ ! -e "$OCTOPOID_RUN_DIR/go" ]; do sleep 0.05; done\necho done > done.txt\n'
    repo = make_project(tmp_path, script)
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Finish alone", id="t1"))
        await work.scheduler.run_once()
        (run,) = await work.backend.list_runs(live=True)
        run_dir = work.desk.run_dir(run.id)
    (run_dir.path / "go").touch()

    async def ended() -> bool:
        return run_dir.exit() is not None

    await until(ended, "the agent to end")
    async with at_work(repo) as work:
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        assert (task.queue, task.attempt_count) == (Queue.PROVISIONAL, 1)


async def test_a_vanished_agent_leaves_its_task_blameless(tmp_path: Path) -> None:
    """L-22: what was claimed is either followed or given back."""
    script = "echo half > half.txt\ngit add -A\ngit commit -q -m Half\nsleep 600\n"
    repo = make_project(tmp_path, script, config="limits:\n  attempts: 1\n")
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Vanish", id="t1"))
        await work.scheduler.run_once()
        (run,) = await work.backend.list_runs(live=True)
        run_dir = work.desk.run_dir(run.id)

        async def committed() -> bool:
            tree = work.project.layout.worktrees / "t1-1"
            return (tree / ".git" / "logs" / "HEAD").exists() and "Half" in (
                tree / ".git" / "logs" / "HEAD"
            ).read_text()

        await until(committed, "the first commit")
        started = run_dir.started()
        assert started is not None
        await work.desk.pause("keep it from starting again")
        os.kill(started.supervisor_pid, signal.SIGKILL)

        async def given_back() -> bool:
            await work.scheduler.run_once()
            return (await work.backend.get_task("t1")).queue is Queue.INCOMING

        await until(given_back, "the task to be given back")
        task = await work.backend.get_task("t1")
        (run,) = await work.backend.list_runs(task_id="t1")
        assert run.outcome is Outcome.LOST
        assert task.attempts_counted == 0
        assert task.head_sha is not None, "the commit that was made is kept"
        assert "+half" in await work.desk.diff("t1")


async def test_a_second_scheduler_is_refused_while_one_runs(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    async with at_work(repo) as work:
        holder = OwnerLock(work.project.layout.scheduler_lock).holder()
        assert holder is not None
        assert holder.pid == os.getpid()
        asked = await asyncio.create_subprocess_exec(
            *python("-I", "-m", "octopoid_tui", "run", "--once"),
            cwd=repo,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _, said = await asked.communicate()
        assert asked.returncode == 4
        assert str(os.getpid()) in said.decode()
