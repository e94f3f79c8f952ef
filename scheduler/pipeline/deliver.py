"""Accepted work that could not be brought into the user's repository: tried again until it could."""

from __future__ import annotations

import asyncio
import logging

from backend.errors import OctopoidError
from scheduler.git.delivery import deliver_waiting
from scheduler.git.hub import Hub
from scheduler.git.names import FOLLOWED, branch_ref
from scheduler.project import Project

log = logging.getLogger(__name__)


class Deliverer:
    """Brings to the user's branches what waits for them in the hub."""

    def __init__(self, project: Project, hub: Hub) -> None:
        self._project = project
        self._hub = hub

    async def deliver(self) -> None:
        """Look which branches have work waiting, and try each; one that cannot be reached hides no other."""
        for branch in await asyncio.to_thread(waiting_branches, self._hub):
            update = self._project.config.repo.update_checkout
            try:
                sent = await asyncio.to_thread(deliver_waiting, self._hub, branch, update_checkout=update)
            except OctopoidError as error:
                log.warning("%s waits in the hub: %s", branch, error)
                continue
            if sent.where != "hub":
                log.info("what waited has been delivered: %s", sent.note)


def waiting_branches(hub: Hub) -> list[str]:
    """The branches whose accepted work has not reached the user's repository, as far as the hub knows."""
    rows = hub.git.text("for-each-ref", "--format=%(refname) %(objectname)", FOLLOWED).splitlines()
    followed = {ref.removeprefix(FOLLOWED): sha for ref, sha in (row.split(" ") for row in rows)}
    return [branch for branch, sha in followed.items() if hub.sha(branch_ref(branch)) not in (sha, None)]
