"""A task becomes several: its parts are made, and it is done, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backend.errors import BadInput
from backend.interface import Action, Transition
from backend.lifecycle import TABLE, apply
from backend.model import Actor, NewTask, Queue, Task, TaskPatch
from backend.service.context import Context
from backend.service.dependencies import follow
from backend.service.tasks import Tasks

PARTS_LIMIT = 200


class Split:
    """What was one task for those who wait for it are all of its parts from then on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tasks = Tasks(context)

    def split(self, task_id: str, parts: Sequence[NewTask], actor: Actor, version: int | None) -> Task:
        """
        Raises:
            Refused, VersionConflict: as `backend.lifecycle.check`.
            BadInput, Duplicate, DependencyCycle, NotFound: a part cannot be made.
        """
        if not 0 < len(parts) <= PARTS_LIMIT:
            raise BadInput(f"task {task_id} has {len(parts)} parts", f"give 1 to {PARTS_LIMIT}")
        stored = self._context.read_task(task_id)
        task, ids = stored.task, [part.id for part in parts]
        if task.queue is Queue.DONE and self._made(task, ids):
            return task
        now = self._context.now()
        wish = Transition(task_id, Action.SPLIT, actor, version=version)
        after = apply(task, wish, self._context.facts(now, stored.open_blockers))
        for part in parts:
            self._tasks.create(replace(part, scope=task.scope), actor)
        for dependent in self._context.store.tasks.dependents(task_id):
            known = self._context.read_task(dependent).task.blocked_by
            self._tasks.edit(dependent, TaskPatch(blocked_by=(*known, *ids)), actor, None)
        self._context.save_state(after, stored.open_blockers)
        reason = f"it became {len(ids)} tasks"
        kind = TABLE[Action.SPLIT].event_kind
        self._context.record(now, actor, kind, task, after, reason, {"parts": ids})
        follow(self._context, task, after, now)
        return self._context.read_task(task_id).task

    def _made(self, task: Task, ids: Sequence[str]) -> bool:
        """Whether this very split was made before, and only its answer was lost."""
        events = self._context.store.log.read(0, 10_000, task.id)
        return any(event.kind == Action.SPLIT and event.data.get("parts") == list(ids) for event in events)
