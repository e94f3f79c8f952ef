"""What happens when a run has ended: collect its work, decide from facts, check it, move the task on.

Every step can be repeated: after a crash the next scheduler finds the ended run directory and does it
again, and what was done already is found done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from backend.clean import clean_line
from backend.errors import OctopoidError, Refused
from backend.ids import new_id
from backend.interface import Action, Backend, Transition
from backend.model import (
    SYSTEM,
    Actor,
    MessageKind,
    MessageType,
    NewMessage,
    Outcome,
    Queue,
    Run,
    RunEnd,
    SenderType,
    Task,
    TaskPatch,
)
from scheduler.follow import Following
from scheduler.git.collect import Collected, collect
from scheduler.git.conflict import Conflict, finish_conflict
from scheduler.git.errors import GitError, UnresolvedConflict, WorkspaceGone, WorkspaceRefused
from scheduler.git.hub import Hub
from scheduler.git.names import attempt_ref
from scheduler.git.rescue import rescue
from scheduler.git.workspace import load
from scheduler.outcome import Decision, Facts, Next, blameless_streak, decide
from scheduler.pipeline.checks import Checks
from scheduler.pipeline.deliverable import Deliverable, read_deliverable
from scheduler.pipeline.plan import METADATA, Plan
from scheduler.pipeline.review import verdict_evidence
from scheduler.pipeline.verdict import Verdict
from scheduler.project import Project
from scheduler.roles import Product, Role, load_role
from scheduler.runs.adopt import stop
from scheduler.runs.rundir import BadRunFile, Exit, ExitCause, RunDir
from scheduler.runs.tail import read_block

log = logging.getLogger(__name__)

LAST_WORDS_FROM = 4096
LAST_WORDS_LIMIT = 200

ACTION_OF: dict[Next, Action] = {
    Next.CONTINUE: Action.CONTINUE,
    Next.RETRY: Action.RELEASE,
    Next.GIVE_BACK: Action.RELEASE,
    Next.ESCALATE: Action.ESCALATE,
    Next.CHECK: Action.SUBMIT,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended, with what it left."""

    task: Task
    run: Run
    exit: Exit | None
    work: Collected | None
    decision: Decision
    role: Role
    left: Deliverable | None = None
    """The verdict or plan it left, when its role is to produce one."""


class Finisher:
    """Takes ended runs of one project to where their tasks belong."""

    def __init__(self, backend: Backend, project: Project, hub: Hub, checks: Checks) -> None:
        self._backend = backend
        self._project = project
        self._hub = hub
        self._checks = checks

    async def finish(self, following: Following) -> Outcome:
        """Collect and settle one ended run; returns how it ended.

        Raises:
            GitError: git itself failed; nothing is lost, and the run can be finished again.
        """
        run = following.run
        task = await self._backend.get_task(run.task_id)
        end = await asyncio.to_thread(_how_it_ended, following)
        if following.finished_at is not None and end is not None and end.cause is not ExitCause.EXITED:
            # It was done, and did not go by itself: that is no end from outside.
            end = replace(end, cause=ExitCause.EXITED, code=0, signal=None)
        work = await asyncio.to_thread(self._collect, run)
        role = load_role(run.role, self._project.layout.roles)
        facts = self._facts(following, task, end, work, await self._backend.list_runs(task_id=task.id))
        if facts.turn_reason is None:
            facts = replace(facts, turn_reason=await asyncio.to_thread(last_words, following.run_dir))
        left, facts = await asyncio.to_thread(self._look_for, following, task, role, facts)
        ended = Ended(task, run, end, work, decide(facts), role, left)
        following.note(
            "exited", code=end and end.code, signal=end and end.signal, cause=end.cause if end else "lost"
        )
        await self._withdraw_questions(following)
        outcome = await self._settle(ended)
        await asyncio.to_thread(self._save, run)
        return outcome

    def _facts(
        self, following: Following, task: Task, end: Exit | None, work: Collected | None, runs: list[Run]
    ) -> Facts:
        moved_on = task.fence != following.run.fence or task.queue in (Queue.DONE, Queue.CANCELLED)
        return Facts(
            cause=end.cause if end else "lost",
            exit_code=end.code if end else None,
            signal=end.signal if end else None,
            error=end.error if end else None,
            turn_outcome=following.turn_outcome,
            turn_reason=following.turn_reason,
            refused=following.refused,
            rate_limited_until=following.rate_limited_until,
            stop_reason=following.stop_reason,
            taken_away=moved_on,
            has_work=work is not None and work.commits > 0,
            worktree_gone=work is None,
            stop_cause=following.stop_cause,
            ended_before=_ends_before(following.run, runs, task.attempts_forgiven),
            blameless_before=blameless_streak(runs, following.run.id),
        )

    def _look_for(
        self, following: Following, task: Task, role: Role, known: Facts
    ) -> tuple[Deliverable | None, Facts]:
        """What the run left of what its role has to produce; the facts say so too. Blocking."""
        if role.produces is Product.COMMITS:
            return None, known
        roles = self._project.layout.roles
        try:
            left = read_deliverable(following.run_dir, role.produces, task.head_sha, roles)
        except OctopoidError as error:
            return None, replace(known, produces=role.produces, shortfall=error.problem)
        return left, replace(known, produces=role.produces)

    def _collect(self, run: Run) -> Collected | None:
        """Bring the worktree's commits and changes into the hub; None when it cannot be read. Blocking."""
        try:
            return collect(self._hub, load(self._project.layout.worktrees, run.task_id, run.attempt))
        except WorkspaceGone:
            return None
        except WorkspaceRefused as refused:
            # Worktrees borrow the hub's objects: where the hub is broken, all of them look ruined.
            self._hub.git.text("for-each-ref", "--count=1")
            log.warning("run %s left a worktree that is not used: %s", run.id, refused)
            return None

    async def _settle(self, ended: Ended) -> Outcome:
        if ended.decision.next is Next.NOTHING:
            await self._backend.end_run(ended.run.id, self._end(ended, _and_where(ended, ended.decision)))
            return ended.decision.outcome
        if isinstance(ended.left, Verdict) and ended.decision.next is Next.CHECK:
            return await self._settle_review(ended, ended.left)
        if ended.role.produces is Product.VERDICT:
            return await self._end_in_place(ended)
        if ended.role.in_place:
            return await self._settle_resolve(ended)
        if ended.role.produces is Product.TASKS:
            return await self._settle_plan(ended)
        if ended.decision.next is Next.CHECK:
            return await self._settle_checked(ended)
        await self._move(ended, ended.decision)
        return ended.decision.outcome

    async def _settle_checked(self, ended: Ended) -> Outcome:
        """Work that looks finished: run the checks, then submit it or send it back to be repaired."""
        assert ended.work is not None
        base = ended.task.base_sha or ended.run.base_sha or ""
        results = await self._checks.run(ended.task, ended.work.head_sha, base, ended.run.id)
        if results.passed:
            await self._move(ended, ended.decision)
            return ended.decision.outcome
        await self._tell(ended.task, ended.run, results.feedback())
        failed = ", ".join(item.check for item in results.evidence if not item.passed)
        decision = Decision(Outcome.CHECKS_FAILED, Next.CONTINUE, f"checks failed: {failed}")
        await self._move(ended, decision)
        return decision.outcome

    async def _settle_review(self, ended: Ended, verdict: Verdict) -> Outcome:
        """A verdict becomes evidence for the commit; a rejection sends the task back with its comments."""
        known = await self._backend.list_evidence(ended.task.id)
        at = ended.run.last_activity_at
        evidence = verdict_evidence(verdict, ended.task, ended.run, at)
        if all(item.id != evidence.id for item in known):
            await self._backend.add_evidence(evidence)
        if verdict.accepts:
            await self._tell(ended.task, ended.run, verdict.text() or "accepted", "verdict")
            return await self._end_in_place(ended)
        wish = Transition(
            ended.task.id, Action.REJECT, Actor(SenderType.WORKER, ended.run.agent_name),
            reason=verdict.text(), fence=ended.run.fence, run_id=ended.run.id,
            run_end=self._end(ended, ended.decision),
        )  # fmt: skip
        await self._apply(wish, ended)
        return ended.decision.outcome

    async def _end_in_place(self, ended: Ended) -> Outcome:
        """End a lease on a provisional task that changes nothing of it."""
        decision = ended.decision
        wish = Transition(
            ended.task.id, Action.FINISH_IN_PLACE, SYSTEM, reason=decision.reason, fence=ended.run.fence,
            run_id=ended.run.id, run_end=self._end(ended, decision),
            systemic=decision.next is Next.GIVE_BACK,
        )  # fmt: skip
        await self._apply(wish, ended)
        return decision.outcome

    async def _settle_plan(self, ended: Ended) -> Outcome:
        """A plan is kept with its task until a person approves it; its faults go back as feedback."""
        task, decision = ended.task, ended.decision
        if isinstance(ended.left, Plan) and decision.next is Next.CHECK:
            kept = {**task.metadata, METADATA: ended.left.to_json()}
            await self._backend.edit_task(task.id, TaskPatch(metadata=kept), actor=SYSTEM)
            await self._tell(task, ended.run, ended.left.text(), "plan")
        elif decision.outcome is Outcome.EMPTY:
            await self._tell(task, ended.run, decision.reason, "plan")
        # There is nothing to merge: what is approved is the plan, on the commit that it was made for.
        await self._move(ended, decision, ended.run.base_sha if decision.next is Next.CHECK else None)
        return decision.outcome

    async def _settle_resolve(self, ended: Ended) -> Outcome:
        """A run that was to resolve a conflict: the task stays provisional, resolved or not."""
        decision, head = ended.decision, None
        if decision.next is Next.CHECK:
            assert ended.work is not None
            try:
                head = await self._resolved(ended, ended.work)
            except UnresolvedConflict as problem:
                decision = Decision(Outcome.UNRESOLVED, Next.RETRY, problem.problem)
        moved = await self._apply(
            Transition(
                ended.task.id, Action.FINISH_IN_PLACE, SYSTEM, reason=decision.reason,
                fence=ended.run.fence, run_id=ended.run.id, run_end=self._end(ended, decision),
                head_sha=head, systemic=decision.next is Next.GIVE_BACK,
            ),
            ended,
        )  # fmt: skip
        if moved and head is None and decision.next is not Next.GIVE_BACK:
            give_up = decision.next is Next.ESCALATE
            action = Action.ESCALATE if give_up else Action.CONFLICT
            reason = decision.reason if give_up else ended.task.reason or decision.reason
            await self._backend.transition(Transition(ended.task.id, action, SYSTEM, reason=reason))
        return decision.outcome

    async def _resolved(self, ended: Ended, work: Collected) -> str:
        """The merge commit made of what the agent left, once the checks pass on it.

        Raises:
            UnresolvedConflict: it is no resolution, or the checks fail on it.
        """
        assert ended.run.base_sha is not None
        workspace = load(self._project.layout.worktrees, ended.run.task_id, ended.run.attempt)
        conflict = Conflict(workspace, ended.run.base_sha, ())
        head = await asyncio.to_thread(finish_conflict, self._hub, conflict, work)
        results = await self._checks.run(ended.task, head, ended.run.base_sha, ended.run.id)
        if not results.passed:
            await self._tell(ended.task, ended.run, results.feedback())
            raise UnresolvedConflict("the checks fail on the resolved work", "have it resolved again")
        return head

    async def _move(self, ended: Ended, decision: Decision, head_sha: str | None = None) -> None:
        """Apply a decision to the task, and end the run with it, in one transaction.

        Args:
            head_sha: the commit to submit, where it is not what the run has committed.
        """
        wish = Transition(
            task_id=ended.task.id,
            action=ACTION_OF[decision.next],
            actor=SYSTEM,
            reason=decision.reason,
            fence=ended.run.fence,
            run_id=ended.run.id,
            run_end=self._end(ended, decision),
            head_sha=head_sha or (ended.work.head_sha if ended.work and ended.work.commits else None),
            systemic=decision.next is Next.GIVE_BACK,
        )
        await self._apply(wish, ended)

    async def _apply(self, wish: Transition, ended: Ended) -> bool:
        """Make the change that also ends the run; returns whether the task was still this run's."""
        try:
            await self._backend.transition(wish)
        except Refused as refusal:
            # The task moved on while its work was collected or checked: keep the work, end the run.
            log.warning("run %s came too late for task %s: %s", ended.run.id, ended.task.id, refusal)
            late = Decision(Outcome.STOPPED, Next.NOTHING, f"the task was taken away: {refusal.problem}")
            await self._backend.end_run(ended.run.id, self._end(ended, _and_where(ended, late)))
            return False
        return True

    def _end(self, ended: Ended, decision: Decision) -> RunEnd:
        return RunEnd(
            outcome=decision.outcome,
            reason=decision.reason,
            head_sha=ended.work.head_sha if ended.work else None,
            exit_code=ended.exit.code if ended.exit else None,
            commits_count=ended.work.commits if ended.work else None,
            summary=None,
        )

    async def _tell(self, task: Task, run: Run, text: str, what: str = "checks") -> None:
        """Put feedback where the next attempt's prompt finds it."""
        await self._backend.post_message(
            NewMessage(
                id=new_id(),
                conversation_id=task.id,
                sender=SYSTEM if what == "checks" else Actor(SenderType.WORKER, run.agent_name),
                type=MessageType.STATUS,
                kind=MessageKind.REVIEW,
                body=text,
                run_id=run.id,
                request_id=f"scheduler:{what}",
            )
        )

    async def _withdraw_questions(self, following: Following) -> None:
        for message_id in tuple(following.waiting_for):
            with contextlib.suppress(Refused):  # it has been answered; the next prompt holds the answer
                await self._backend.withdraw(message_id, "the run that asked has ended")
        following.waiting_for.clear()

    def _save(self, run: Run) -> None:
        """Keep all that the worktree holds under a rescue ref; it is deleted after the retention time."""
        try:
            rescue(self._hub, load(self._project.layout.worktrees, run.task_id, run.attempt), "the run ended")
        except GitError as error:
            log.warning("the worktree of run %s is not saved: %s", run.id, error)


def _and_where(ended: Ended, decision: Decision) -> Decision:
    """The decision on work that nobody takes, with the place where it is kept."""
    if ended.work is None or ended.work.commits == 0:
        return decision
    ref = attempt_ref(ended.run.task_id, ended.run.attempt)
    return replace(decision, reason=f"{decision.reason}; its work is kept in this machine's hub as {ref}")


def _ends_before(run: Run, runs: Sequence[Run], forgiven: int) -> tuple[tuple[Outcome, str], ...]:
    """How the task's earlier runs in the same role ended, the newest last; what was forgiven is left out."""
    earlier = takewhile(lambda other: other.id != run.id, runs)
    return tuple(
        (other.outcome, other.reason or "")
        for other in earlier
        if other.role == run.role and other.outcome is not None and other.attempt > forgiven
    )


def last_words(run_dir: RunDir) -> str | None:
    """The last line that its program wrote to stderr; None when there is none to be read. Blocking."""
    try:
        _, size = read_block(run_dir.stderr_log, 0, 0)
        written, _ = read_block(run_dir.stderr_log, max(0, (size or 0) - LAST_WORDS_FROM), LAST_WORDS_FROM)
    except BadRunFile:
        return None
    lines = written.decode("utf-8", "replace").splitlines()
    said = (clean_line(line, LAST_WORDS_LIMIT).strip() for line in reversed(lines))
    return next((line for line in said if line), None)


def _how_it_ended(following: Following) -> Exit | None:
    """What its supervisor recorded; None when nothing usable tells, once nothing of it runs. Blocking."""
    try:
        end = following.run_dir.exit()
        if end is None:
            stop(following.run_dir, "kill")
    except OctopoidError as error:
        log.warning("run %s counts as lost: %s", following.run.id, error)
        return None
    return end
