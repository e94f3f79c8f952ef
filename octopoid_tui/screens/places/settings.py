"""The configuration in force, for reading: every key, and every agent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher, Static

from octopoid_tui.actions import Context, Where
from octopoid_tui.host import Picture
from octopoid_tui.keys import bindings
from octopoid_tui.screens.base import SMALLEST
from octopoid_tui.screens.places.configured import (
    AGENT_COLUMNS,
    SETTING_COLUMNS,
    agent_row,
    agent_text,
    command,
    how_to_change,
    matches,
    place,
    setting_row,
    setting_text,
)
from octopoid_tui.screens.places.tabbed import ListsPlace
from octopoid_tui.widgets.filter_bar import FilterBar
from octopoid_tui.widgets.flash_line import FlashLine
from octopoid_tui.widgets.footer import KeyFooter
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.notice_line import NoticeLine
from octopoid_tui.widgets.status_line import StatusLine
from octopoid_tui.widgets.tab_strip import Tab, TabStrip
from octopoid_tui.widgets.too_small import TooSmall

if TYPE_CHECKING:
    from backend.config.effective import Setting
    from octopoid_tui.ports import Settings
    from scheduler.settings import AgentSettings

KEYS, AGENTS = "settings", "agents"
LOOK_EVERY = 2  # seconds, as the banner looks at the files


class SettingsScreen(ListsPlace):
    """Two lists, and beside them what is under the cursor, with its meaning."""

    WHERE = Where.SETTINGS
    WHAT = "the configuration"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.SETTINGS)

    problems = getters.query_one(NoticeLine)
    bar = getters.query_one(FilterBar)
    detail = getters.query_one("#setting-text", Static)

    def __init__(self) -> None:
        super().__init__(KEYS)
        self._settings: Settings | None = None

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield NoticeLine()
        yield TabStrip(classes="place-tabs")
        yield FilterBar(self._filter_left, "words of the key, its value or its meaning, !not")
        with Container(classes="place-body"):
            with ContentSwitcher(initial=KEYS, classes="place-lists"):
                yield Grid(SETTING_COLUMNS, id=KEYS)
                yield Grid(AGENT_COLUMNS, id=AGENTS)
            with VerticalScroll(classes="place-side"):
                yield Static("", id="setting-text", markup=False)
        yield FlashLine()
        yield KeyFooter()
        yield TooSmall(*SMALLEST)

    def grids(self) -> tuple[Grid, ...]:
        return self.query_one(f"#{KEYS}", Grid), self.query_one(f"#{AGENTS}", Grid)

    def source(self, picture: Picture) -> object:
        """Files change without an event."""
        return int(picture.now.timestamp()) // LOOK_EVERY

    def context(self) -> Context:
        return replace(self.base_context(), pane=self._list)

    async def load(self) -> None:
        self._settings = await self.app.desk.settings()
        self.problems.show(self._settings.problems)

    def show_loaded(self, picture: Picture) -> None:
        known = self._settings
        counts = (None, None) if known is None else (len(known.config), len(known.agents))
        self.tabs.set_tabs(
            [Tab(KEYS, "Settings", counts[0]), Tab(AGENTS, "Agents", counts[1])], self._list
        )  # fmt: skip
        if known is None:
            return
        keys, agents = self.grids()
        keys.set_placeholder("empty", "No key matches the filter.\nesc clears it.")
        agents.set_placeholder("empty", self._no_agents(known))
        keys.set_rows([setting_row(one) for one in known.config if self._wanted(one)])
        agents.set_rows([agent_row(one) for one in known.agents if self._wanted_agent(one)])
        whole = counts[self._list == AGENTS]
        self.bar.set_found(f"{self.grid.row_count} of {whole}" if self.bar.text else "")
        self._show_detail()

    def _wanted(self, one: Setting) -> bool:
        return matches(self.bar.text, one.key, one.value, place(one.source), one.doc.description)

    def _wanted_agent(self, one: AgentSettings) -> bool:
        spec = one.spec
        return matches(self.bar.text, spec.name, spec.role, spec.adapter, spec.model or "", command(one))

    def _no_agents(self, known: Settings) -> str:
        if known.agents:
            return "No agent matches the filter.\nesc clears it."
        return f"No agent is configured: nothing will be worked on here.\n{known.agents_file} names them."

    def _show_detail(self) -> None:
        known, chosen = self._settings, self.grid.cursor_id
        if known is None:
            return
        if self._list == KEYS:
            setting = next((one for one in known.config if one.key == chosen), None)
            self.tell(self.detail, setting_text(setting, known.config_file) if setting else Content(""))
            self.flash_line.set_hint(how_to_change(setting, known.config_file))
        else:
            agent = next((one for one in known.agents if one.spec.name == chosen), None)
            self.tell(self.detail, agent_text(agent, known.agents_file) if agent else Content(""))
            self.flash_line.set_hint(how_to_change(None, known.agents_file))

    @on(Grid.Highlighted)
    def _cursor_moved(self, event: Grid.Highlighted) -> None:
        event.stop()
        if event.grid is self.grid:
            self._show_detail()

    # Filter

    def do_filter(self) -> None:
        self.bar.open()

    @on(FilterBar.Changed)
    def _filter_changed(self, event: FilterBar.Changed) -> None:
        event.stop()
        self.show_loaded(self.app.picture)

    def _filter_left(self) -> None:
        self.set_focus(self.grid)

    def do_back(self) -> None:
        """From a filter to everything, and from there to where one came from."""
        if self.bar.text:
            self.bar.action_clear()
        else:
            super().do_back()
