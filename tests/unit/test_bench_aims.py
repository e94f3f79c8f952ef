"""What a benchmark says of its ratios: a missed aim is told, and is no error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from aims import p50_p99, report


@pytest.mark.parametrize(
    ("ratio", "aim", "said"),
    [
        (0.8, {"least": 0.8}, ">= 0.80  met"),
        (0.79, {"least": 0.8}, ">= 0.80  MISSED"),
        (1.3, {"most": 1.3}, "<= 1.30  met"),
        (1.31, {"most": 1.3}, "<= 1.30  MISSED"),
    ],
)
def test_an_aim_is_met_or_missed(
    capsys: pytest.CaptureFixture[str], ratio: float, aim: dict[str, float], said: str
) -> None:
    report("ours / theirs", ratio, "2 / 3", **aim)
    assert said in capsys.readouterr().out


def test_a_ratio_without_an_aim_has_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    report("ours / theirs", 0.1)
    out = capsys.readouterr().out
    assert "no aim" in out
    assert "MISSED" not in out


def test_percentiles_are_of_what_was_measured() -> None:
    assert p50_p99([4.0]) == (4.0, 4.0)
    assert p50_p99([float(n) for n in range(1, 100)]) == (50.0, 99.0)
