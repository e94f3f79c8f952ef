"""What every test has: nothing that a test started outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from backend.errors import OctopoidError
from scheduler.runs.adopt import find_runs, stop


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
