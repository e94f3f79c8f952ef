"""The scheduler without a screen: from the store's lock to a tidy end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from enum import Enum

from backend.clock import to_iso
from backend.errors import StoreBusy
from backend.interface import Backend
from backend.model import Event
from octopoid_tui.cli.logfile import close_log, open_log
from octopoid_tui.cli.output import warn
from octopoid_tui.cli.session import own_store
from scheduler.loop import Scheduler
from scheduler.project import Project

log = logging.getLogger("octopoid.run")

READY = b"ready\n"
REPEAT_S = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Mode(Enum):
    """How long the scheduler works."""

    FOREVER = "until it is stopped"
    ONCE = "one cycle"
    UNTIL_IDLE = "until nothing can go on without a person"


async def serve(project: Project, mode: Mode, *, debug: bool = False, ready_fd: int | None = None) -> None:
    """Own the store, work, and stop without ending any agent.

    Args:
        ready_fd: gets `READY` once the scheduler works, and is closed.

    Raises:
        Refused: another scheduler works on this repository.
    """
    async with own_store(project, "run") as backend:
        path = open_log(project.layout.logs, debug=debug)
        try:
            asked = _stop_asked()
            scheduler = await _started(backend, project)
            # In the background nobody looks on, and the log has it all.
            async with _reported(backend) if ready_fd is None else nullcontext():
                if mode is Mode.FOREVER:
                    warn(f"the scheduler runs (process {os.getpid()}), log {path}")
                    warn("Ctrl-C stops it; agents go on")
                if ready_fd is not None:
                    os.write(ready_fd, READY)
                    os.close(ready_fd)
                await _work(scheduler, mode, asked)
        except Exception:
            log.exception("the scheduler ended with an error")
            raise
        finally:
            _default_signals()
            close_log()


async def _started(backend: Backend, project: Project) -> Scheduler:
    scheduler = Scheduler(backend, project)
    try:
        await scheduler.start()
    except BaseException:
        await scheduler.stop()
        raise
    return scheduler


async def _work(scheduler: Scheduler, mode: Mode, asked: asyncio.Future[object]) -> None:
    work: asyncio.Future[str] = asyncio.create_task(_worked(scheduler, mode), name="scheduler")
    try:
        await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await scheduler.stop()
        _default_signals()
    if work.done() or mode is not Mode.ONCE:
        said = await work
    else:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        said = "it was stopped"
    asked.cancel()
    alive = scheduler.live_runs
    agents = "1 agent goes on" if alive == 1 else f"{alive} agents go on"
    going_on = f"; {agents}, and the next scheduler adopts what runs" if alive else ""
    warn(f"stopped: {said}{going_on}")


async def _worked(scheduler: Scheduler, mode: Mode) -> str:
    match mode:
        case Mode.ONCE:
            await scheduler.run_once()
            return "one cycle is done"
        case Mode.UNTIL_IDLE:
            return await scheduler.run_until_idle()
        case Mode.FOREVER:
            await scheduler.run()
            return "as asked"


def _stop_asked() -> asyncio.Future[object]:
    """Done at the first signal that ends a program; a second one ends it at once."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[object] = loop.create_future()

    def ask(number: signal.Signals) -> None:
        log.info("stopping on %s", number.name)
        _default_signals()
        if not asked.done():
            asked.set_result(None)

    for number in SIGNALS:
        loop.add_signal_handler(number, ask, number)
    return asked


def _default_signals() -> None:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.remove_signal_handler(number)


@asynccontextmanager
async def _reported(backend: Backend) -> AsyncIterator[None]:
    """Tell on stderr what happens, one line each, while the block runs."""
    seq = await backend.last_seq()

    async def report() -> None:
        nonlocal seq
        while True:
            # A server that is away for a while comes back; the scheduler says in its log what it cannot do.
            with suppress(StoreBusy):
                async for batch in backend.watch(seq):
                    _tell(batch)
                    seq = batch[-1].seq
            await asyncio.sleep(REPEAT_S)

    reporter = asyncio.create_task(report(), name="report")
    try:
        yield
    finally:
        reporter.cancel()
        with suppress(asyncio.CancelledError):
            await reporter
        # What happened last may not have come through the feed yet.
        try:
            _tell(await backend.events(after=seq))
        except StoreBusy as error:
            warn(f"what happened last is not known here: {error}")


def _tell(events: list[Event]) -> None:
    for event in events:
        line = event_line(event)
        if line:
            warn(line)


def event_line(event: Event) -> str:
    """One event for a person who looks on; empty for what is of no interest here."""
    what = ""
    if event.entity == "task" and event.to_state and event.to_state != event.from_state:
        what = f"{event.entity_id} {event.from_state or 'new'} → {event.to_state}"
    elif event.entity == "message" and event.kind == "post" and event.data.get("type") == "request":
        what = f"{event.data.get('task_id')} asks: octopoid answer {event.entity_id} TEXT"
    if not what:
        return ""
    reason = f": {event.reason}" if event.reason else ""
    return f"{to_iso(event.at)} {what} ({event.actor}){reason}"
