"""A program that stops reading in the middle of a message: its run ends, and its task is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Work, at_work, make_project, until

from backend.model import Outcome, Queue, Run
from scheduler import talk
from scheduler.desk import TaskDraft
from scheduler.runs import adopt

READS_SOME = """\
case "$*" in *--version*) echo "2.1.329 (Claude Code)"; exit;; esac
head -c 40000 > "$OCTOPOID_RUN_DIR/read"
echo "has read some" >&2
exec sleep 600
"""
"""What is taken for Claude Code: it reads the beginning of its input, and then nothing."""

LONG = "Do it well. " * 60_000


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose agent's pipe cannot hold the prompt."""
    monkeypatch.setattr(adopt, "LARGEST_PIPE", 1 << 16)
    made = make_project(tmp_path, READS_SOME, config="limits:\n  attempts: 2\n")
    agents = f"- name: worker\n  role: implement\n  adapter: claude\n  program: {tmp_path / 'agent.sh'}\n"
    (made / ".octopoid" / "agents.yaml").write_text(agents)
    return made


async def the_run(work: Work) -> Run:
    return (await work.backend.list_runs(task_id="t1"))[0]


async def half_read(work: Work) -> bool:
    """Whether the agent has read all that it will ever read, of a message that it has a part of."""
    await work.scheduler.run_once()
    runs = await work.backend.list_runs(task_id="t1")
    if not runs:
        return False
    run_dir = work.desk.run_dir(runs[0].id)
    sent = run_dir.events_jsonl.read_text() if run_dir.events_jsonl.exists() else ""
    err = run_dir.stderr_log.read_text() if run_dir.stderr_log.exists() else ""
    return f"{talk.PART}prompt" in sent and "has read some" in err


async def test_a_program_that_stops_reading_is_ended_and_its_task_tried_again(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Say nothing", id="t1", body=LONG))
        await until(lambda: half_read(work), "the agent to stop reading")
        assert (await the_run(work)).outcome is None
        monkeypatch.setattr(talk, "STUCK_AFTER_S", 0.0)
        await work.scheduler.run_until_idle()
        task, runs = await work.backend.get_task("t1"), await work.backend.list_runs(task_id="t1")
        assert [(run.outcome, run.reason) for run in runs] == [(Outcome.CRASHED, talk.STUCK)] * 2
        assert (task.queue, task.attempts_counted) == (Queue.FAILED, 2)
        read = (work.desk.run_dir(runs[0].id).path / "read").read_text()
        assert read.count('"initialize"') == 1
        assert read.count("Say nothing") == 1


async def test_the_next_scheduler_neither_repeats_nor_completes_half_a_message(repo: Path) -> None:
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Say nothing", id="t1", body=LONG))
        await until(lambda: half_read(work), "the agent to stop reading")
    async with at_work(repo) as work:

        async def ended() -> bool:
            await work.scheduler.run_once()
            return (await the_run(work)).outcome is not None

        await until(ended, "the run to end")
        run = await the_run(work)
        assert (run.outcome, run.reason) == (Outcome.CRASHED, talk.CUT_OFF)
        assert (await work.backend.get_task("t1")).attempts_counted == 1
        for live in await work.backend.list_runs(live=True):
            adopt.stop(work.desk.run_dir(live.id), "kill")
