"""Gather what the store knows of one task."""

from __future__ import annotations

from backend.clock import from_ms
from backend.model import Queue
from backend.service.context import Context
from backend.service.machines import Machines
from backend.why import BlockedBy, Known, Reason, reasons


class Why:
    """Why a task is where it is."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._machines = Machines(context)

    def why(self, task_id: str) -> list[Reason]:
        """
        Raises:
            NotFound: there is no such task.
        """
        task = self._context.read_task(task_id).task
        store = self._context.store
        blockers = store.tasks.blockers(task_id)
        known = Known(
            task=task,
            now=from_ms(self._context.now()),
            attempts=self._context.limits.attempts,
            blockers=[
                BlockedBy(one.id, one.queue, one.reason) for one in blockers if one.queue is not Queue.DONE
            ],
            questions=[one for one in store.messages.of_conversation(task_id) if one.open],
            pause=self._machines.get_pause(None),
            machines=self._machines.orchestrators(),
            agents=self._machines.agents(),
        )
        return reasons(known)
