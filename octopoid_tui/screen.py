"""Where the screen's parts meet: store, desk, scheduler and app."""

from __future__ import annotations

import asyncio
import gc
import signal
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import OctopoidError
from octopoid_tui.app import OctopoidApp
from octopoid_tui.attendance import Attendance
from octopoid_tui.cli.agreement import ensure_trust
from octopoid_tui.cli.session import lasting_store, person, refuse_inside_run
from scheduler.project import Project

if TYPE_CHECKING:
    from backend.config.schema import Config
    from octopoid_tui.desktop import Desktop

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
    # Nothing made on the way to the first paint is garbage; the app goes on with collecting from there.
    gc.disable()
    try:
        project = Project.open(start)
        ensure_trust(project)
        return asyncio.run(_show(project, banner))
    finally:
        gc.enable()


async def _show(project: Project, banner: str | None) -> int:
    refuse_inside_run(project)
    config = project.config
    errors: list[Exception] = []
    desktop, doubt = _desktop(config)

    async def ready() -> None:
        try:
            await _begin(app, project, parts)
        except (OctopoidError, OSError) as error:
            errors.append(error)
            app.exit(return_code=1)
        else:
            if banner is not None:
                app.flash(banner)
            if doubt is not None:
                app.flash(doubt, "warning")

    app = OctopoidApp(
        mode=config.mode,
        theme=config.theme,
        keymap=config.keys,
        lease_span=timedelta(seconds=config.leases.seconds),
        attendance=Attendance.open(project.layout.attendance),
        bell=config.notify.bell,
        desktop=desktop,
        on_ready=ready,
    )
    async with AsyncExitStack() as parts:
        status = await _run(app)
    if errors:
        raise errors[0]
    return status


def _desktop(config: Config) -> tuple[Desktop | None, str | None]:
    """What shows notifications on the desktop, where that is wanted; or why it cannot be."""
    if not config.notify.desktop:
        return None, None
    from octopoid_tui.desktop import CannotNotify, Desktop

    try:
        return Desktop.find(), None
    except CannotNotify as error:
        return None, str(error)


async def _begin(app: OctopoidApp, project: Project, parts: AsyncExitStack) -> None:
    """Open the store and begin to work, behind a screen that is painted already."""
    from octopoid_tui.cli.logfile import NAME, close_log, open_log

    opened = await parts.enter_async_context(await lasting_store(project, "screen"))
    parts.callback(close_log)
    open_log(project.layout.logs, file=NAME if opened.owned else GUEST_LOG)
    app.follow(opened.backend, project.orchestrator_id)
    # What git and the agents need takes as long to import as the screen itself.
    await asyncio.to_thread(import_module, "scheduler.loop")
    from scheduler.desk import Desk
    from scheduler.loop import Scheduler

    scheduler = Scheduler(opened.backend, project) if opened.owned else None
    fleet = scheduler.fleet if scheduler is not None else None
    app.work_with(Desk(opened.backend, project, actor=person(), fleet=fleet), scheduler)
    await opened.start_serving()


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
