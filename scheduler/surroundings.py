"""Noticing what was changed around the agents: the user's repository and the hub, before and after runs.

An agent that is not contained can write there as its user can. What changed is told, and left as it is: it
may be the person's own work of that time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from datetime import timedelta

import msgspec

from backend.clean import clean_line
from backend.clock import Clock, from_ms
from backend.errors import OctopoidError
from backend.interface import Backend
from scheduler.fleet import Fleet
from scheduler.git.hub import Hub
from scheduler.git.outside import Outside, changed, look
from scheduler.project import Project
from scheduler.runs.durable import open_directory, write_file

log = logging.getLogger(__name__)

FILE = "outside.json"
NAMED = 6
"""Things that are named; of more only the number is told."""

TOLD_FOR = timedelta(days=1)


class Surroundings:
    """Looks before the first of several runs is started, and whenever one of them has ended."""

    def __init__(self, backend: Backend, project: Project, fleet: Fleet, hub: Hub, clock: Clock) -> None:
        self._backend = backend
        self._project = project
        self._fleet = fleet
        self._hub = hub
        self._clock = clock
        self._looking = asyncio.Lock()

    @property
    def _watching(self) -> bool:
        return self._project.config.repo.watch != "nothing"

    async def before(self) -> None:
        """Remember how things are, unless other agents are at work: then the state before them counts."""
        if not self._watching or self._fleet.following or len(self._fleet.starting) > 1:
            return
        async with self._looking:
            try:
                await asyncio.to_thread(lambda: self._save(self._look()))
            except (OctopoidError, OSError) as error:
                log.warning("it will not be noticed what agents change around them: %s", error)

    async def after(self, who: str) -> None:
        """Tell what has changed since the last look and was not ours.

        Args:
            who: the agents that worked meanwhile, as a person knows them.
        """
        if not self._watching:
            return
        async with self._looking:
            try:
                now, found = await asyncio.to_thread(self._compare)
            except (OctopoidError, OSError) as error:
                log.warning("what changed while %s worked is not known: %s", who, error)
                return
            if found:
                await self._tell(found, who)
            await asyncio.to_thread(self._save, now)

    async def _tell(self, found: tuple[str, ...], who: str) -> None:
        names = ", ".join(clean_line(name, 60) for name in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        where = clean_line(str(self._hub.source), 120)
        text = f"changed in {where} while {who} worked, and not by Octopoid: {names}{more}; was it you?"
        log.warning("%s", text)
        until = from_ms(self._clock.now_ms()) + TOLD_FOR
        await self._backend.raise_alert(f"outside:{self._project.orchestrator_id}", text, until=until)

    def _look(self, before: Outside | None = None) -> Outside:
        everything = self._project.config.repo.watch == "all"
        return look(self._hub, self._project.layout.root if everything else None, before)

    def _compare(self) -> tuple[Outside, tuple[str, ...]]:
        before = self._load()
        now = self._look(before)
        return now, changed(before, now, self._hub) if before is not None else ()

    def _load(self) -> Outside | None:
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode((self._project.layout.root / FILE).read_bytes(), type=Outside)
        return None

    def _save(self, outside: Outside) -> None:
        folder = open_directory(self._project.layout.root)
        try:
            write_file(folder, FILE, msgspec.json.encode(outside))
        finally:
            os.close(folder)
