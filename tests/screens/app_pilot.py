"""Drives the app over fixed data, for the tests of the screens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from fixed_desk import CLOCK, FixedDesk
from textual.pilot import Pilot
from textual.screen import Screen

from octopoid_tui.app import OctopoidApp
from octopoid_tui.screens.base import FleetScreen
from octopoid_tui.screens.control.screen import ControlScreen

WIDE = (200, 50)
SMALL = (80, 24)


@dataclass
class Driven:
    """The running app, and what a test needs to see of it."""

    app: OctopoidApp
    pilot: Pilot[None]
    desk: FixedDesk

    @property
    def control(self) -> ControlScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, ControlScreen)
        return screen

    @property
    def screen(self) -> Screen[Any]:
        """The topmost screen that is there: one that was pushed a moment ago has nothing in it yet."""
        made = (screen for screen in reversed(self.app.screen_stack) if screen.is_mounted)
        return next(made, self.app.screen)

    @property
    def flash(self) -> str:
        """The last thing said on the flash line."""
        return self.app.flashes[-1].text if self.app.flashes else ""

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.pilot.press(*("space" if letter == " " else letter for letter in text))

    async def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until a condition holds, which the app brings about in its own time."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.pilot.pause(0.01)

    def calls(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.desk.calls if call[0] == name]

    def lines(self) -> list[str]:
        """The screen as it is painted, line by line."""
        width, height = self.app.size
        rows = self.screen._compositor.render_strips()
        return ["".join(segment.text for segment in row).ljust(width) for row in rows[:height]]

    def text(self) -> str:
        return "\n".join(self.lines())


@asynccontextmanager
async def driving(
    desk: FixedDesk, size: tuple[int, int] = WIDE, *, loaded: bool = True, **options: Any
) -> AsyncIterator[Driven]:
    """The app over a desk, once its first picture is shown."""
    options = {"clock": CLOCK, "zone": UTC, "bell": False, **options}
    app = OctopoidApp(desk, **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        driven = Driven(app, pilot, desk)
        if loaded:
            await driven.until(lambda: app.picture.feed.status == "live")
        await pilot.pause()
        yield driven


def is_on(driven: Driven, kind: type[Screen[Any]]) -> bool:
    return isinstance(driven.screen, kind)


def fleet_screen(driven: Driven) -> FleetScreen:
    assert isinstance(driven.screen, FleetScreen)
    return driven.screen
