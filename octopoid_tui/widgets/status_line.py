"""The top line: the mode, whether the picture is current, the scheduler, the cost, and what waits for you."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from textual.content import Content
from textual.widgets import Static

from backend.clean import clean_line
from backend.sync import SyncMode
from octopoid_tui.feed import FeedStatus
from octopoid_tui.formats import age, cells, money
from octopoid_tui.host import Picture
from octopoid_tui.panes.glyphs import styled
from octopoid_tui.widgets.grid_model import Tone

TICK = timedelta(seconds=60)  # the scheduler's safety tick
STALE_AFTER = 2 * TICK
GAP = "   "


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the line. Where room is short, the one with the highest `rank` gives way first."""

    text: str
    tone: Tone = ""
    rank: int = 0
    short: str = ""


class StatusLine(Static):
    DEFAULT_CSS = "StatusLine { height: 1; padding: 0 1; background: $panel; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, markup=False)
        self._left: tuple[Part, ...] = ()
        self._right: Part = Part("")

    def show(self, picture: Picture) -> None:
        left, right = left_parts(picture), waiting_part(picture)
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.content_size.width
        if not width:
            return
        shown = fit_parts(self._left, width - cells(self._right.text) - len(GAP))
        used = sum(cells(part.text) for part in shown) + len(GAP) * max(0, len(shown) - 1)
        parts = [Content(GAP).join([styled(part.text, part.tone) for part in shown])]
        parts.append(Content(" " * max(1, width - used - cells(self._right.text))))
        style = "$text-warning bold" if self._right.tone else ""
        parts.append(Content.styled(self._right.text, style) if style else Content(self._right.text))
        self.update(Content.assemble(*parts), layout=False)


def fit_parts(parts: tuple[Part, ...], width: int) -> list[Part]:
    """The parts that fit, in order: shortened first, then left out, the highest rank first."""
    shown = list(parts)

    def need() -> int:
        return sum(cells(part.text) + len(GAP) for part in shown) - len(GAP)

    for part in sorted(parts, key=lambda part: -part.rank):
        if need() <= width:
            break
        if part.short:
            shown[shown.index(part)] = Part(part.short, part.tone, part.rank)
    for part in sorted(shown, key=lambda part: -part.rank):
        if need() <= width or len(shown) == 1:
            break
        shown.remove(part)
    return shown


def left_parts(picture: Picture) -> tuple[Part, ...]:
    return (
        Part("octopoid", "info", rank=9),
        Part(clean_line(picture.snapshot.mode, 40), rank=5),
        feed_part(picture),
        *conflict_parts(picture),
        scheduler_part(picture),
        Part(f"{money(picture.snapshot.cost_today)} today", rank=4, short=money(picture.snapshot.cost_today)),
    )


def feed_part(picture: Picture) -> Part:
    feed = picture.feed
    if feed.status is FeedStatus.LOADING:
        return Part("… loading", "dim", rank=3)
    if feed.status is FeedStatus.LIVE:
        return sync_part(picture)
    stale = age((picture.now - feed.since).total_seconds())
    return Part(f"✗ stale {stale}: {clean_line(feed.problem, 80)}", "error", rank=2, short=f"✗ stale {stale}")


def sync_part(picture: Picture) -> Part:
    """Whether what is shown comes from the server, and how much it does not have yet."""
    sync = picture.snapshot.sync
    pending = f" · {sync.pending} pending" if sync.pending else ""
    if sync.progress:
        progress = clean_line(sync.progress, 60)
        return Part(f"synchronising {progress}{pending}", "info", rank=1, short=f"synchronising{pending}")
    if sync.mode is SyncMode.OFFLINE:
        away = f" {age((picture.now - sync.since).total_seconds())}" if sync.since else ""
        return Part(f"offline{away}{pending}", "warning")
    return Part(f"● live{pending}", "ok", rank=0 if pending else 6)


def conflict_parts(picture: Picture) -> tuple[Part, ...]:
    number = picture.snapshot.sync.conflicts
    return (Part(f"{number} conflict{'' if number == 1 else 's'}", "warning"),) if number else ()


def scheduler_part(picture: Picture) -> Part:
    """The scheduler's last cycle and its age; a scheduler that has gone quiet must be seen at once."""
    pause = picture.snapshot.pause
    if pause.paused:
        by = f" by {clean_line(pause.by, 30)}" if pause.by else ""
        why = f": {clean_line(pause.reason, 60)}" if pause.reason else ""
        return Part(f"‖ PAUSED{by}{why}", "warning", rank=1, short="‖ PAUSED")
    last, since = picture.snapshot.last_cycle_at, picture.scheduler_since
    if since is not None and (last is None or last < since) and picture.now - since < STALE_AFTER:
        return Part("… scheduler starts", "dim", rank=1, short="… starts")
    if last is None:
        return Part("✗ no scheduler runs", "error", rank=1, short="✗ no scheduler")
    quiet = picture.now - last
    ago = age(quiet.total_seconds())
    if quiet > STALE_AFTER:
        text = f"✗ scheduler silent, last cycle {ago} ago"
        return Part(text, "error", rank=1, short=f"✗ silent {ago}")
    return Part(f"scheduler: last cycle {ago} ago", rank=1, short=f"tick {ago}")


def waiting_part(picture: Picture) -> Part:
    number = picture.snapshot.waiting_for_you
    if number == 0:
        return Part("nothing waits for you")
    return Part(f"{number} {'waits' if number == 1 else 'wait'} for you", "warning")
