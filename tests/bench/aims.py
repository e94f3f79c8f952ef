"""What every benchmark prints: ratios of two things measured in one run, each with its aim.

A missed aim is printed, and is no error: a busy machine misses some of them. A benchmark ends with another
status than 0 only when it could not measure.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence


def arguments(purpose: str | None, *, full: str = "") -> argparse.Namespace:
    """What the command line asks for: `smoke`, and `full` where it is described."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=purpose, formatter_class=form)
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it runs")
    if full:
        parser.add_argument("--full", action="store_true", help=full)
    return parser.parse_args()


def report(
    name: str, ratio: float, detail: str = "", *, least: float | None = None, most: float | None = None
) -> None:
    """Print a ratio; the aim is at least `least`, or at most `most`, or there is none."""
    met, aim = True, "no aim"
    if least is not None:
        met, aim = ratio >= least, f">= {least:.2f}"
    elif most is not None:
        met, aim = ratio <= most, f"<= {most:.2f}"
    verdict = "" if aim == "no aim" else "met" if met else "MISSED"
    sys.stdout.write(f"{name:48} {ratio:7.2f}  {aim:8} {verdict:6}  {detail}\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """Print a line that is no ratio."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def p50_p99(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile, in the unit given."""
    if len(seconds) < 2:
        return seconds[0], seconds[0]
    return statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
