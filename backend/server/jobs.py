"""What a server does by the clock."""

from __future__ import annotations

import asyncio
import logging

from backend.errors import OctopoidError
from backend.interface import Backend

log = logging.getLogger("backend.server")

SWEEP_S = 60.0


async def sweep(backend: Backend, every_s: float = SWEEP_S) -> None:
    """Release leases that have run out and note silent machines, now and then every so often.

    It goes on whatever happens.
    """
    while True:
        try:
            released = await backend.expire_leases()
        except OctopoidError as error:
            log.error("leases that have run out could not be released: %s", error)
        else:
            for task in released:
                log.info("the lease on task %s has run out: it is %s", task.id, task.queue)
        await asyncio.sleep(every_s)
