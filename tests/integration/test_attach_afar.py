"""Attaching to a run of another machine: what is seen of it, and what one can say to it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from harness import ASK_FIRST, EDIT_AND_COMMIT, PATIENCE_S, make_repo, until
from live_server import live
from team import machine, on

from backend.model import Queue
from scheduler.desk import TaskDraft

ROOT = Path(__file__).parents[2]


def attach(repo: Path, typed: str) -> str:
    """What `octopoid attach t1` says there, with lines typed into it.

    A server of a busy machine may not answer in the time that a command gives it: then it is asked again.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith("OCTOPOID_")}
    deadline = time.monotonic() + PATIENCE_S
    while True:
        done = subprocess.run(
            [sys.executable, "-m", "octopoid_tui", "attach", "t1"], cwd=repo, input=typed, text=True,
            capture_output=True, env={**env, "PYTHONPATH": str(ROOT)}, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return done.stdout
        assert not done.stdout, done.stderr
        assert "does not answer" in done.stderr
        assert time.monotonic() < deadline, done.stderr


async def test_a_run_of_another_machine_is_seen_and_answered_from_here(tmp_path: Path) -> None:

    with live(tmp_path) as server:
        origin = make_repo(tmp_path / "origin")
        here = machine(server, origin, "here")
        there = machine(server, origin, "there", ASK_FIRST + 'echo "$ANSWER" > word\n' + EDIT_AND_COMMIT)
        async with on(there) as work:
            await work.desk.enqueue(TaskDraft("Ask", id="t1"))
            await work.scheduler.run_until_idle()
            seen = await asyncio.to_thread(attach, here, "/tell Mind the commas.\n/nothing\n")
            assert "It works on team-there, and its transcript is there" in seen
            assert "there-worker asks: Which word?" in seen
            assert "2. blue" in seen
            assert "is waiting" in seen
            assert "claimed" in seen
            assert "kept: this agent does not listen while it works" in seen
            assert "there is no /nothing here" in seen
            seen = await asyncio.to_thread(attach, here, "2\n")
            assert "Mind the commas." in seen
            assert "answered: blue" in seen

            async def done() -> bool:
                await work.scheduler.run_once()
                return (await work.backend.get_task("t1")).queue is Queue.PROVISIONAL

            await until(done, "the agent to go on with the answer")
            seen = await asyncio.to_thread(attach, here, "")
            assert "→ blue" in seen
            assert "is ended, submitted" in seen
            assert "has ended (submitted)" in seen
