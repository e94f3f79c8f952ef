"""Claim, hold, renew and expire: who may work on what, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backend.clock import from_ms
from backend.errors import BadInput, Duplicate, NotFound, Refused
from backend.ids import check_id
from backend.interface import Action, Transition
from backend.lifecycle import TABLE, apply, check
from backend.model import SYSTEM, Actor, Claim, ClaimRequest, HoldRequest, Queue, Renewal, SenderType, Task
from backend.service.context import Context
from backend.service.dependencies import explain_block
from backend.store.interface import NewEvent


class Leases:
    """The right to work on a task."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def claim(self, wish: ClaimRequest) -> Claim | None:
        """Claim the task wished for, or the first in claim order; a repeated call gives the same claim.

        Raises:
            UnknownOrchestrator, NotFound, BadInput.
            Duplicate: the run's id is taken.
            Refused: `task_id` was given and that task is not claimable.
        """
        check_id(wish.run_id, "run id")
        _check_seconds(wish.lease_seconds)
        now = self._context.now()
        expires = now + wish.lease_seconds * 1000
        task = self._context.store.tasks.claim(wish, self._context.limits.attempts, now, expires)
        if task is None:
            return self._why_not(wish)
        return self._begin_run(task, task.role, wish, Action.CLAIM, Queue.INCOMING, now)

    def claim_in_place(self, wish: HoldRequest) -> Claim:
        """Lease a provisional task, which stays provisional; a repeated call gives the same claim.

        Raises:
            UnknownOrchestrator, NotFound, BadInput, Duplicate.
            Refused: the task is not provisional, is held, or has been tried too often.
        """
        check_id(wish.run_id, "run id")
        _check_seconds(wish.lease_seconds)
        repeated = self._repeated(wish)
        if repeated is not None:
            return repeated
        now = self._context.now()
        stored = self._context.read_task(wish.task_id)
        asked = Transition(wish.task_id, Action.CLAIM_IN_PLACE, _holder(wish))
        after = apply(stored.task, asked, self._context.facts(now, stored.open_blockers))
        held = replace(
            after,
            claimed_by=wish.agent_name,
            claimed_at=from_ms(now),
            orchestrator_id=wish.orchestrator_id,
            run_id=wish.run_id,
            lease_expires_at=from_ms(now + wish.lease_seconds * 1000),
        )
        self._context.save_state(held, stored.open_blockers)
        return self._begin_run(held, wish.role, wish, Action.CLAIM_IN_PLACE, Queue.PROVISIONAL, now)

    def renew(self, orchestrator_id: str, leases: Sequence[Renewal], lease_seconds: int) -> list[str]:
        """Extend leases from now on; returns the tasks whose lease is lost.

        A renewal moves a clock, not a state: it writes no event and leaves the version as it is.

        Raises:
            UnknownOrchestrator, BadInput.
        """
        _check_seconds(lease_seconds)
        self._context.require_orchestrator(orchestrator_id)
        expires = self._context.now() + lease_seconds * 1000
        renew = self._context.store.tasks.renew
        return [
            lease.task_id
            for lease in leases
            if not renew(lease.task_id, lease.fence, orchestrator_id, expires)
        ]

    def expire(self) -> list[Task]:
        """Take back every lease that is over; the fence stays, so that a late holder can still report."""
        now = self._context.now()
        return [self._expire(task_id, now) for task_id in self._context.store.tasks.expired(now)]

    def drop(self, task_ids: Sequence[str], reason: str) -> None:
        """Take back the leases of tasks that are held, though they are not over; the fences stay."""
        now = self._context.now()
        for task_id in task_ids:
            self._expire(task_id, now, reason)

    def _expire(self, task_id: str, now: int, reason: str | None = None) -> Task:
        stored = self._context.read_task(task_id)
        task = stored.task
        wish = Transition(task_id, Action.EXPIRE, SYSTEM)
        after = apply(task, wish, self._context.facts(now, stored.open_blockers))
        after = explain_block(self._context, after)
        self._context.save_state(after, stored.open_blockers)
        reason = reason or f"{task.claimed_by} did not renew its lease"
        data = {"run_id": task.run_id, "fence": task.fence}
        self._context.record(now, SYSTEM, TABLE[Action.EXPIRE].event_kind, task, after, reason, data)
        return after

    def _why_not(self, wish: ClaimRequest) -> Claim | None:
        """Tell what stood in the way of a claim; None when there is nothing to claim."""
        repeated = self._repeated(wish)
        if repeated is None and wish.task_id is not None:
            self._check_claimable(wish, wish.task_id)
        return repeated

    def _repeated(self, wish: ClaimRequest | HoldRequest) -> Claim | None:
        """The claim this same wish was given before, if its answer was lost."""
        self._context.require_orchestrator(wish.orchestrator_id)
        run = self._context.store.runs.read(wish.run_id)
        if run is None:
            return None
        task = self._context.read_task(run.task_id).task
        if task.run_id == run.id and run.orchestrator_id == wish.orchestrator_id:
            return Claim(task, run)
        raise Duplicate(f"run {wish.run_id} exists already", "give each claim a run id of its own")

    def _check_claimable(self, wish: ClaimRequest, task_id: str) -> None:
        stored = self._context.read_task(task_id)
        if wish.scope not in (None, stored.task.scope):
            raise NotFound(
                f"there is no task {task_id!r} in scope {wish.scope}",
                "name the scope that it is in, or leave the scope out",
            )
        asked = Transition(task_id, Action.CLAIM, _holder(wish))
        check(stored.task, asked, self._context.facts(self._context.now(), stored.open_blockers))
        if wish.roles and stored.task.role not in wish.roles:
            reason = f"its role is {stored.task.role}, not {' or '.join(wish.roles)}"
            raise Refused(f"task {task_id} can not be claimed", reason, (reason,))

    def _begin_run(
        self, task: Task, role: str, wish: ClaimRequest | HoldRequest, action: Action, was: Queue, now: int
    ) -> Claim:
        store = self._context.store
        run = store.runs.insert(wish.run_id, task, role, wish.adapter, wish.model, now)
        actor = str(_holder(wish))
        data = {"run_id": run.id, "fence": task.fence, "attempt": task.attempt_count, "role": role}
        store.log.append(
            NewEvent(actor, "task", task.id, action, was, task.queue, task.version, None, data), now
        )
        started = {"task_id": task.id, "agent": wish.agent_name, "role": role, "attempt": run.attempt}
        store.log.append(NewEvent(actor, "run", run.id, "start", None, run.status, data=started), now)
        return Claim(task, run)


def _holder(wish: ClaimRequest | HoldRequest) -> Actor:
    return Actor(SenderType.WORKER, wish.agent_name)


def _check_seconds(lease_seconds: int) -> None:
    if lease_seconds <= 0:
        raise BadInput(f"a lease of {lease_seconds} seconds is none", "give a number of seconds above 0")
