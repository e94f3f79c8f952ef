"""How long sessions last is the configuration's to say."""

from __future__ import annotations

from pathlib import Path

from harness import make_project

from backend.lifecycle import Limits
from scheduler.project import Project


def test_the_configuration_says_how_long_sessions_last(tmp_path: Path) -> None:
    config = "sessions:\n  idle_minutes: 5\n  max_minutes: 7\n"
    limits = Project.open(make_project(tmp_path, config=config)).limits
    assert (limits.session_idle_s, limits.session_max_s) == (300, 420)


def test_without_it_they_last_half_an_hour_and_an_hour(tmp_path: Path) -> None:
    limits = Project.open(make_project(tmp_path)).limits
    assert (limits.session_idle_s, limits.session_max_s) == (1800, 3600)
    assert (Limits().session_idle_s, Limits().session_max_s) == (1800, 3600)
