"""The live runs of this machine, and what the scheduler remembers of its slots between cycles."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from backend.clock import Clock, from_ms
from backend.errors import Refused
from backend.interface import Action, Backend, Transition
from backend.model import SYSTEM, Queue, Run, RunEnd
from scheduler.follow import Following

log = logging.getLogger(__name__)

SYSTEM_PAUSE = timedelta(seconds=60)
"""Intake stays closed so long after a failure of the machinery."""


async def close_intake(backend: Backend, clock: Clock, problem: str, machine: str) -> None:
    """Pause this machine's intake for a while because its machinery failed; the others go on.

    A person's own pause stands as it is.
    """
    pause = await backend.get_pause(machine=machine)
    if pause.paused and pause.by != str(SYSTEM):
        return
    until = from_ms(clock.now_ms()) + SYSTEM_PAUSE
    await backend.pause(actor=SYSTEM, reason=problem, until=until, machine=machine)


async def give_back(backend: Backend, run: Run, end: RunEnd) -> None:
    """Release the task of a run that did not start, blameless, and end the run, whatever the task is now."""
    task = await backend.get_task(run.task_id)
    wish = Transition(
        task.id,
        Action.FINISH_IN_PLACE if task.queue is Queue.PROVISIONAL else Action.RELEASE,
        SYSTEM,
        reason=end.reason,
        fence=run.fence,
        run_id=run.id,
        run_end=end,
        systemic=True,
    )
    try:
        await backend.transition(wish)
    except Refused:
        await backend.end_run(run.id, end)


@dataclass(slots=True)
class Fleet:
    """What runs, what is being settled, and which slots cannot be used now."""

    following: dict[str, Following] = field(default_factory=dict)
    """Live runs by id."""
    starting: dict[str, Run] = field(default_factory=dict)
    """Runs that are claimed and not started yet, by id."""
    last_start: dict[str, datetime] = field(default_factory=dict)
    slot_errors: dict[str, str] = field(default_factory=dict)
    slot_rests: dict[str, datetime] = field(default_factory=dict)
    """Until when a slot whose agent did not start is left alone."""
    idle_reasons: dict[str, str] = field(default_factory=dict)


class Background:
    """Work that must not hold up the loop. One piece of work per key at a time."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake = wake
        self._closed = False

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def __contains__(self, key: str) -> bool:
        return key in self._tasks

    def start(self, key: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Start work unless work of this key is under way, or all has ended; wakes the scheduler after."""
        if key in self._tasks or self._closed:
            return False

        async def run() -> None:
            try:
                await work()
            except asyncio.CancelledError:
                raise
            except Exception:
                # Each piece of work records its own failures; one that escapes is a defect worth a trace.
                log.exception("%s failed", key)
            finally:
                self._tasks.pop(key, None)
                self._wake()

        self._tasks[key] = asyncio.create_task(run(), name=key)
        return True

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def cancel(self) -> None:
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
