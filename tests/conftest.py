"""What every test has: nothing that a test started outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from backend.errors import OctopoidError
from scheduler.runs.adopt import find_runs, stop

# The same examples each time, however slow the machine is.
settings.register_profile(
    "octopoid", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("octopoid")


TIMED = {"agents", "end_to_end", "faults", "integration", "screens"}
"""Folders whose tests drive processes, servers and screens, each with a time of its own."""

MOST_RERUNS = 2
"""More of them in one run are no accident: the run fails, whatever came of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI, a test of these that fails is run once more, and listed as RERUN; elsewhere it fails at once."""
    if not os.environ.get("CI"):
        return
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in TIMED:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    reruns = len(reporter.stats.get("rerun", ())) if reporter is not None else 0
    if reruns > MOST_RERUNS:
        reporter.write_line(f"{reruns} tests were run again, and {MOST_RERUNS} may be", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def the_machines_load_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler starts no agent on a machine that is too busy; tests are to pass there all the same."""
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))


@pytest.fixture(autouse=True)
def no_agent_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Agents live on when a scheduler stops, by design; a test's agents must not."""
    place: Path | None = None
    if "tmp_path" in request.fixturenames:
        place = request.getfixturevalue("tmp_path")
    yield
    if place is None:
        return
    for runs in place.glob("*/.octopoid/runs"):
        for run_dir, _ in find_runs(runs):
            with suppress(OctopoidError):
                stop(run_dir, "kill")
