"""What every part of the service works with."""

from __future__ import annotations

from dataclasses import dataclass

from backend.clock import Clock, from_ms
from backend.errors import NotFound, UnknownOrchestrator, VersionConflict
from backend.guards import Facts
from backend.lifecycle import Limits
from backend.model import Actor, Json, Orchestrator, Task
from backend.store.interface import NewEvent, Store, StoredTask

NO_RUN = "give the id of a run that a claim has begun; GET /api/v1/runs lists them"
"""What to do where a run is named that there is not."""


@dataclass(frozen=True, slots=True)
class Context:
    """A store, the time, and the limits; and the few things all parts do with them."""

    store: Store
    clock: Clock
    limits: Limits

    def now(self) -> int:
        return self.clock.now_ms()

    def facts(self, now: int, open_blockers: int, last_run_id: str | None = None) -> Facts:
        return Facts(from_ms(now), self.limits, open_blockers, last_run_id)

    def read_task(self, task_id: str) -> StoredTask:
        """
        Raises:
            NotFound: there is no such task.
        """
        stored = self.store.tasks.read(task_id)
        if stored is None:
            raise NotFound(f"there is no task {task_id!r}", "octopoid list shows every task")
        return stored

    def require_orchestrator(self, orchestrator_id: str) -> Orchestrator:
        """
        Raises:
            UnknownOrchestrator: it was never registered; an empty queue would look the same otherwise.
        """
        found = self.store.machines.read(orchestrator_id)
        if found is None:
            raise UnknownOrchestrator(
                f"orchestrator {orchestrator_id!r} was never registered",
                "register it with its cluster and machine id, and use the id that this returns",
            )
        return found

    def save_state(self, task: Task, open_blockers: int) -> None:
        """
        Raises:
            VersionConflict: somebody else has changed the task since it was read.
        """
        if not self.store.tasks.save_state(task, open_blockers):
            raise VersionConflict(f"task {task.id} has changed meanwhile", "read it again and decide anew")

    def record(
        self,
        now: int,
        actor: Actor,
        kind: str,
        before: Task,
        after: Task,
        reason: str | None = None,
        data: Json | None = None,
    ) -> None:
        """Write the event of one changed task."""
        event = NewEvent(
            actor=str(actor),
            entity="task",
            entity_id=after.id,
            kind=kind,
            from_state=before.queue,
            to_state=after.queue,
            version=after.version,
            reason=reason,
            data=data,
        )
        self.store.log.append(event, now)

    def note(
        self,
        now: int,
        actor: Actor | str,
        entity: str,
        entity_id: str,
        kind: str,
        *,
        states: tuple[str | None, str | None] = (None, None),
        reason: str | None = None,
        data: Json | None = None,
    ) -> None:
        """Write the event of anything but a task; `states` are those before and after."""
        event = NewEvent(str(actor), entity, entity_id, kind, states[0], states[1], reason=reason, data=data)
        self.store.log.append(event, now)
