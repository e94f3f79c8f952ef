"""Agents that do what no agent should: each run ends in a known way, says why, and leaves nothing behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import EDIT_AND_COMMIT, Work, at_work, git, make_project

from backend.model import AgentStatus, Outcome, Queue, Run
from scheduler.desk import TaskDraft


def configure(repo: Path, **agent: Any) -> None:
    """Make this the project's only agent, with one attempt per task."""
    (repo / ".octopoid" / "agents.yaml").write_text(
        json.dumps([{"name": "worker", "role": "implement", **agent}])
    )


async def one_run(work: Work, **draft: Any) -> Run:
    """Enqueue a task, let it come to rest, and return its only run, of which nothing lives any more."""
    await work.desk.enqueue(TaskDraft("Do it", id="t1", **draft))
    await work.scheduler.run_until_idle()
    (run,) = await work.backend.list_runs(task_id="t1")
    assert not work.desk.run_dir(run.id).is_alive()
    started = work.desk.run_dir(run.id).started()
    assert started is None or not Path(f"/proc/{started.pid}").exists()
    assert work.scheduler.live_runs == 0
    assert not (await work.backend.get_pause()).paused
    return run


@dataclass(frozen=True)
class Fault:
    """What an agent does, and how its run has to end."""

    name: str
    script: str
    outcome: Outcome
    queue: Queue
    why: str
    kept: str = ""
    """A line of its work that must be in the diff."""


FAULTS = [
    Fault("commits nothing", "true\n", Outcome.EMPTY, Queue.ESCALATED, "changed nothing"),
    Fault(
        "leaves a dirty tree",
        "echo one > a.txt\ngit add a.txt\necho two > b.txt\necho more >> README.md\n",
        Outcome.SUBMITTED, Queue.PROVISIONAL, "exit status 0", "+two",
    ),
    Fault(
        "leaves a merge half done",
        EDIT_AND_COMMIT + "git checkout -qb other HEAD~1\necho x > t1.txt\ngit add -A\ngit commit -qm Other\n"
        "git checkout -q -\ngit merge other || true\n",
        Outcome.SUBMITTED, Queue.PROVISIONAL, "exit status 0", "+t1",
    ),
    Fault(
        "rewrites its own history",
        EDIT_AND_COMMIT + "git commit -q --amend -m Again\n",
        Outcome.SUBMITTED, Queue.PROVISIONAL, "exit status 0", "+t1",
    ),
    Fault(
        "never reads its input and closes its output",
        "exec 0<&- 1>&- 2>&-\n" + EDIT_AND_COMMIT,
        Outcome.SUBMITTED, Queue.PROVISIONAL, "exit status 0", "+t1",
    ),
    Fault("fails", "echo one > a.txt\nexit 7\n", Outcome.CRASHED, Queue.FAILED, "exit status 7"),
    Fault(
        "dies of a signal", "echo one > a.txt\nkill -SEGV $$\n", Outcome.CRASHED, Queue.FAILED, "signal 11"
    ),
    Fault(
        "prints what is no text",
        "head -c 200000 /dev/urandom\nprintf '\\033]52;c;x\\007\\n\\377\\376\\n'\n" + EDIT_AND_COMMIT,
        Outcome.SUBMITTED, Queue.PROVISIONAL, "exit status 0", "+t1",
    ),
    Fault(
        "forks until it ends",
        "for n in 1 2 3 4 5 6 7 8; do setsid sleep 600 > /dev/null 2>&1 & done\n" + EDIT_AND_COMMIT,
        Outcome.SUBMITTED, Queue.PROVISIONAL, "exit status 0", "+t1",
    ),
    Fault(
        "says that it failed",
        'cd "$OCTOPOID_RUN_DIR/outbox"\n'
        """echo '{"kind": "result", "outcome": "error", "reason": "too hard"}' > .r.tmp\n"""
        "mv .r.tmp r.json\n",
        Outcome.CRASHED, Queue.FAILED, "too hard",
    ),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_run_ends_in_a_known_way_whatever_its_agent_does(tmp_path: Path, fault: Fault) -> None:
    repo = make_project(tmp_path, fault.script, config="limits:\n  attempts: 1\n")
    async with at_work(repo) as work:
        run = await one_run(work)
        task = await work.backend.get_task("t1")
        assert (run.outcome, task.queue) == (fault.outcome, fault.queue)
        assert fault.why in (run.reason or "")
        assert fault.kept in await work.desk.diff("t1")
    assert git(repo / ".octopoid" / "hub.git", "fsck", "--no-dangling") == ""


async def test_what_is_written_outside_of_the_worktree_is_no_part_of_the_work(tmp_path: Path) -> None:
    """Nothing confines an agent without isolation: what it does elsewhere stays there, and is not merged."""
    repo = tmp_path / "repo"
    script = f'echo "by the agent" >> "{repo}/README.md"\necho x > "{tmp_path}/elsewhere"\n' + EDIT_AND_COMMIT
    make_project(tmp_path, script)
    async with at_work(repo) as work:
        run = await one_run(work)
        assert run.outcome is Outcome.SUBMITTED
        diff = await work.desk.diff("t1")
        assert "+t1" in diff
        assert "by the agent" not in diff
        await work.desk.accept("t1", wait=False)
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.DONE
    assert "by the agent" not in git(repo, "show", "main:README.md")
    assert git(repo, "status", "--porcelain", "README.md") == "M README.md", "a person sees it, and decides"


async def test_history_that_was_there_before_cannot_be_taken_back(tmp_path: Path) -> None:
    """The commit that the work began from was rewritten: the work is merged, and that commit stays."""
    repo = make_project(tmp_path, "git commit -q --amend -m Mine\n" + EDIT_AND_COMMIT)
    (repo / "more.txt").write_text("more\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "More")
    before = git(repo, "rev-parse", "main")
    async with at_work(repo) as work:
        run = await one_run(work)
        assert run.outcome is Outcome.SUBMITTED
        await work.desk.accept("t1", wait=False)
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.DONE
    assert before in git(repo, "rev-list", "main").split()
    assert git(repo, "show", "main:t1.txt") == "t1"


# Programs that speak a protocol


def claude(place: Path, script: str, version: str = "2.1.329 (Claude Code)") -> str:
    """A program that is called like Claude Code and does something else."""
    program = place / "claude"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\n{script}')
    program.chmod(0o755)
    return str(program)


TALK_FAULTS = [
    Fault("never reads", "exec sleep 600\n", Outcome.TIMED_OUT, Queue.FAILED, "it was silent"),
    Fault("ends at once", "exit 3\n", Outcome.CRASHED, Queue.FAILED, "exit status 3"),
    Fault(
        "says nothing that is known",
        "echo garbage\necho '{\"type\":\"no such\"}'\necho '{\"type\":7}'\necho '[['\nexit 0\n",
        Outcome.EMPTY, Queue.ESCALATED, "changed nothing",
    ),
    Fault(
        "never ends its turn",
        "while :; do echo '{\"type\":\"system\",\"subtype\":\"no such\"}'; sleep 0.2; done\n",
        Outcome.TIMED_OUT, Queue.FAILED, "longer than its timeout",
    ),
]  # fmt: skip


@pytest.mark.parametrize("fault", TALK_FAULTS, ids=lambda fault: fault.name)
async def test_a_program_that_does_not_keep_to_its_protocol_ends_too(tmp_path: Path, fault: Fault) -> None:
    repo = make_project(tmp_path, config="limits:\n  attempts: 1\n")
    limits = {}
    if fault.outcome is Outcome.TIMED_OUT:
        silent = "silent" in fault.why
        limits = {"idle_timeout": "1s" if silent else "300s", "timeout": "300s" if silent else "2s"}
    configure(repo, adapter="claude", program=claude(tmp_path, fault.script), **limits)
    async with at_work(repo) as work:
        run = await one_run(work, body="much to read\n" * 20_000)
        task = await work.backend.get_task("t1")
        assert (run.outcome, task.queue) == (fault.outcome, fault.queue), run.reason
        assert fault.why in (run.reason or "")


async def test_events_that_nobody_knows_are_kept_as_they_are(tmp_path: Path) -> None:
    repo = make_project(tmp_path)
    configure(repo, adapter="demo", env={"OCTOPOID_DEMO_PACE": "0"})
    strange = {"emit": {"kind": "no.such.event", "data": {"a": "\x1b[2J"}}}
    steps = [strange, {"write": {"path": "a.txt", "text": "alpha\n"}}]
    async with at_work(repo) as work:
        run = await one_run(work, metadata={"demo": {"implement": [steps]}})
        assert run.outcome is Outcome.SUBMITTED
        events, _ = await work.desk.read_events(run.id)
    (unknown,) = [event.data["raw"] for event in events if event.kind == "unknown"]
    assert "no.such.event" in unknown
    assert "\x1b" not in unknown


# Programs that cannot be started


@pytest.mark.parametrize(
    ("agent", "why"),
    [
        ({"adapter": "command", "command": ["{place}/no-such-program"]}, "was not found"),
        ({"adapter": "command", "command": ["{place}/plain.txt"]}, "is not executable"),
        ({"adapter": "claude", "program": "{place}/old"}, "2.1 or newer is needed"),
        ({"adapter": "claude", "program": "{place}/other"}, "is no Claude Code"),
        ({"adapter": "anthropic"}, "but no model"),
    ],
    ids=["missing", "not executable", "wrong version", "another program", "incomplete"],
)
async def test_an_agent_that_cannot_be_started_rests_and_blames_no_task(
    tmp_path: Path, agent: dict[str, Any], why: str
) -> None:
    repo = make_project(tmp_path)
    (tmp_path / "plain.txt").write_text("text\n")
    for name, version in (("old", "1.0.128 (Claude Code)"), ("other", "Python 3.11")):
        Path(claude(tmp_path, "", version)).rename(tmp_path / name)
    configure(repo, **json.loads(json.dumps(agent).replace("{place}", str(tmp_path))))
    async with at_work(repo) as work:
        await work.desk.enqueue(TaskDraft("Do it", id="t1"))
        await work.scheduler.run_until_idle()
        task = await work.backend.get_task("t1")
        (row,) = await work.backend.list_agents()
        reason = (await work.desk.why("t1")).summary
        assert work.scheduler.live_runs == 0
        assert not (await work.backend.get_pause()).paused
    assert (task.queue, task.attempts_counted) == (Queue.INCOMING, 0)
    assert row.status is AgentStatus.ERROR
    assert why in (row.reason or "")
    assert why in reason
