"""The sessions of agent programs, as a command lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_house import House
from harness import Work, at_work, make_project

from backend.interface import Backend
from backend.model import ClaimRequest, RunPatch
from scheduler.desk import TaskDraft


async def work_on(work: Work, task_id: str, run_id: str, session: str, cost: float | None) -> None:
    """Let a run be as one is that goes on with a session."""
    backend: Backend = work.backend
    await work.desk.enqueue(TaskDraft("Work", id=task_id))
    machine = work.project.orchestrator_id
    claim = await backend.claim(
        ClaimRequest(machine, "ada", "claude", run_id, 600, ("implement",), task_id, None)
    )
    assert claim is not None
    await backend.update_run(run_id, RunPatch(session_id=session, cost_usd=cost))


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A project in which two agents are at work, one of which has told what it costs."""
    repo = make_project(tmp_path)
    async with at_work(repo, start=False) as work:
        project = work.project
        await work.backend.register(project.cluster, project.machine_id, pid=1, instance=project.instance)
        await work_on(work, "t1", "run-1", "session-1", 0.25)
        await work_on(work, "t2", "run-2", "session-2", None)
        await work.backend.end_session("session-2", "it is over", actor=work.desk.actor)
    monkeypatch.chdir(repo)
    return House(repo, tmp_path)


def test_sessions_with_their_runs_tasks_states_and_costs(house: House) -> None:
    found = house.json("sessions")
    wanted = ("session_id", "agent_name", "run_id", "task_id", "status", "cost_usd", "reason")
    assert [tuple(one[name] for name in wanted) for one in found] == [
        ("session-1", "ada", "run-1", "t1", "active", 0.25, None),
        ("session-2", "ada", "run-2", "t2", "terminated", None, "it is over"),
    ]
    heads, first, second = house.ok("sessions").splitlines()
    assert heads.split() == ["SESSION", "AGENT", "MACHINE", "STATE", "AGE", "RUN", "TASK", "COST"]
    assert first.split()[-3:] == ["run-1", "t1", "$0.25"]
    assert second.split()[0] == "session-2"


def test_only_some_sessions(house: House) -> None:
    assert [one["session_id"] for one in house.json("sessions", "--task", "t2")] == ["session-2"]
    assert [one["session_id"] for one in house.json("sessions", "--live")] == ["session-1"]
    assert house.ok("sessions", "--task", "t2", "--live") == ""
    assert house("sessions", "--task", "none").exit_code == 3
