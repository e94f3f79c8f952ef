"""Whether a scheduler works this project's queue: the lock is the truth, a heartbeat only a sign of it."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta

from backend.clock import Clock
from backend.errors import Refused
from backend.model import Orchestrator
from backend.owner import OwnerLock
from scheduler.project import Project

SILENT_AFTER = timedelta(seconds=120)
"""A machine that has not been heard of for so long is shown offline."""


LOOKS_LAST_S = 0.5
"""Who only looks whether a scheduler runs has its lock for a moment; so long it is tried again."""


class AlreadyScheduling(Refused):
    """Another process runs this project's scheduler."""

    slug = "already-scheduling"


async def take_lock(project: Project, clock: Clock) -> OwnerLock:
    """Become the project's one scheduler.

    Raises:
        AlreadyScheduling: another process is; it is named.
    """
    lock = OwnerLock(project.layout.scheduler_lock, clock)
    give_up = time.monotonic() + LOOKS_LAST_S
    while True:
        if lock.try_acquire("scheduler"):
            return lock
        if time.monotonic() > give_up:
            break
        await asyncio.sleep(0.01)
    holder = lock.holder()
    who = f"process {holder.pid} on {holder.host}" if holder else "another process"
    raise AlreadyScheduling(
        f"{who} already runs the scheduler of {project.repo}", "use it, or end it with: octopoid stop"
    )


def scheduler_running(project: Project) -> bool:
    """Whether any process of this machine runs the project's scheduler now."""
    if not project.layout.scheduler_lock.exists():
        return False
    with OwnerLock(project.layout.scheduler_lock) as lock:
        return not lock.try_acquire("look")


def is_live(orchestrator: Orchestrator, now: datetime) -> bool:
    """Whether another machine has a scheduler, as far as its last heartbeat tells."""
    return orchestrator.status == "active" and now - orchestrator.last_heartbeat_at < SILENT_AFTER
