"""Move tasks from state to state, as the transition table allows."""

from __future__ import annotations

from backend.errors import BadInput
from backend.ids import new_id
from backend.interface import Action, Transition
from backend.lifecycle import TABLE, apply, is_late
from backend.model import Json, MessageKind, MessageType, NewMessage, Queue, Task
from backend.service.context import Context
from backend.service.dependencies import explain_block, follow
from backend.service.messages import Messages
from backend.service.runs import Runs

ELSEWHERE = {
    Action.CREATE: "create_task",
    Action.CLAIM: "claim",
    Action.CLAIM_IN_PLACE: "claim_in_place",
    Action.SPLIT: "split_task",
    Action.RENEW: "renew",
    Action.EXPIRE: "expire_leases",
}
"""Actions that need more than a wish, and the call that does them."""


class Transitions:
    """The one way to change a task's state by a wish."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._runs = Runs(context)
        self._messages = Messages(context)

    def transition(self, wish: Transition) -> Task:
        """
        Raises:
            Refused, LeaseLost, VersionConflict: as `backend.lifecycle.check`.
            NotFound, BadInput.
        """
        if wish.action in ELSEWHERE:
            raise BadInput(f"{wish.action} is no transition of its own", f"use {ELSEWHERE[wish.action]}")
        stored = self._context.read_task(wish.task_id)
        task = stored.task
        if _is_repeated_accept(task, wish):
            return task
        now = self._context.now()
        facts = self._context.facts(now, stored.open_blockers, self._last_run_id(task, wish))
        after = explain_block(self._context, apply(task, wish, facts))
        self._context.save_state(after, stored.open_blockers)
        kind = TABLE[wish.action].event_kind
        self._context.record(now, wish.actor, kind, task, after, wish.reason, _data(task, wish))
        self._end_run(task, wish)
        if wish.action is Action.REJECT and wish.reason is not None:
            self._messages.post(_feedback(wish, wish.reason))
        follow(self._context, task, after, now)
        return after

    def _last_run_id(self, task: Task, wish: Transition) -> str | None:
        """Whom the task's fence was given to; asked for only when a late holder may be speaking."""
        return self._context.store.runs.find_holder(task.id, task.fence) if is_late(task, wish) else None

    def _end_run(self, task: Task, wish: Transition) -> None:
        if wish.run_end is None:
            return
        run_id = task.run_id or wish.run_id
        if run_id is None:
            raise BadInput(
                f"no run of task {task.id} is there to end", "name it with run_id, or give no run_end"
            )
        if run_id != task.run_id and self._runs.get(run_id).task_id != task.id:
            raise BadInput(
                f"run {run_id} is of another task than {task.id}", "name a run of this task, or none"
            )
        self._runs.finish(run_id, task.id, wish.run_end, wish.actor)


def _is_repeated_accept(task: Task, wish: Transition) -> bool:
    same = wish.merged_sha is not None and wish.merged_sha == task.merged_sha
    return wish.action is Action.ACCEPT and task.queue is Queue.DONE and same


def _data(task: Task, wish: Transition) -> Json:
    """What the log keeps of a wish besides its reason."""
    run_id = task.run_id or wish.run_id
    data: Json = {} if run_id is None else {"run_id": run_id, "fence": task.fence}
    for name in ("head_sha", "merged_sha", "override"):
        if getattr(wish, name) is not None:
            data[name] = getattr(wish, name)
    if wish.systemic:
        data["systemic"] = True
    if is_late(task, wish):
        data["late"] = True
    return data


def _feedback(wish: Transition, reason: str) -> NewMessage:
    """A rejection's reason as a message, so that the next attempt reads it."""
    return NewMessage(
        id=new_id(),
        conversation_id=wish.task_id,
        sender=wish.actor,
        type=MessageType.STATUS,
        kind=MessageKind.REVIEW,
        body=reason,
    )
