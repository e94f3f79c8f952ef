"""What stays wrong is on the screen for as long as it does (L-40, L-42)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest
from app_pilot import SMALL, WIDE, driving
from fixed_desk import CLOCK, NOW, ago, empty, fleet

from backend.clock import ManualClock
from octopoid_tui import app as app_module
from scheduler.jobs import JobHealth
from scheduler.notices import Notice

NO_AGENTS = Notice(".octopoid/agents.yaml: no agents configured, so nothing will be worked on here")
BROKEN = Notice("the configuration was changed and is not used: line 3", error=True)


class Working:
    """A scheduler that never ends, with jobs as the test wants them."""

    def __init__(self, **jobs: JobHealth) -> None:
        self.jobs: Mapping[str, JobHealth] = jobs

    async def start(self) -> None:
        return None

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        return None


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "NOTICES_EVERY", 0.02)


@pytest.mark.parametrize("size", [SMALL, WIDE, (60, 20)])
async def test_l40_no_agents_is_a_banner_and_goes_with_its_cause(size: tuple[int, int]) -> None:
    desk = empty()
    desk.troubles = (NO_AGENTS,)
    async with driving(desk, size) as d:
        await d.until(lambda: "! .octopoid/agents.yaml: no agents configured" in d.lines()[1])
        desk.troubles = ()
        await d.until(lambda: "no agents configured" not in d.text())


async def test_l40_a_broken_configuration_comes_before_the_warnings_and_is_said_on_other_screens() -> None:
    desk = fleet()
    async with driving(desk) as d:
        await d.press("enter")
        await d.until(lambda: len(d.app.screen_stack) == 2)
        desk.troubles = (BROKEN, NO_AGENTS)
        await d.until(lambda: d.flash == BROKEN.text)
        await d.press("escape")
        await d.until(lambda: "✗ the configuration was changed" in d.lines()[1])
        assert "! .octopoid/agents.yaml" in d.lines()[2]


async def test_l42_a_job_that_fails_three_times_is_named_with_its_error() -> None:
    job = JobHealth("tidy", last_error="OSError: No space left on device", failures=2)
    async with driving(fleet(), scheduler=Working(tidy=job)) as d:
        await d.until(lambda: d.app._noticing is not None)
        assert "failed" not in d.lines()[1]
        job.failures = 3
        await d.until(lambda: "✗ the scheduler's job 'tidy' has failed 3 times in a row" in d.lines()[1])
        assert "No space left on device" in d.text()
        job.failures = 0
        await d.until(lambda: "'tidy'" not in d.text())


async def test_a_scheduler_that_has_just_been_started_is_not_called_silent() -> None:
    desk = fleet()
    machine = desk.backend.orchestrators[0]
    desk.backend.orchestrators[0] = replace(machine, last_cycle_at=ago(hours=3))
    clock = ManualClock(CLOCK.now_ms())
    async with driving(desk, scheduler=Working(), clock=clock) as d:
        assert "… scheduler starts" in d.lines()[0]
        await d.desk.backend.emit("orchestrator", machine.id)
        desk.backend.orchestrators[0] = replace(machine, last_cycle_at=NOW)
        await d.desk.backend.emit("orchestrator", machine.id)
        await d.until(lambda: "scheduler: last cycle 0s ago" in d.lines()[0])


async def test_one_that_does_not_come_up_is_called_silent_after_all() -> None:
    desk = fleet()
    desk.backend.orchestrators[0] = replace(desk.backend.orchestrators[0], last_cycle_at=ago(hours=3))
    clock = ManualClock(CLOCK.now_ms())
    async with driving(desk, scheduler=Working(), clock=clock) as d:
        clock.advance(121)
        await d.until(lambda: "✗ scheduler silent" in d.lines()[0])
