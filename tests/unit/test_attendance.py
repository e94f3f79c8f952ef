"""When somebody was here, and how that is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from octopoid_tui.attendance import AWAY_AFTER, KEEP_EVERY, Attendance

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_who_does_nothing_for_long_has_left_with_the_last_key() -> None:
    attendance = Attendance()
    attendance.here(NOON)
    assert attendance.left_at is None
    attendance.here(NOON + AWAY_AFTER - SECOND)
    assert attendance.left_at is None
    attendance.here(NOON + 2 * AWAY_AFTER - SECOND)
    assert attendance.left_at == NOON + AWAY_AFTER - SECOND
    attendance.here(NOON + 2 * AWAY_AFTER)
    assert attendance.left_at == NOON + AWAY_AFTER - SECOND


def test_it_is_kept_for_the_next_start(tmp_path: Path) -> None:
    file = tmp_path / "attendance.json"
    first = Attendance.open(file)
    first.keep()
    assert not file.exists()
    first.here(NOON)
    first.keep()
    assert file.stat().st_mode & 0o777 == 0o600
    second = Attendance.open(file)
    assert (second.last_at, second.left_at) == (NOON, None)
    second.here(NOON + timedelta(hours=9))
    second.keep()
    third = Attendance.open(file)
    assert (third.last_at, third.left_at) == (NOON + timedelta(hours=9), NOON)


def test_it_is_written_seldom(tmp_path: Path) -> None:
    attendance = Attendance(tmp_path / "attendance.json")
    assert not attendance.due(NOON)
    attendance.here(NOON)
    assert attendance.due(NOON)
    attendance.keep()
    attendance.here(NOON + SECOND)
    assert not attendance.due(NOON + SECOND)
    assert attendance.due(NOON + KEEP_EVERY)
    attendance.here(NOON - SECOND)  # the clock was put back
    assert attendance.due(NOON - SECOND)
    assert not Attendance(last_at=NOON).due(NOON)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "7", '{"last_at": 7}', '{"last_at": "2026-01-01T12:00:00"}']
)
def test_a_file_that_says_nothing_useful_is_not_used(tmp_path: Path, content: str) -> None:
    file = tmp_path / "attendance.json"
    file.write_text(content)
    assert Attendance.open(file) == Attendance(file)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "attendance.json").mkdir()
    assert Attendance.open(tmp_path / "attendance.json").last_at is None


def test_a_place_that_cannot_be_written_is_tried_seldom_too(tmp_path: Path) -> None:
    attendance = Attendance(tmp_path / "none" / "attendance.json")
    attendance.here(NOON)
    with pytest.raises(OSError, match="none"):
        attendance.keep()
    attendance.here(NOON + SECOND)
    assert not attendance.due(NOON + SECOND)
    assert attendance.due(NOON + KEEP_EVERY)
