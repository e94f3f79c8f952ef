"""Where the screen's parts meet: store, desk, scheduler and app."""

from __future__ import annotations

import asyncio
import gc
import signal
from datetime import timedelta
from pathlib import Path

from octopoid_tui.app import OctopoidApp
from octopoid_tui.cli.logfile import NAME, close_log, open_log
from octopoid_tui.cli.session import lasting_store, person, refuse_inside_run
from scheduler.desk import Desk
from scheduler.loop import Scheduler
from scheduler.project import Project

GUEST_LOG = "screen.log"
"""The log of a screen beside another that owns the store, and writes the scheduler's."""


def open_screen() -> int:
    """Show the screen of the project around the working directory; returns the exit status."""
    return show(Path.cwd())


def show(start: Path, *, banner: str | None = None) -> int:
    """Show the screen of the project that `start` is in.

    Args:
        banner: said on the screen once it is there.

    Raises:
        NotFound: there is no project.
        ConfigError: its configuration is not valid.
        StoreBusy, StoreBroken: its store cannot be reached.
    """
    # Nothing made on the way to the first paint is garbage; the app collects and goes on from there.
    gc.disable()
    try:
        return asyncio.run(_show(Project.open(start), banner))
    finally:
        gc.enable()


async def _show(project: Project, banner: str | None) -> int:
    refuse_inside_run(project)
    # Serving imports a web framework: that waits until the screen is painted.
    async with await lasting_store(project, "screen") as opened:
        open_log(project.layout.logs, file=NAME if opened.owned else GUEST_LOG)

        async def ready() -> None:
            if banner is not None:
                app.flash(banner)
            await opened.start_serving()

        config = project.config
        scheduler = Scheduler(opened.backend, project) if opened.owned else None
        fleet = scheduler.fleet if scheduler is not None else None
        app = OctopoidApp(
            Desk(opened.backend, project, actor=person(), fleet=fleet),
            scheduler=scheduler,
            mode=config.mode,
            theme=config.theme,
            keymap=config.keys,
            lease_span=timedelta(seconds=config.leases.seconds),
            bell=config.notify.bell,
            on_ready=ready,
        )
        try:
            return await _run(app)
        finally:
            close_log()


async def _run(app: OctopoidApp) -> int:
    loop = asyncio.get_running_loop()
    # Without this the terminal would stay as the screen had it.
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, app.exit)
    try:
        await app.run_async()
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
    return app.return_code or 0
