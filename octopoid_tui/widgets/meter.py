"""Gauges and sparklines as text for cells and status lines."""

import math
from collections.abc import Sequence
from typing import Final

from textual.content import Content

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_TRACK: Final = "░"

LOW: Final = 0.4
CRITICAL: Final = 0.15


def meter(fraction: float, width: int, word: str = "") -> Content:
    """What is left of something, as a bar and a word in `width` cells in all.

    `fraction` is between 0 and 1, anything else is clipped; not a number is shown as unknown. Below
    `LOW` the bar is a warning, below `CRITICAL` an error, which "!" and "!!" say without colour.
    """
    if math.isnan(fraction):
        return Content.styled("?" + (f" {word}" if word else ""), "$text-muted").truncate(width)
    fraction = min(1.0, max(0.0, fraction))
    if fraction < CRITICAL:
        sign, style = "!!", "$text-error"
    elif fraction < LOW:
        sign, style = "!", "$text-warning"
    else:
        sign, style = "", "$text-success"
    tail = " ".join(part for part in (sign, word) if part)
    room = width - (len(tail) + 1 if tail else 0)
    if room < 2:
        return Content.styled(tail or "█"[:width], style).truncate(width, ellipsis=True)
    left = bar(fraction, room, style)
    return Content.assemble(left, " ", (tail, style)) if tail else left


def bar(fraction: float, width: int, style: str = "$text-primary") -> Content:
    """How much of something is done or used: no alarm of its own. `fraction` is clipped to 0 and 1."""
    return Content.styled(_bar(min(1.0, max(0.0, fraction)), width), style)


def _bar(fraction: float, width: int) -> str:
    eighths = round(fraction * width * 8)
    if fraction > 0:
        eighths = max(1, eighths)
    full, rest = divmod(eighths, 8)
    filled = "█" * full + (_EIGHTHS[rest] if rest else "")
    return filled + _TRACK * (width - len(filled))


def sparkline(values: Sequence[float], width: int) -> Content:
    """The last `width` values as bars from zero to the highest of them; unknown ones are blank."""
    shown = list(values[-width:]) if width > 0 else []
    highest = max((value for value in shown if math.isfinite(value)), default=0.0)
    bars = "".join(_height(value, highest) for value in shown)
    return Content.styled(bars.rjust(width), "$text-accent")


def _height(value: float, highest: float) -> str:
    if not math.isfinite(value):
        return " "
    if highest <= 0 or value <= 0:
        return _HEIGHTS[0]
    # Anything above zero stands above the line of zero.
    return _HEIGHTS[max(1, min(len(_HEIGHTS) - 1, round(value / highest * (len(_HEIGHTS) - 1))))]


if __name__ == "__main__":
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    class MeterDemo(App[None]):
        def compose(self) -> ComposeResult:
            for percent in (100, 60, 30, 10, 0):
                yield Static(meter(percent / 100, 24, f"{percent}%"))
            yield Static(sparkline([n % 7 for n in range(40)], 30))

    MeterDemo().run()
