"""Numbers, times and ids as the screen shows them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from backend.clean import clean
from octopoid_tui import formats


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3 * 60 + 59, "3m"),
        (3600, "1h"),
        (2 * 3600 + 5 * 60, "2h 5m"),
        (86400, "1d"),
        (4 * 86400 + 3600, "4d 1h"),
    ],
)
def test_age_shows_the_two_largest_units(seconds: float, expected: str) -> None:
    assert formats.age(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.42, "0.4s"),
        (9.96, "10s"),
        (42, "42s"),
        (65, "1:05"),
        (7389, "2:03:09"),
        (-65, "-1:05"),
        (59.6, "1:00"),
    ],
)
def test_duration_is_exact_to_the_second(seconds: float, expected: str) -> None:
    assert formats.duration(seconds) == expected


def test_clock_names_the_day_only_when_it_is_another() -> None:
    now = datetime(2025, 11, 4, 0, 30, tzinfo=UTC)
    assert formats.clock(now, now, UTC) == "00:30"
    assert formats.clock(now - timedelta(minutes=31), now, UTC) == "Nov 03 23:59"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (1234, "1.2k"),
        (9_960, "10k"),
        (999_400, "999k"),
        (999_600, "1M"),
        (13_000_000, "13M"),
        (2_500_000_000, "2.5G"),
        (-1234, "-1.2k"),
    ],
)
def test_count_keeps_two_digits(number: int, expected: str) -> None:
    assert formats.count(number) == expected


@given(st.integers(min_value=0, max_value=10**12 - 10**9))
def test_a_count_takes_at_most_four_cells(number: int) -> None:
    assert len(formats.count(number)) <= 4


@pytest.mark.parametrize(
    ("dollars", "expected"),
    [
        (0, "$0.00"),
        (0.42, "$0.42"),
        (0.0042, "$0.004"),
        (0.0001, "<$0.001"),
        (12.345, "$12.35"),
        (1234.4, "$1,234"),
        (-3, "-$3.00"),
    ],
)
def test_money(dollars: float, expected: str) -> None:
    assert formats.money(dollars) == expected


def test_short_id_keeps_the_part_that_differs() -> None:
    assert formats.short_id("01hx5zzkbkactav9wevgemmvrz") == "vgemmvrz"
    assert formats.short_id("abc") == "abc"
    assert formats.tokens(1200) == "1.2k tok"


def test_truncate_never_halves_a_wide_character() -> None:
    assert formats.truncate("日本語", 6) == "日本語"
    assert formats.truncate("日本語", 5) == "日本…"
    assert formats.truncate("日本語", 4) == "日…"
    assert formats.truncate("abcdef", 4) == "abc…"
    assert formats.truncate("abc", 0) == ""


@given(st.text(), st.integers(min_value=1, max_value=40), st.booleans())
def test_fit_takes_exactly_the_width(text: str, width: int, right: bool) -> None:
    text = clean(text, newlines=False)
    assert cell_len(formats.fit(text, width, right=right)) == width
