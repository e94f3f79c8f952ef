"""Budgets as lines, a provider's limit as a window, and the day they are counted by."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.clock import day_of
from backend.config.schema import AgentSpec, Budgets
from backend.model import Alert
from scheduler.budget import Ledger, Line, Reach, Spent, lines, shared_lines, total
from scheduler.quota import LONGEST, SHORTEST, UNKNOWN, quota_key, retry_end, window_end, windows

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = AgentSpec(name="worker", role="implement", budget_usd=1, budget_tokens=100, day_usd=5)


def test_every_budget_that_is_set_is_a_line_its_own_first() -> None:
    budgets = Budgets(task_usd=2, day_tokens=1000, project_usd=9)
    ledger = Ledger(Spent(3.0, 400), {"worker": Spent(2.5)}, {"p": Spent(8.0)})
    found = lines(budgets, SPEC, ledger, project="p", task=Spent(1.5, 70), run=Spent(0.5, 60))
    assert [(line.reach, line.used, line.limit) for line in found] == [
        (Reach.RUN, 0.5, 1),
        (Reach.RUN, 60, 100),
        (Reach.TASK, 1.5, 2),
        (Reach.AGENT, 2.5, 5),
        (Reach.PROJECT, 8.0, 9),
        (Reach.DAY, 400, 1000),
    ]
    assert lines(Budgets(), None, ledger, project=None, task=Spent()) == []
    assert [line.of for line in shared_lines(budgets, (), ledger, ("p", "q"))] == ["p", "q", ""]


@pytest.mark.parametrize(
    ("used", "over", "warns"),
    [(0.0, False, False), (7.99, False, False), (8.0, False, True), (10.0, True, True)],
)
def test_when_a_line_warns_and_when_it_is_over(used: float, over: bool, warns: bool) -> None:
    line = Line(Reach.DAY, "", used, 10.0, tokens=False)
    assert (line.over, line.warns(80)) == (over, warns)


def test_what_a_line_says() -> None:
    assert Line(Reach.DAY, "", 10.019, 10, tokens=False).said == "today's budget is spent: $10.02 of $10.00"
    assert Line(Reach.AGENT, "w", 1, 1, tokens=False).name == "today's budget of agent w"
    assert Line(Reach.PROJECT, "", 1, 1, tokens=False).name == "the budget of tasks without a project"
    assert Line(Reach.TASK, "", 12345, 12345, tokens=True).said.endswith("12,345 tokens of 12,345 tokens")
    keys = {
        Line(reach, of, 1, 1, tokens=tokens).key
        for reach in Reach
        for of in ("", "x")
        for tokens in (True, False)
    }
    assert len(keys) == len(Reach) * 4, "each budget has an alert of its own"


def test_sums() -> None:
    assert total([Spent(1.0, 2), Spent(0.5, 3)]) == Spent(1.5, 5)
    assert total([]) == Spent()


@pytest.mark.parametrize(
    ("data", "left"),
    [
        ({"resets_in_s": 60}, timedelta(seconds=60)),
        ({"resets_at": NOW.timestamp() + 90}, timedelta(seconds=90)),
        ({"resets_at": 5}, SHORTEST),
        ({"resets_in_s": -5}, SHORTEST),
        ({"resets_in_s": 1e300}, LONGEST),
        ({"resets_in_s": float("inf")}, LONGEST),
        ({"resets_in_s": float("nan")}, UNKNOWN),
        ({"resets_in_s": True}, UNKNOWN),
        ({"resets_in_s": "soon"}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_how_long_a_provider_is_left_alone(data: dict[str, Any], left: timedelta) -> None:
    assert window_end(data, NOW) == NOW + left


def test_only_a_long_wait_of_an_agent_speaks_for_its_provider() -> None:
    assert retry_end({"delay_s": 1.5}, NOW) is None
    assert retry_end({}, NOW) is None
    assert retry_end({"delay": 30}, NOW) == NOW + timedelta(seconds=30)
    assert retry_end({"delay_s": 1e12}, NOW) == NOW + LONGEST


def test_a_window_is_of_one_machine_and_one_kind_of_agent() -> None:
    until = NOW + timedelta(hours=1)
    alerts = [
        Alert(quota_key("m", "claude"), "", NOW, until),
        Alert(quota_key("other", "codex"), "", NOW, until),
        Alert("budget:day:usd", "", NOW, until),
    ]
    assert windows(alerts, "m") == {"claude": until}


@pytest.fixture
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("at", "begins", "ends"),
    [
        ("2026-01-10T22:59:59", "2026-01-09T23:00", "2026-01-10T23:00"),
        ("2026-01-10T23:00:00", "2026-01-10T23:00", "2026-01-11T23:00"),
        ("2026-03-29T10:00:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-10-25T10:00:00", "2026-10-24T22:00", "2026-10-25T23:00"),
    ],
)
def test_a_day_begins_at_midnight_here_also_when_the_clock_is_changed(
    at: str, begins: str, ends: str
) -> None:
    """L-27"""

    def utc(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert day_of(utc(at)) == (utc(begins), utc(ends))
