"""Lines below the status line for what stays wrong until somebody does something about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from backend.clean import clean_line
from backend.model import Pause
from backend.sync import SyncMode, SyncState
from octopoid_tui.panes.glyphs import styled

if TYPE_CHECKING:
    from octopoid_tui.ports import Notice

LINES = 4
"""The screen is for the work: whatever is wrong, it takes no more than this."""


class NoticeLine(Static):
    """Takes no room while there is nothing to say."""

    DEFAULT_CSS = f"""
    NoticeLine {{ height: auto; max-height: {LINES}; padding: 0 1; display: none; }}
    NoticeLine.-some {{ display: block; }}
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, markup=False)
        self._notices: tuple[Notice, ...] = ()

    def show(self, notices: Sequence[Notice]) -> None:
        if tuple(notices) != self._notices:
            self._notices = tuple(notices)
            self.set_class(bool(notices), "-some")
            self.update(Content("\n").join([_line(notice) for notice in notices]))


def pause_notice(pause: Pause) -> tuple[Notice, ...]:
    """The reason of a pause: the status line has no room for it where the screen is narrow."""
    if not pause.paused or not pause.reason:
        return ()
    from scheduler.notices import Notice  # not before there is something to say

    by = f"{pause.by} paused it: " if pause.by else ""
    return (Notice(f"nothing new starts; {by}{pause.reason}"),)


def sync_notice(sync: SyncState) -> tuple[Notice, ...]:
    """That the server is away, and what it did not take."""
    if sync.mode is not SyncMode.OFFLINE and not sync.conflicts:
        return ()
    from scheduler.notices import sync_notices  # not before there is something to say

    return sync_notices(sync)


def _line(notice: Notice) -> Content:
    text = clean_line(notice.text, 400)
    return styled(f"✗ {text}", "error") if notice.error else styled(f"! {text}", "warning")
