"""What most commands need: the project around the working directory, its store, and a desk over both."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from backend.errors import Refused, StoreBusy
from backend.interface import Backend
from backend.model import Actor, SenderType
from octopoid_tui.cli.ask import RUN_DIR_VARIABLE
from octopoid_tui.cli.holder import holding_pid
from octopoid_tui.cli.output import DEBUG_VARIABLE

if TYPE_CHECKING:
    from backend.open import Opened
    from scheduler.desk import Desk
    from scheduler.project import Project

T = TypeVar("T")

SERVE_AFTER_SECONDS = 1.0
COMMAND_PAUSE_SECONDS = 0.2
COMMAND_TRIES = 300


@dataclass(frozen=True, slots=True)
class Session:
    """One command's work on one repository."""

    project: Project
    desk: Desk


def run_session(work: Callable[[Session], Awaitable[T]], *, writes: bool = False) -> T:
    """Open the project and its store, do `work`, close them."""

    async def session() -> T:
        from scheduler.desk import Desk

        _quiet_logging()
        project = open_project()
        if writes:
            refuse_inside_run(project)
        async with await open_store(project, "command") as opened:
            finished = asyncio.Event()
            serving = asyncio.create_task(_serve_when_long(opened, finished))
            try:
                return await work(Session(project, Desk(opened.backend, project, actor=person())))
            finally:
                finished.set()
                await serving

    return asyncio.run(session())


def _quiet_logging() -> None:
    # Without any handler, warnings would reach stderr past `clean`. What a person must know is raised.
    if os.environ.get(DEBUG_VARIABLE) == "1":
        logging.basicConfig(level=logging.DEBUG)
    elif not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


async def _serve_when_long(opened: Opened, finished: asyncio.Event) -> None:
    # Most commands are over at once. One that runs checks would lock everybody else out.
    try:
        await asyncio.wait_for(finished.wait(), SERVE_AFTER_SECONDS)
    except TimeoutError:
        await opened.start_serving()


async def open_store(project: Project, what: str, *, serve: bool = False) -> Opened:
    """The project's state: its server, or its store, which this process owns if nobody else does.

    Raises:
        ConfigError: the key for the server cannot be used.
        KeyRefused: the server does not take it.
        StoreBusy, StoreBroken: the state cannot be reached.
    """
    from backend.open import open_backend, open_remote

    layout, server = project.layout, project.config.server
    if project.config.mode == "remote":
        from backend.rest.key import read_key

        assert server.url is not None  # the configuration is refused without one
        key = server.api_key or read_key(layout.root)
        return await open_remote(
            server.url,
            key,
            layout.cache,
            layout.owner_lock,
            layout.socket(),
            what=what,
            serve=serve,
            limits=project.limits,
        )
    return await open_backend(
        layout.database, layout.owner_lock, layout.socket(), what=what, serve=serve, limits=project.limits
    )


async def lasting_store(project: Project, what: str, *, serve: bool = False) -> Opened:
    """The state, with the right to schedule here unless a process that stays has it.

    Raises:
        StoreBusy: a command keeps it and does not end.
    """
    for _ in range(COMMAND_TRIES):
        opened = await open_store(project, what, serve=serve)
        holder = opened.lock.holder()
        if opened.owned or (holder is not None and holder.what != "command"):
            return opened
        # A command owns the store for its moment; it ends by itself.
        await opened.close()
        await asyncio.sleep(COMMAND_PAUSE_SECONDS)
    raise StoreBusy("a command has kept the store for long", "see which with: octopoid doctor")


@asynccontextmanager
async def own_store(project: Project, what: str) -> AsyncIterator[Backend]:
    """The project's state, with the right to schedule here: what a scheduler needs.

    Raises:
        Refused: another scheduler works on this repository; the error names its process.
    """
    refuse_second_scheduler(project)
    async with await lasting_store(project, what, serve=True) as opened:
        if not opened.owned:
            refuse_second_scheduler(project)
            raise StoreBusy("the store changes its owner at this moment", "try again")
        yield opened.backend


def refuse_second_scheduler(project: Project) -> None:
    """Raise `Refused` when another screen or `octopoid run` works here now."""
    from backend.owner import OwnerLock

    pid, holder = holding_pid(project.layout.owner_lock), OwnerLock(project.layout.owner_lock).holder()
    if pid is None or holder is None or holder.pid != pid or holder.what == "command":
        return
    step = "close the screen with q" if holder.what == "screen" else "stop it with: octopoid stop"
    raise Refused(f"a scheduler works on this repository already ({holder})", step)


def open_project() -> Project:
    """The project that `OCTOPOID_DIR` or the working directory belongs to.

    Raises:
        Untrusted: its configuration came with the repository, and nobody here has agreed to it.
    """
    from octopoid_tui.cli.agreement import ensure_trust
    from scheduler.project import Project

    project = Project.open(Path.cwd())
    ensure_trust(project)
    return project


def person() -> Actor:
    """The person who types."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return Actor(SenderType.HUMAN, re.sub(r"[^A-Za-z0-9._-]", "-", name) or "someone")


def refuse_inside_run(project: Project) -> None:
    """Keep an agent from changing the queue it works for.

    This stops accidents, not attackers: what an agent can reach is up to its isolation.

    Raises:
        Refused: this process belongs to a run of the same project.
    """
    run_dir = os.environ.get(RUN_DIR_VARIABLE)
    if run_dir and Path(run_dir).resolve().is_relative_to(project.layout.runs.resolve()):
        raise Refused(
            "agents do not change the queue they work for",
            "leave commits, and ask a person with: octopoid ask QUESTION",
        )
