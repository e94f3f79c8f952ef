"""Gauges that are legible without colour."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octopoid_tui.widgets.meter import meter, sparkline


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (1.0, "██████ 5m"),
        (0.5, "███░░░ 5m"),
        (0.25, "█░░░ ! 5m"),
        (0.1, "▎░░ !! 5m"),
        (0.0, "░░░ !! 5m"),
        (7.0, "██████ 5m"),
        (-1.0, "░░░ !! 5m"),
        (math.nan, "? 5m"),
    ],
)
def test_a_meter_says_how_grave_it_is_without_colour(fraction: float, expected: str) -> None:
    assert meter(fraction, 9, "5m").plain == expected


@given(st.floats(), st.integers(min_value=1, max_value=40), st.sampled_from(["", "5m", "2h 5m left"]))
def test_a_meter_never_takes_more_than_its_width(fraction: float, width: int, word: str) -> None:
    assert meter(fraction, width, word).cell_length <= width


def test_a_sparkline_scales_to_its_highest_value() -> None:
    assert sparkline([0, 1, 2, 4, 8], 5).plain == "▁▂▃▅█"
    assert sparkline([0, 0], 4).plain == "  ▁▁"
    assert sparkline([], 3).plain == "   "
    assert sparkline([1, math.nan, 1], 3).plain == "█ █"


@given(st.lists(st.floats(), max_size=30), st.integers(min_value=0, max_value=20))
def test_a_sparkline_takes_exactly_its_width(values: list[float], width: int) -> None:
    assert sparkline(values, width).cell_length == width
