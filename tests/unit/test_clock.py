"""Time: one representation, compared as numbers (L-27)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.clock import ManualClock, SystemClock, from_iso, from_ms, to_iso, to_ms


@given(st.integers(min_value=0, max_value=32_503_680_000_000))
def test_milliseconds_survive_the_way_there_and_back(ms: int) -> None:
    at = from_ms(ms)
    assert at.tzinfo is UTC
    assert to_ms(at) == ms
    assert to_ms(from_iso(to_iso(at))) == ms


def test_iso_ends_in_z_and_has_milliseconds() -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 5000, tzinfo=timezone(timedelta(hours=2)))
    assert to_iso(at) == "2026-03-01T10:00:00.005Z"


@pytest.mark.parametrize("text", ["2026-03-01T10:00:00", "2026-03-01"])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no zone"):
        from_iso(text)


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        to_ms(datetime(2026, 3, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-03-01T23:59:59.999Z", "2026-03-02T00:00:00.000Z"),
        ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ("2026-03-01T10:00:00+02:00", "2026-03-01T09:00:00Z"),
    ],
)
def test_l27_order_holds_across_midnight_and_zones(before: str, after: str) -> None:
    assert to_ms(from_iso(before)) < to_ms(from_iso(after))


def test_l27_order_holds_across_the_end_of_summer_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=0)
    second = datetime(2026, 10, 25, 2, 15, tzinfo=berlin, fold=1)
    assert to_ms(second) - to_ms(first) == 45 * 60 * 1000


def test_the_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock()
    start = clock.now_ms()
    assert clock.now_ms() == start
    clock.advance(1.5)
    assert clock.now_ms() == start + 1500


def test_the_system_clock_tells_todays_time() -> None:
    assert abs(SystemClock().now_ms() - datetime.now(UTC).timestamp() * 1000) < 5000
