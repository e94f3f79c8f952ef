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
from textual.events import Event, Key, MouseDown
from textual.worker import Worker

from backend.clock import Clock
from backend.errors import OctopoidError
from backend.interface import Backend
from octopoid_tui.attendance import Attendance
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
from octopoid_tui.typeahead import KeyDone, Typeahead

if TYPE_CHECKING:
    from textual.command import Provider

    from octopoid_tui.desktop import Desktop
    from octopoid_tui.ports import Notice

NOTICES_EVERY = 2.0  # seconds, as the scheduler looks at its files

Keymap = Mapping[str, str | tuple[str, ...]]


def _palette() -> type[Provider]:
    from octopoid_tui.palette import FleetCommands  # 20 ms that the first paint saves

    return FleetCommands


class OctopoidApp(Host):
    """The screen over one project.

    The desk and the scheduler are given here, or to `follow` and `work_with` once they are there: the first
    paint waits for neither. The scheduler is started after the first paint, runs as long as the app, and is
    stopped with it; agents live on. `on_ready` is awaited after the first paint too, for whatever else the
    caller wants to start: it must not block.
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
        desk: DeskPort | None = None,
        *,
        scheduler: SchedulerPort | None = None,
        mode: str = "local",
        theme: str | None = None,
        keymap: Keymap | None = None,
        clock: Clock | None = None,
        lease_span: timedelta = timedelta(minutes=5),
        zone: tzinfo | None = None,
        attendance: Attendance | None = None,
        bell: bool = True,
        desktop: Desktop | None = None,
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
            attendance=attendance,
        )
        self._on_ready = on_ready
        self._notifier = Notifier(
            partial(self.flash, news=True), self.bell if bell else lambda: None, self._call_on_desktop
        )
        self._desktop = desktop
        self._feed: Feed | None = None
        self._scheduling: asyncio.Task[None] | None = None
        self._typeahead = Typeahead(self, super().on_event)
        self._noticing: Worker[None] | None = None
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
        gc.freeze()
        gc.enable()
        self.set_interval(1.0, self._tick)
        if self._desk is not None:
            self.follow(self._desk.backend)
            self.work_with(self._desk, self.scheduler)
        if self._on_ready is not None:
            self.start(partial(self._await_ready, self._on_ready), "Start")
        for problem in self._keymap_problems:
            self.flash(problem, "warning")

    async def _await_ready(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        await on_ready()

    def follow(self, backend: Backend, machine: str | None = None) -> None:
        """Show what is in this store from now on, and whether `machine`, this one, takes work."""
        self._feed = Feed(
            backend,
            publish=self._publish,
            report=self._report,
            mode=self.picture.snapshot.mode,
            machine=machine,
            clock=self.clock,
        )
        begin(self, self._feed.run, "Follow the store", "feed", exclusive=False)

    def work_with(self, desk: DeskPort, scheduler: SchedulerPort | None) -> None:
        """Do from now on what a person asks for, and run the scheduler, if this process has it."""
        self._desk, self.scheduler = desk, scheduler
        self.show(scheduler_since=self.now() if scheduler is not None else None)
        if scheduler is not None and self.is_running:
            self._scheduling = asyncio.create_task(self._schedule(scheduler))

    async def _schedule(self, scheduler: SchedulerPort) -> None:
        """Run the scheduler; when it ends while the screen is open, that must be seen."""
        try:
            await scheduler.start()
            await scheduler.run()
        except Exception as error:
            LOG.error("the scheduler failed", exc_info=error)
            problem = str(error) if isinstance(error, OctopoidError) else f"{type(error).__name__}: {error}"
            self.show(scheduler_since=None)
            self.flash(f"the scheduler has failed, nothing new starts: {problem}", "error", news=True)
        else:
            self.show(scheduler_since=None)
            self.flash("the scheduler has stopped: nothing new starts", "warning", news=True)

    async def on_unmount(self) -> None:
        await self._keep_attendance()
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

    async def on_event(self, event: Event) -> None:
        if isinstance(event, (Key, MouseDown)):
            self.attendance.here(self.now())
        if isinstance(event, Key) and not event.is_forwarded:
            await self._typeahead.take(event)
        else:
            await super().on_event(event)

    async def on_key_done(self, event: KeyDone) -> None:
        await self._typeahead.done()

    # What the feed brings

    def _publish(self, snapshot: Snapshot) -> None:
        self._notifier.look(snapshot, self.now())
        self.show(snapshot=snapshot, now=self.now())

    def _call_on_desktop(self, text: str) -> None:
        if self._desktop is not None:
            show = partial(self._show_on_desktop, self._desktop, text)
            begin(self, show, "show on the desktop", "desktop", exclusive=False)

    async def _show_on_desktop(self, desktop: Desktop, text: str) -> None:
        """A desktop that takes no notification is told of once, and not asked again."""
        try:
            await desktop.show(text)
        except OctopoidError as error:
            if self._desktop is not None:
                self._desktop = None
                self.flash(str(error), "warning")

    def _report(self, state: FeedState) -> None:
        before = self.picture.feed.status
        self.show(feed=state, now=self.now())
        if state.status is FeedStatus.STALE and before is not FeedStatus.STALE:
            self.flash(
                f"{state.problem}; shown is what was last read, ctrl+r tries again", "error", news=True
            )

    def _tick(self) -> None:
        """The one timer of all ages; nothing is painted but what then reads differently."""
        self.show(now=self.now())
        if self.attendance.due(self.now()):
            begin(self, self._keep_attendance, "Keep when somebody was here", "attendance")
        if self._noticing is None and self._desk is not None:
            self._noticing = begin(self, self._watch_notices, "Watch the configuration", "notices")

    async def _keep_attendance(self) -> None:
        try:
            await asyncio.to_thread(self.attendance.keep)
        except OSError as error:
            LOG.warning("%s was not written: %s", self.attendance.file, error)

    async def _watch_notices(self) -> None:
        """Show lasting problems while they last; on a screen that has no place for them, say them once.

        Said is what two looks have found: accepted work waits for a moment each time, until it is delivered.
        """
        from scheduler.notices import job_notices

        said: frozenset[Notice] = frozenset()
        while True:
            jobs = self.scheduler.jobs.values() if self.scheduler is not None else ()
            found = (*job_notices(jobs), *await self.desk.notices())
            lasting = frozenset(found) & frozenset(self.picture.notices)
            new = [notice for notice in found if notice in lasting - said]
            said = lasting
            if found != self.picture.notices:
                self.show(notices=found)
            if new and not isinstance(self.screen, ControlScreen):
                self.flash(new[0].text, "error" if new[0].error else "warning", news=True)
            await asyncio.sleep(NOTICES_EVERY)

    def go_to_task(self, task_id: str) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()
        control = self.screen_stack[0]
        if isinstance(control, ControlScreen):
            control.go_to_task(task_id)

    def refresh_feed(self) -> None:
        if self._feed is not None:
            self._feed.retry_now()
        self.flash("reading everything again")

    def flash(self, text: str, severity: Severity = "information", *, news: bool = False) -> None:
        flash = self.keep_flash(text, severity, news=news)
        for screen in reversed(self.screen_stack):
            if isinstance(screen, FleetScreen) and screen.is_mounted:
                screen.flash(flash)
                return
