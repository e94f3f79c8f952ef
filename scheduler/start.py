"""Starting a run: claim, worktree, prompt, run directory, supervisor. One path for every role and adapter."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.clock import Clock, from_ms
from backend.config.schema import AgentSpec
from backend.errors import NotFound, OctopoidError, Refused
from backend.ids import new_id
from backend.interface import Action, Backend, Transition
from backend.model import (
    SYSTEM,
    Claim,
    ClaimRequest,
    HoldRequest,
    Outcome,
    Queue,
    Run,
    RunEnd,
    RunPatch,
    RunStatus,
    SenderType,
    Task,
)
from scheduler.admission.candidate import RESOLVE, Candidate
from scheduler.admission.world import Slot
from scheduler.agents.interface import Adapter, Assignment
from scheduler.agents.registry import adapter_for, command_for
from scheduler.agents.usage import NOTHING_USED, Usage
from scheduler.environment import base_environment
from scheduler.fleet import Fleet, give_back
from scheduler.follow import Following
from scheduler.git import facts
from scheduler.git.conflict import prepare_conflict
from scheduler.git.errors import GitError
from scheduler.git.hub import Hub
from scheduler.git.target import sync_target
from scheduler.git.workspace import Identity, Workspace, create
from scheduler.project import Project
from scheduler.prompts import DIFF_LIMIT, WorkSoFar, build_prompt
from scheduler.roles import load_role
from scheduler.runs.adopt import stop
from scheduler.runs.launch import launch
from scheduler.runs.rundir import RunDir
from scheduler.surroundings import Surroundings

log = logging.getLogger(__name__)

SPOOL_CAP = 256 << 20
"""Bytes of output kept of one run; what comes after is counted and dropped."""

RESUMED = frozenset(
    {
        Outcome.OUT_OF_TURNS,
        Outcome.CHECKS_FAILED,
        Outcome.SUBMITTED,
        Outcome.TIMED_OUT,
        Outcome.STOPPED,
        Outcome.LOST,
        Outcome.RATE_LIMITED,
        Outcome.SYSTEM_FAILED,
    }
)
"""Ends after which the next run goes on with the session of the one before."""

AGENT_EMAIL = "octopoid@localhost"
FIX = "fix"


class Unstartable(OctopoidError):
    """One task cannot be started, and nothing else is wrong."""

    slug = "unstartable"

    def __init__(self, task_id: str, error: OctopoidError) -> None:
        super().__init__(f"task {task_id} cannot be started: {error.problem}", error.next_step)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a run starts from in git."""

    base_sha: str
    work: WorkSoFar


class Starter:
    """Starts runs for one project on this machine."""

    def __init__(
        self,
        backend: Backend,
        project: Project,
        fleet: Fleet,
        hub: Hub,
        clock: Clock,
        bin_dir: Path,
        surroundings: Surroundings,
    ) -> None:
        self._backend = backend
        self._project = project
        self._fleet = fleet
        self._hub = hub
        self._clock = clock
        self._bin_dir = bin_dir
        self._surroundings = surroundings

    async def start(self, slot: Slot, candidate: Candidate) -> Following | None:
        """Claim the candidate and start an agent on it.

        Returns:
            None when somebody else was quicker.

        Raises:
            Unstartable: this task cannot be started, others can; it waits for a person now.
            OctopoidError: it could not be started; the task has been given back, blameless.
        """
        adapter = adapter_for(slot.spec.adapter)
        run_id = new_id()
        claim = await self._claim(slot, candidate, run_id)
        if claim is None:
            return None
        self._fleet.starting[run_id] = claim.run
        try:
            following = await self._launch(slot.spec, adapter, claim)
        except (OctopoidError, OSError) as error:
            await asyncio.to_thread(self._make_sure_it_is_gone, run_id)
            if isinstance(error, GitError) and not error.systemic:
                await self._escalate(claim, error)
                raise Unstartable(claim.task.id, error) from error
            await give_back(self._backend, claim.run, RunEnd(Outcome.SPAWN_FAILED, str(error)))
            raise
        finally:
            del self._fleet.starting[run_id]
        self._fleet.following[run_id] = following
        return following

    def _make_sure_it_is_gone(self, run_id: str) -> None:
        """An agent that came up after all must not work beside the next one. Blocking."""
        try:
            stop(RunDir(self._project.layout.runs / run_id), "kill")
        except NotFound:
            return
        except OctopoidError as error:
            log.error("run %s did not start, and cannot be ended: %s", run_id, error)

    async def _escalate(self, claim: Claim, error: GitError) -> None:
        reason = f"it cannot be started: {error}"
        end = RunEnd(Outcome.SPAWN_FAILED, reason)
        try:
            await self._backend.transition(
                Transition(
                    claim.task.id, Action.ESCALATE, SYSTEM, reason=reason, fence=claim.run.fence,
                    run_id=claim.run.id, run_end=end,
                )
            )  # fmt: skip
        except Refused:
            await self._backend.end_run(claim.run.id, end)

    async def _claim(self, slot: Slot, candidate: Candidate, run_id: str) -> Claim | None:
        lease = self._project.config.leases.seconds
        who = self._project.orchestrator_id
        task_id, spec = candidate.task.id, slot.spec
        try:
            if candidate.task.queue is Queue.PROVISIONAL:
                hold = HoldRequest(
                    task_id, candidate.role, who, slot.name, spec.adapter, run_id, lease, spec.model
                )
                return await self._backend.claim_in_place(hold)
            wish = ClaimRequest(
                who, slot.name, spec.adapter, run_id, lease, (candidate.role,), task_id, spec.model
            )
            return await self._backend.claim(wish)
        except Refused as refusal:
            log.info("task %s was not claimable after all: %s", task_id, refusal)
            return None

    async def _launch(self, spec: AgentSpec, adapter: Adapter, claim: Claim) -> Following:
        task, run = claim.task, claim.run
        messages = await self._backend.list_messages(task.id)
        runs = await self._backend.list_runs(task_id=task.id)
        beginning, workspace = await asyncio.to_thread(self._prepare, task, run)
        role_name = FIX if _repairs(task, runs) else run.role
        role = load_role(role_name, self._project.layout.roles)
        evidence = [
            item for item in await self._backend.list_evidence(task.id) if item.commit_sha == task.head_sha
        ]
        prompt = build_prompt(role, task, messages, beginning.work, self._project.config, evidence)
        run_dir = await asyncio.to_thread(RunDir.create, self._project.layout.runs, run.id)
        assignment = self._assignment(task, run, runs, workspace, run_dir)
        told = [message.id for message in messages if message.sender.type is SenderType.HUMAN]
        await asyncio.to_thread(
            self._write, spec, assignment, task, run, workspace, prompt, _attempt_in_role(run, runs), told
        )
        await self._backend.update_run(run.id, RunPatch(base_sha=beginning.base_sha, branch=workspace.branch))
        await self._surroundings.before(run.id)
        begun = await asyncio.to_thread(launch, run_dir)
        now = from_ms(self._clock.now_ms())
        status = None if adapter.two_way else RunStatus.RUNNING  # else when it says that it is ready
        started = await self._backend.update_run(run.id, RunPatch(status=status, last_activity_at=now))
        return await asyncio.to_thread(Following, started, run_dir, adapter, self._clock, now, pid=begun.pid)

    def _assignment(
        self, task: Task, run: Run, runs: list[Run], workspace: Workspace, run_dir: RunDir
    ) -> Assignment:
        """What the adapter needs to know, with the session to go on with, if there is one."""
        earlier = resumable(run, runs)
        return Assignment(
            run_id=run.id,
            run_dir=run_dir.path,
            task_id=task.id,
            worktree=workspace.path,
            prompt_file=run_dir.prompt_md,
            state_dir=self._project.layout.homes / task.id / run.role,
            resume_session=earlier.session_id if earlier else None,
            used=_used_by_session(earlier, runs),
        )

    def _prepare(self, task: Task, run: Run) -> tuple[Beginning, Workspace]:
        """Make the worktree. Blocking."""
        hub, root = self._hub, self._project.layout.worktrees
        identity = Identity(run.agent_name, AGENT_EMAIL)
        if run.role == RESOLVE:
            assert task.head_sha is not None
            target = sync_target(hub, task.base_branch)
            conflict = prepare_conflict(
                hub, root, task.id, run.attempt, task.head_sha, target, identity, task.base_sha or target
            )
            work = self._work_so_far(task, target)
            return Beginning(target, replace(work, conflict="\n".join(conflict.paths))), conflict.workspace
        base = self._base(task)
        workspace = create(hub, root, task.id, run.attempt, task.head_sha or base, identity, base)
        return Beginning(base, self._work_so_far(task, base)), workspace

    def _base(self, task: Task) -> str:
        """The commit new work starts from: as recorded; today's without one, or when it builds on others."""
        if task.base_sha and not task.blocked_by:
            self._hub.sync_base(task.base_branch)
            self._hub.fetch_commit(task.base_sha)
            return task.base_sha
        return sync_target(self._hub, task.base_branch)

    def _work_so_far(self, task: Task, base: str) -> WorkSoFar:
        if task.head_sha is None:
            return WorkSoFar()
        fork = facts.merge_base(self._hub, base, task.head_sha) or base
        commits = facts.commits_between(self._hub, fork, task.head_sha)
        stat = facts.diff_stat(self._hub, fork, task.head_sha)
        patch = facts.diff(self._hub, fork, task.head_sha, cap=DIFF_LIMIT * 2).patch
        return WorkSoFar(
            commits=tuple(f"{commit.sha[:10]} {commit.subject}" for commit in commits),
            diff=patch.decode("utf-8", "replace"),
            diff_stat=f"{stat.files} files changed, {stat.added} lines added, {stat.removed} removed",
        )

    def _write(
        self,
        spec: AgentSpec,
        assignment: Assignment,
        task: Task,
        run: Run,
        workspace: Workspace,
        prompt: str,
        attempt_in_role: int,
        told: list[str],
    ) -> None:
        """Lay out the run directory. Blocking."""
        run_dir = RunDir(assignment.run_dir)
        command = command_for(spec, assignment)
        for folder in command.folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        marks = {
            "OCTOPOID_DIR": str(self._project.layout.root),
            "OCTOPOID_RUN_DIR": str(run_dir.path),
            "OCTOPOID_TASK_ID": task.id,
            "OCTOPOID_PROMPT_FILE": str(run_dir.prompt_md),
            "OCTOPOID_WORKTREE": str(workspace.path),
        }
        env = base_environment(run_dir.path / "home", self._bin_dir, {**command.env, **marks})
        description = {
            "id": task.id,
            "title": task.title,
            "body": task.body,
            "role": run.role,
            "attempt": run.attempt,
            "attempt_in_role": attempt_in_role,
            "base_branch": task.base_branch,
            "base_sha": workspace.base_sha,
            "worktree": str(workspace.path),
            "head_sha": task.head_sha,
        }
        if "demo" in task.metadata:
            description["script"] = task.metadata["demo"]
        run_dir.write_inputs(description, prompt, env, {"setup": command.setup, "told": told})
        run_dir.write_spec(
            command.argv,
            cwd=workspace.path,
            env=env,
            stdin="fifo",
            wall_clock_s=spec.timeout,
            spool_cap_bytes=SPOOL_CAP,
        )


def _repairs(task: Task, runs: list[Run]) -> bool:
    """Whether the task's last finished run stopped at the checks."""
    ended = [run for run in runs if run.outcome is not None]
    return bool(ended) and ended[-1].outcome is Outcome.CHECKS_FAILED and task.queue is Queue.CLAIMED


def resumable(run: Run, runs: Sequence[Run]) -> Run | None:
    """The run before this one in its role, if the same program can go on with its session here.

    A program that ended badly by itself is begun anew: its session may be what is wrong.
    """
    before = [other for other in runs if other.role == run.role and other.id != run.id]
    last = before[-1] if before else None
    if last is None or last.session_id is None:
        return None
    same = (last.adapter, last.orchestrator_id) == (run.adapter, run.orchestrator_id)
    killed = last.outcome is Outcome.CRASHED and last.exit_code is None
    return last if same and (killed or last.outcome in RESUMED) else None


def _used_by_session(last: Run | None, runs: Sequence[Run]) -> Usage:
    """What a session has used: programs tell its totals, without what they could not save when killed."""
    if last is None:
        return NOTHING_USED
    parts = [
        Usage(run.tokens_input, run.tokens_output, run.tokens_cache_read, run.tokens_cache_write,
              run.cost_usd or 0.0)
        for run in runs
        if run.session_id == last.session_id and run.exit_code is not None
    ]  # fmt: skip
    return sum(parts, NOTHING_USED)


def _attempt_in_role(run: Run, runs: list[Run]) -> int:
    return sum(other.role == run.role for other in runs)
