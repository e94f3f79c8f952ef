"""A machine that is too busy for another agent."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from harness import at_work, make_project

from backend.model import Queue
from scheduler.admission import gates
from scheduler.desk import TaskDraft


async def test_work_waits_until_the_machine_is_less_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load falls by itself, so it is waited for: no person has to do anything."""
    looks = 0

    def load() -> tuple[float, float, float]:
        nonlocal looks
        looks += 1
        return (1e6 if looks < 4 else 0.0, 0.0, 0.0)

    monkeypatch.setattr(os, "getloadavg", load)
    monkeypatch.setattr(gates, "LOAD_PASSES", timedelta(milliseconds=50))
    async with at_work(make_project(tmp_path)) as work:
        await work.desk.enqueue(TaskDraft("Do it", id="t1"))
        await work.scheduler.run_until_idle()
        assert (await work.backend.get_task("t1")).queue is Queue.PROVISIONAL
    assert looks >= 4
