"""Places with several lists or parts of one, of which the active tab is shown."""

from __future__ import annotations

from textual import getters, on
from textual.widgets import ContentSwitcher

from octopoid_tui.screens.places.base import PlaceScreen
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.tab_strip import TabStrip


class TabbedPlace(PlaceScreen):
    """A place whose tabs are chosen by key or mouse."""

    tabs = getters.query_one(TabStrip)

    def choose(self, key: str) -> None:
        """Show what belongs to a tab."""
        raise NotImplementedError

    @on(TabStrip.Chosen)
    def _tab_clicked(self, event: TabStrip.Chosen) -> None:
        self.choose(event.key)

    def do_next_tab(self) -> None:
        self.choose(self.tabs.neighbour(1))

    def do_previous_tab(self) -> None:
        self.choose(self.tabs.neighbour(-1))


class ListsPlace(TabbedPlace):
    """A place with a list for each tab, named for the tab's key."""

    switcher = getters.query_one(ContentSwitcher)

    def __init__(self, first: str) -> None:
        super().__init__()
        self._list = first

    @property
    def grid(self) -> Grid:
        """The list that is shown."""
        return self.query_one(f"#{self._list}", Grid)

    def choose(self, key: str) -> None:
        self._list = key
        self.switcher.current = key
        self.show_loaded(self.app.picture)
        self.set_focus(self.grid)
        self.show_hints()
