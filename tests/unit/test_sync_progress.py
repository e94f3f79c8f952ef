"""What `octopoid status` says while the copy of a server's state is made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from backend.sync import SyncMode, SyncState
from octopoid_tui.cli.steer import status_text
from scheduler.status import sync_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def status(progress: str | None) -> dict[str, Any]:
    return {
        "mode": "remote",
        "queues": {"incoming": 1},
        "scheduler": {"running": True, "pid": 1, "paused": False, "last_cycle_age_s": 1.0},
        "agents": [],
        "leases": [],
        "questions": 0,
        "sync": sync_status(SyncState(SyncMode.ONLINE, 0, 0, "https://s", None, None, progress)),
        "cost_today_usd": 0.0,
    }


def test_it_says_how_far_it_has_got() -> None:
    found = status("3,000 of 10,000 tasks")
    assert found["sync"]["progress"] == "3,000 of 10,000 tasks"
    assert "synchronising 3,000 of 10,000 tasks" in status_text(found, NOW)


@pytest.mark.parametrize("progress", [None, ""])
def test_it_says_nothing_when_there_is_nothing_to_say(progress: str | None) -> None:
    found = status(progress)
    assert found["sync"] == {"state": "online", "pending": 0, "conflicts": 0}
    assert "synchronising" not in status_text(found, NOW)
