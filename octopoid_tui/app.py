"""The app: it wires the desk, the feed, the keys and the screens, and does nothing of its own."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.driver import Driver

from backend.clock import Clock
from backend.errors import OctopoidError
from octopoid_tui.driver import OctopoidDriver
from octopoid_tui.feed import Feed, FeedState, FeedStatus
from octopoid_tui.host import LOG, Host, Severity, begin
from octopoid_tui.keys import WIDGET_KEYS, check_keymap, textual_keymap
from octopoid_tui.notify import Notifier
from octopoid_tui.ports import DeskPort, SchedulerPort
from octopoid_tui.screens.base import FleetScreen
from octopoid_tui.screens.control.screen import ControlScreen
from octopoid_tui.snapshot import Snapshot
from octopoid_tui.themes import THEMES, theme_name

if TYPE_CHECKING:
    from textual.command import Provider

Keymap = Mapping[str, str | tuple[str, ...]]


def _palette() -> type[Provider]:
    from octopoid_tui.palette import FleetCommands  # 20 ms that the first paint saves

    return FleetCommands


class OctopoidApp(Host):
    """The screen over one project.

    A scheduler given here is started after the first paint, runs as long as the app, and is stopped with
    it; agents live on. `on_ready` is awaited after the first paint too, for whatever else the caller wants
    to start: it must not block.
    """

    TITLE = "octopoid"
    CSS_PATH = ["octopoid.tcss", "screens/control/screen.tcss"]  # noqa: RUF012  a default screen does not load its own
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
    PAUSE_GC_ON_SCROLL = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True),
        Binding("ctrl+c", "leave", "Quit", show=False),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False),
    ]

    def __init__(
        self,
        desk: DeskPort,
        *,
        scheduler: SchedulerPort | None = None,
        mode: str = "local",
        theme: str | None = None,
        keymap: Keymap | None = None,
        clock: Clock | None = None,
        lease_span: timedelta = timedelta(minutes=5),
        zone: tzinfo | None = None,
        bell: bool = True,
        on_ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._keymap_problems = check_keymap(textual_keymap(keymap or {}))
        super().__init__(
            desk,
            scheduler=scheduler,
            mode=mode,
            keymap=textual_keymap(keymap or {}),
            clock=clock,
            lease_span=lease_span,
            zone=zone,
        )
        self._on_ready = on_ready
        self._notifier = Notifier(self.flash, self.bell if bell else lambda: None)
        self._feed = Feed(
            desk.backend, publish=self._publish, report=self._report, mode=mode, clock=self.clock
        )
        self._scheduling: asyncio.Task[None] | None = None
        self.animation_level = "none"
        for ours in THEMES:
            self.register_theme(ours)
        self.theme = theme_name(theme, self.no_color)
        self.set_keymap({**WIDGET_KEYS, **self.user_keymap})

    def get_driver_class(self) -> type[Driver]:
        """Textual's own choice where it was made for a reason (the web, tests), else ours with its filter."""
        chosen = super().get_driver_class()
        return OctopoidDriver if chosen.__name__ == "LinuxDriver" else chosen

    def get_default_screen(self) -> ControlScreen:
        return ControlScreen()

    def on_mount(self) -> None:
        self.call_after_refresh(self._after_first_paint)

    async def _after_first_paint(self) -> None:
        gc.collect()
        gc.freeze()
        gc.enable()
        self.set_interval(1.0, self._tick)
        begin(self, self._feed.run, "Follow the store", "feed", exclusive=False)
        if self._on_ready is not None:
            self.start(partial(self._await_ready, self._on_ready), "Start")
        if self.scheduler is not None:
            self._scheduling = asyncio.create_task(self._schedule(self.scheduler))
        for problem in self._keymap_problems:
            self.flash(problem, "warning")

    async def _await_ready(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        await on_ready()

    async def _schedule(self, scheduler: SchedulerPort) -> None:
        """Run the scheduler; when it ends while the screen is open, that must be seen."""
        try:
            await scheduler.start()
            await scheduler.run()
        except Exception as error:
            LOG.error("the scheduler failed", exc_info=error)
            problem = str(error) if isinstance(error, OctopoidError) else f"{type(error).__name__}: {error}"
            self.flash(f"the scheduler has failed, nothing new starts: {problem}", "error")
        else:
            self.flash("the scheduler has stopped: nothing new starts", "warning")

    async def on_unmount(self) -> None:
        if self.scheduler is not None and self._scheduling is not None:
            await self.scheduler.stop()
            self._scheduling.cancel()
            with suppress(asyncio.CancelledError):
                await self._scheduling

    def action_leave(self) -> None:
        """Quit from wherever one is; a second time without a question."""
        screen = self.screen
        if isinstance(screen, FleetScreen):
            screen.action_perform("app.quit")
        else:
            self.exit()

    # What the feed brings

    def _publish(self, snapshot: Snapshot) -> None:
        self._notifier.look(snapshot, self.now())
        self.show(snapshot=snapshot, now=self.now())

    def _report(self, state: FeedState) -> None:
        before = self.picture.feed.status
        self.show(feed=state, now=self.now())
        if state.status is FeedStatus.STALE and before is not FeedStatus.STALE:
            self.flash(f"{state.problem}; shown is what was last read, ctrl+r tries again", "error")

    def _tick(self) -> None:
        """The one timer of all ages; nothing is painted but what then reads differently."""
        self.show(now=self.now())

    def go_to_task(self, task_id: str) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()
        control = self.screen_stack[0]
        if isinstance(control, ControlScreen):
            control.go_to_task(task_id)

    def refresh_feed(self) -> None:
        self._feed.retry_now()
        self.flash("reading everything again")

    def flash(self, text: str, severity: Severity = "information") -> None:
        flash = self.keep_flash(text, severity)
        for screen in reversed(self.screen_stack):
            if isinstance(screen, FleetScreen) and screen.is_mounted:
                screen.flash(flash)
                return
