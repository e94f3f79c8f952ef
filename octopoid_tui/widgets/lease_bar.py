"""What is left of a lease, as a bar and a time."""

from __future__ import annotations

from octopoid_tui.formats import duration
from octopoid_tui.widgets.grid_model import Tone

FULL = "━"
REST = "┄"
LOW = 0.25  # less than a quarter left: two renewals have been missed


def lease_bar(fraction: float, width: int) -> tuple[str, Tone]:
    """A bar of `width` cells, and its tone."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    return FULL * full + REST * (width - full), "warning" if fraction < LOW else "ok"


def time_left(seconds: float) -> str:
    """The time left; `expired` once there is none."""
    return duration(max(0, round(seconds))) if seconds > 0 else "expired"
