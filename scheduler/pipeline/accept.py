"""From approval to the main branch: merge, check what was merged, move the branch, record it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future

from backend.config.schema import Config
from backend.errors import BadInput, Duplicate, NotFound, Refused
from backend.ids import new_id
from backend.interface import Action, Backend, Transition
from backend.model import (
    SYSTEM,
    Actor,
    MessageKind,
    MessageType,
    NewMessage,
    Queue,
    SenderType,
    Task,
)
from scheduler.git.errors import GitError, MergeConflict
from scheduler.git.hub import Hub
from scheduler.git.merge import Integrated, Strategy, integrate
from scheduler.pipeline.checks import Checks, missing
from scheduler.pipeline.plan import METADATA, Plan, plan_of, tasks_of
from scheduler.pipeline.review import read_review
from scheduler.project import Project

log = logging.getLogger(__name__)

RULE = Actor(SenderType.SYSTEM, "rule")


class ChecksFailed(Refused):
    """The work passes by itself, but not together with what is on the branch today."""

    slug = "checks-failed"


STRATEGIES: dict[str, Strategy] = {"merge": "merge", "squash": "squash", "rebase": "rebase"}
"""The ways of `merge:` that this version has; loading the configuration refuses the others."""


def ready_to_merge(task: Task) -> bool:
    """Approved, held by nobody, and without a conflict that waits to be resolved."""
    return (
        task.queue is Queue.PROVISIONAL
        and task.approved_by is not None
        and task.claimed_by is None
        and task.reason is None
    )


async def approve_by_rule(backend: Backend, config: Config, task: Task) -> bool:
    """Approve work that needs no person: its checks pass, and a rule or a reviewing agent agrees.

    A plan is never approved like this: what becomes of a task is for a person to say.

    Returns:
        Whether it was approved now.
    """
    if task.approved_by is not None or task.claimed_by is not None or task.head_sha is None:
        return False
    if METADATA in task.metadata:
        return False
    approval = await _approval(backend, config, task)
    if approval is None or missing(config.checks, await backend.list_evidence(task.id), task.head_sha):
        return False
    by, reason = approval
    await backend.transition(Transition(task.id, Action.APPROVE, by, reason=reason, head_sha=task.head_sha))
    return True


async def _approval(backend: Backend, config: Config, task: Task) -> tuple[Actor, str] | None:
    """Who agrees in place of a person, and why that is enough."""
    if config.review == "auto" or task.auto_accept:
        return RULE, "the checks pass, and no person needs to agree"
    review = await read_review(backend, config, task)
    if config.review == "agent" and review.by is not None:
        return review.by, "the checks pass, and an agent has reviewed it"
    return None


class Acceptor:
    """Integrates approved work, one task at a time, in the order of approval."""

    def __init__(self, backend: Backend, project: Project, hub: Hub, checks: Checks) -> None:
        self._backend = backend
        self._project = project
        self._hub = hub
        self._checks = checks

    async def accept(self, task: Task) -> Task:
        """Merge one approved task and mark it done; repeating it after a crash finds the merge.

        Returns:
            The task: done, or still provisional with the conflict as its reason.

        Raises:
            GitError: git itself failed; the approval stands and it will be tried again.
        """
        plan = plan_of(task)
        if plan is not None:
            return await self._carry_out(task, plan)
        try:
            merged = await self._integrate(task)
        except MergeConflict as conflict:
            reason = f"it conflicts with {task.base_branch} in {', '.join(conflict.paths)}"
            return await self._conflict(task, reason)
        except ChecksFailed as failure:
            await self._tell(task, failure.problem, MessageKind.REVIEW)
            return await self._conflict(task, failure.problem)
        except GitError as error:
            if error.systemic:
                raise
            reason = f"it cannot be merged: {error}"
            return await self._backend.transition(Transition(task.id, Action.ESCALATE, SYSTEM, reason=reason))
        if merged.where == "hub":
            log.warning("task %s: %s", task.id, merged.note)
            await self._tell(task, merged.note, MessageKind.NOTE)
        return await self._backend.transition(
            Transition(
                task.id, Action.ACCEPT, SYSTEM, merged_sha=merged.merge_sha, reason=merged.note or None
            )
        )

    async def _carry_out(self, task: Task, plan: Plan) -> Task:
        """Make the tasks of an approved plan; nothing is merged."""
        assert task.approved_by is not None
        try:
            _, base = await asyncio.to_thread(self._hub.resolve_base, task.base_branch)
            parts = tasks_of(plan, task, base, task.approved_by)
            return await self._backend.split_task(task.id, parts, actor=SYSTEM, version=task.version)
        except (BadInput, Duplicate, NotFound) as error:
            reason = f"its plan cannot be carried out: {error}"
            return await self._backend.transition(Transition(task.id, Action.ESCALATE, SYSTEM, reason=reason))

    async def _integrate(self, task: Task) -> Integrated:
        assert task.approved_sha is not None
        assert task.approved_by is not None
        loop = asyncio.get_running_loop()
        under_way: list[Future[None]] = []

        def check(tree_sha: str, candidate_sha: str) -> None:
            checked = asyncio.run_coroutine_threadsafe(self._check(task, candidate_sha), loop)
            under_way.append(checked)
            checked.result()

        config = self._project.config
        try:
            return await asyncio.to_thread(
                integrate,
                self._hub,
                task.id,
                task.title,
                task.approved_sha,
                task.base_branch,
                strategy=STRATEGIES[config.merge],
                approved_by=task.approved_by,
                attempt=task.attempt_count,
                check=check,
                update_checkout=config.repo.update_checkout,
            )
        except asyncio.CancelledError:
            # The thread waits for its check, and nobody waits for the thread any more.
            for checked in under_way:
                checked.cancel()
            raise

    async def _check(self, task: Task, candidate: str) -> None:
        results = await self._checks.run(task, candidate, task.base_sha, None)
        if not results.passed and not await self._overridden(task):
            raise ChecksFailed(
                f"checks fail on the work merged with {task.base_branch}:\n{results.feedback()}"
            )

    async def _overridden(self, task: Task) -> bool:
        """Whether the newest approval says that the checks do not matter."""
        events = await self._backend.events(entity_id=task.id, limit=10_000)
        approvals = [event for event in events if event.kind == Action.APPROVE]
        return bool(approvals) and approvals[-1].data.get("override") is not None

    async def _tell(self, task: Task, text: str, kind: MessageKind) -> None:
        """Leave word of something on the task, where people and the next attempt's prompt find it."""
        await self._backend.post_message(
            NewMessage(new_id(), task.id, SYSTEM, MessageType.STATUS, kind, text)
        )

    async def _conflict(self, task: Task, reason: str) -> Task:
        return await self._backend.transition(Transition(task.id, Action.CONFLICT, SYSTEM, reason=reason))
