"""What the screens share that list something of the store beside the tasks: projects, costs, rules."""

from __future__ import annotations

import math
import time
from typing import ClassVar

from textual import getters
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from backend.errors import OctopoidError
from octopoid_tui.actions import Context
from octopoid_tui.feed import FeedStatus
from octopoid_tui.host import Picture, begin
from octopoid_tui.panes.agents import AgentsPane
from octopoid_tui.panes.chat import ChatPane
from octopoid_tui.panes.leases import LeasesPane
from octopoid_tui.panes.queues import QueuesPane
from octopoid_tui.screens.base import FleetScreen
from octopoid_tui.screens.control.screen import ControlScreen
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.too_small import TooSmall

NARROW = 110
READ_EVERY = 1.0  # seconds between two readings, however much happens
RETRY_AFTER = 5.0  # seconds after a reading that failed


class PlaceScreen(FleetScreen):
    """A screen over what the feed does not carry; it reads when that may be another now."""

    CSS_PATH = "place.tcss"
    WHAT: ClassVar[str]
    """What is read, for the messages of loading and failing."""

    too_small = getters.query_one(TooSmall)

    def __init__(self) -> None:
        super().__init__()
        self._read_for: object = None
        self._read_next = -math.inf
        self._reading: Worker[None] | None = None
        self._told: Content | None = None

    def grids(self) -> tuple[Grid, ...]:
        """The lists that wait for what is read."""
        raise NotImplementedError

    def source(self, picture: Picture) -> object:
        """What has to be another for what is shown to be read again."""
        return picture.snapshot.seq

    async def load(self) -> None:
        """Read what is shown."""
        raise NotImplementedError

    def show_loaded(self, picture: Picture) -> None:
        """Show what was read, as it stands at the picture's time."""
        raise NotImplementedError

    def base_context(self) -> Context:
        picture = self.app.picture
        return Context(
            self.WHERE,
            picture.snapshot,
            owns_scheduler=self.app.scheduler is not None,
            live=picture.feed.status is FeedStatus.LIVE,
        )

    def ready(self) -> None:
        for grid in self.grids():
            grid.set_placeholder("loading", f"Reading {self.WHAT}")
        self.grids()[0].focus()

    def resized(self, width: int, height: int) -> None:
        self.too_small.tell(width, height)
        self.set_class(width < NARROW, "-narrow")

    def show_picture(self, picture: Picture) -> None:
        for grid in self.grids():
            grid.stale = picture.feed.status is FeedStatus.STALE
        if self.source(picture) != self._read_for and time.monotonic() >= self._read_next:
            self._read(picture)
        self.show_loaded(picture)

    def tell(self, detail: Static, text: Content) -> None:
        """Show what is under the cursor; what is shown already is not painted again."""
        if self._told is None or not text.is_same(self._told):
            self._told = text
            detail.update(text)

    def read_again(self) -> None:
        """Read at once: something has been done here."""
        self._read_for, self._read_next = None, -math.inf
        self.take_picture(self.app.picture)

    def on_descendant_focus(self) -> None:
        self.show_hints()

    def do_next_part(self) -> None:
        self.focus_next()

    def do_previous_part(self) -> None:
        self.focus_previous()

    def do_refresh(self) -> None:
        self.app.refresh_feed()
        self.read_again()

    def _read(self, picture: Picture) -> None:
        if self._reading is not None and not self._reading.is_finished:
            return
        self._read_for, self._read_next = self.source(picture), time.monotonic() + READ_EVERY
        self._reading = begin(self, self._load, f"Read {self.WHAT}", "read-place")

    async def _load(self) -> None:
        try:
            await self.load()
        except OctopoidError as error:
            self._read_for, self._read_next = None, time.monotonic() + RETRY_AFTER
            for grid in self.grids():
                grid.set_placeholder("error", f"{error}\nctrl+r tries again")
            raise
        self.show_loaded(self.app.picture)
        self.show_hints()

    # The panes of the control screen have the same keys here as there.

    def do_pane_queues(self) -> None:
        self._leave_for(QueuesPane.KEY)

    def do_pane_agents(self) -> None:
        self._leave_for(AgentsPane.KEY)

    def do_pane_leases(self) -> None:
        self._leave_for(LeasesPane.KEY)

    def do_pane_chat(self) -> None:
        self._leave_for(ChatPane.KEY)

    def _leave_for(self, pane: str) -> None:
        control = self.app.screen_stack[0]
        self.app.pop_screen()
        if isinstance(control, ControlScreen):
            control.go_to_pane(pane)
