"""What a person at a front can ask for: queue, read, decide. Both the screen and the commands use it.

Changes go through the backend. What only git knows is read here, off the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from backend.clean import clean
from backend.clock import Clock, SystemClock, from_ms, to_iso
from backend.errors import BadInput, NotFound, Refused
from backend.ids import check_id, new_id
from backend.interface import Action, Backend, Transition
from backend.model import (
    Actor,
    AgentStatus,
    Complexity,
    Json,
    Message,
    MessageKind,
    MessageType,
    NewMessage,
    NewTask,
    Pause,
    Priority,
    Queue,
    Task,
    TaskFilter,
    TaskType,
)
from backend.planning import Draft, ProjectStatus, find_project
from backend.ranking import Question
from backend.sync import SyncMode
from scheduler.admission.candidate import role_wanted
from scheduler.admission.explain import explain, with_known
from scheduler.admission.verdict import Explanation
from scheduler.admission.world import moment, read_world, slots_of
from scheduler.agents.events import AgentEvent
from scheduler.answers import RuleWish, give_answer, open_questions
from scheduler.budget import Standing, read_ledger, shared_lines, spent_by, total
from scheduler.fleet import Fleet
from scheduler.git import facts
from scheduler.git.hub import Hub
from scheduler.git.overlap import clashes
from scheduler.git.target import pull_command
from scheduler.notices import Notice, Waiting, alert_notices, config_notices
from scheduler.pipeline.accept import Acceptor, ready_to_merge
from scheduler.pipeline.checks import Checks, missing
from scheduler.pipeline.deliver import waiting_branches
from scheduler.pipeline.plan import plan_of
from scheduler.pipeline.review import read_review
from scheduler.presence import is_live, scheduler_running
from scheduler.project import Project
from scheduler.questions import INTERRUPT
from scheduler.quota import quota_key, windows
from scheduler.roles import load_role
from scheduler.runs.pages import Pages, read_event
from scheduler.runs.rundir import RunDir
from scheduler.runs.tail import Tail
from scheduler.settings import Settings, read_settings
from scheduler.status import read_status
from scheduler.steer import ASK_FIRST, find_run, require_interrupt

MERGE_POLL_S = 0.1
LIVENESS_EVERY = 30
"""Polls between two looks whether the scheduler that is to merge is still there."""

ROLE = "implement"
DIFF_CAP = 16 << 20


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task as a person writes it. What is None is taken from the project: branch, commit, a fresh id."""

    title: str
    body: str = ""
    id: str | None = None
    role: str = ROLE
    priority: Priority = Priority.P2
    type: TaskType = TaskType.FEATURE
    complexity: Complexity | None = None
    project_id: str | None = None
    base_branch: str | None = None
    blocked_by: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    file_path: str | None = None
    auto_accept: bool = False
    backlog: bool = False
    metadata: Json = field(default_factory=dict)


class NotPassed(Refused):
    """The work lacks a pass of a check that is required; a reason may override that."""

    slug = "not-passed"


class Desk:
    """One person's way to one project. Its methods raise `OctopoidError`s that say what to do."""

    def __init__(
        self,
        backend: Backend,
        project: Project,
        *,
        actor: Actor,
        clock: Clock | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        """`fleet` is what the scheduler remembers, where it runs in this process."""
        self.backend = backend
        self.project = project
        self.actor = actor
        self._clock = clock or SystemClock()
        self._fleet = fleet
        self._hub: Hub | None = None
        self._waiting: Waiting | None = None

    # Queueing

    async def enqueue(self, draft: TaskDraft) -> Task:
        """Store a task on today's commit of its base branch.

        Raises:
            BadInput: no title, a bad id, an unknown role.
            MissingBranch: the base branch does not exist; the nearest names are given.
            Refused: its project takes no task, or too many tasks wait.
        """
        new = await self._written(draft)
        await self._require_room(1)
        return await self.backend.create_task(new, actor=self.actor)

    async def promote(self, draft_id: str, drafts: Sequence[TaskDraft]) -> Draft:
        """Queue the tasks that a draft becomes, all or none of them.

        Raises:
            NotFound: there is no such draft.
            BadInput, MissingBranch, Refused: as in `enqueue`, for any of them.
        """
        tasks = [await self._written(one) for one in drafts]
        await self._require_room(len(tasks))
        return await self.backend.promote_draft(draft_id, tasks, actor=self.actor)

    async def _require_room(self, more: int) -> None:
        limit = self.project.config.limits.incoming
        if limit is None:
            return
        if (await self.backend.count_queues()).get(Queue.INCOMING, 0) + more > limit:
            raise Refused(f"{limit} tasks wait already (limits.incoming)", "finish some, or raise the limit")

    async def _written(self, draft: TaskDraft) -> NewTask:
        """What is to be stored of a task, with what the project adds."""
        title = clean(draft.title, newlines=False).strip()
        if not title:
            raise BadInput("the task has no title", "give it one line that says what is wanted")
        load_role(draft.role, self.project.layout.roles)
        group = await find_project(self.backend, draft.project_id) if draft.project_id is not None else None
        if group is not None and group.status is not ProjectStatus.ACTIVE:
            again = f"octopoid projects edit {group.id} --state active"
            raise Refused(f"project {group.id} is {group.status}", f"open it again: {again}")
        own = None if group is None else group.base_branch
        branch = draft.base_branch or own or self.project.config.repo.main_branch
        hub = await self._open_hub()
        _, sha = await asyncio.to_thread(hub.resolve_base, branch)
        return NewTask(
            id=check_id(draft.id, "task id") if draft.id is not None else new_id(),
            title=title,
            role=draft.role,
            base_branch=branch,
            base_sha=sha,
            created_by=str(self.actor),
            body=draft.body,
            priority=draft.priority,
            type=draft.type,
            complexity=draft.complexity,
            blocked_by=draft.blocked_by,
            needs=draft.needs,
            project_id=draft.project_id,
            file_path=draft.file_path,
            auto_accept=draft.auto_accept or (group is not None and group.auto_accept),
            backlog=draft.backlog,
            metadata=draft.metadata,
            scope=None if group is None else group.scope,
        )

    async def enqueue_file(self, path: Path, **overrides: Any) -> Task:
        """Store the task that a file describes; `overrides` are fields of `TaskDraft`.

        Raises:
            BadInput: the file cannot be read as a task; file and line are named.
        """
        # Reading front matter brings a parser along that other commands do not need.
        from backend.taskfile import read_task_file

        said = await asyncio.to_thread(read_task_file, path)
        draft = TaskDraft(
            title=said.title,
            body=said.body,
            id=said.id,
            role=said.role or ROLE,
            priority=said.priority,
            type=said.type or TaskType.FEATURE,
            complexity=said.complexity,
            project_id=said.project_id,
            base_branch=said.branch,
            blocked_by=said.blocked_by,
            needs=said.needs,
            file_path=self._relative(path),
            auto_accept=said.auto_accept,
            metadata={**said.extra, **({"checks": list(said.checks)} if said.checks else {})},
        )
        return await self.enqueue(replace(draft, **overrides))

    def _relative(self, path: Path) -> str:
        whole = path.resolve()
        return str(whole.relative_to(self.project.repo) if whole.is_relative_to(self.project.repo) else whole)

    async def note(self, task_id: str, text: str, *, interrupt: bool = False) -> Message:
        """Leave a comment on a task: for an agent at work that listens, and for the next attempt's prompt.

        Args:
            interrupt: break off what the agent does now, if it can be, so that it reads this first.
        """
        task = await self.backend.get_task(task_id)
        if not text.strip():
            raise BadInput("the comment is empty", "write what the agent should know")
        options = (INTERRUPT,) if interrupt else ()
        said = clean(text).strip()
        return await self.backend.post_message(
            NewMessage(
                new_id(), task.id, self.actor, MessageType.STATUS, MessageKind.NOTE, said, options=options
            )
        )

    async def interrupt(self, name: str, text: str = ASK_FIRST) -> Message:
        """Break off what the agent of a run does now, and have it go on with `text`.

        Args:
            name: a run, or a task with one.

        Raises:
            Refused: the run has ended, or its kind of agent cannot be interrupted.
        """
        run = await find_run(self.backend, name)
        require_interrupt(run)
        return await self.note(run.task_id, text, interrupt=True)

    # Deciding

    async def accept(
        self, task_id: str, *, by: str | None = None, override: str | None = None, wait: bool = True
    ) -> Task:
        """Approve a task's work and have it merged: by the running scheduler, or here when there is none.

        Args:
            override: why checks that are missing or failed do not matter.
            wait: return when the task is done, or has left the way to it; otherwise at once.

        Raises:
            NotPassed: required checks failed or are missing, and nothing overrides them.
            Refused: not to be accepted now: wrong state, or it does not merge.
        """
        actor = replace(self.actor, id=check_id(by, "name")) if by else self.actor
        task = await self.backend.get_task(task_id)
        await self._require_evidence(task, override)
        task = await self.backend.transition(
            Transition(task.id, Action.APPROVE, actor, reason=override, override=override)
        )
        if not wait or await self._server_away():
            # It is merged once the server has the approval too: somebody may have decided otherwise.
            return task
        place = await self._place_of_work(task)
        if place is not None or scheduler_running(self.project):
            return await self._until_merged(task, place)
        checks = Checks(self.backend, self.project, await self._open_hub(), self._clock)
        acceptor = Acceptor(self.backend, self.project, await self._open_hub(), checks)
        if task.reason is not None:
            raise Refused(f"task {task.id} is approved, but {task.reason}", "octopoid run resolves it")
        return self._merged(await acceptor.accept(task))

    async def _require_evidence(self, task: Task, override: str | None) -> None:
        if override is not None or task.queue is not Queue.PROVISIONAL or task.head_sha is None:
            return
        if plan_of(task) is not None:
            return
        evidence = await self.backend.list_evidence(task.id)
        lacking = missing(self.project.config.checks, evidence, task.head_sha)
        if lacking:
            raise NotPassed(
                f"task {task.id} has not passed: {', '.join(lacking)}",
                "reject it, or accept it with --override and a reason",
                tuple(f"check {name!r} has no pass on {task.head_sha[:12]}" for name in lacking),
            )

    async def _until_merged(self, task: Task, place: str | None) -> Task:
        """Wait for the scheduler to merge what was approved: this machine's, or that of `place`."""
        for polls in count():
            if task.queue is not Queue.PROVISIONAL or not ready_to_merge(task):
                break
            if polls % LIVENESS_EVERY == 0 and not await self._scheduling(place):
                where = f" of {place}, which has its work, does not run" if place else " has ended"
                raise Refused(
                    f"task {task.id} is approved, but the scheduler{where}",
                    f"octopoid run merges it{' there' if place else ''}",
                )
            await asyncio.sleep(MERGE_POLL_S)
            task = await self.backend.get_task(task.id)
        return self._merged(task)

    async def _scheduling(self, place: str | None) -> bool:
        if place is None:
            return scheduler_running(self.project)
        now = from_ms(self._clock.now_ms())
        return any(one.id == place and is_live(one, now) for one in await self.backend.list_orchestrators())

    async def _place_of_work(self, task: Task) -> str | None:
        """The machine that has the task's work, when it is not this one."""
        if self.project.config.mode == "local" or task.head_sha is None:
            return None
        hub = await self._open_hub()
        if await asyncio.to_thread(hub.fetch_commit, task.head_sha):
            return None
        runs = await self.backend.list_runs(task_id=task.id)
        places = [run.orchestrator_id for run in runs if run.head_sha == task.head_sha]
        return places[-1] if places else "another machine"

    def _merged(self, task: Task) -> Task:
        if task.queue is Queue.DONE:
            return task
        raise Refused(
            f"task {task.id} is approved but not merged: {task.reason or f'it is {task.queue} now'}",
            "an agent resolves it, and then it is merged without asking again"
            if task.queue is Queue.PROVISIONAL
            else f"octopoid why {task.id}",
        )

    async def reject(self, task_id: str, reason: str) -> Task:
        """Send work back; the next attempt is told why."""
        return await self.act(task_id, Action.REJECT, reason=clean(reason).strip())

    async def act(
        self,
        task_id: str,
        action: Action,
        *,
        reason: str | None = None,
        to: Queue | None = None,
        version: int | None = None,
    ) -> Task:
        """Any other change of a task's state."""
        return await self.backend.transition(
            Transition(task_id, action, self.actor, reason=reason or None, to=to, version=version)
        )

    async def answer(self, message_id: str, text: str, *, rule: RuleWish | None = None) -> Message:
        """Answer a question, every other open one that asks the very same, and with a rule those to come."""
        return await give_answer(self.backend, self.actor, message_id, text, rule)

    async def questions(self) -> tuple[Question, ...]:
        """Open questions in the order in which answering them helps most; the same ones are one entry."""
        return await open_questions(self.backend)

    async def pause(self, reason: str | None = None) -> Pause:
        """Close intake: nothing new starts; what runs goes on."""
        return await self.backend.pause(actor=self.actor, reason=reason)

    async def resume(self) -> Pause:
        """Open intake again, also this machine's own and to providers that were said to refuse work here."""
        machine = self.project.orchestrator_id
        for adapter in windows(await self.backend.list_alerts(), machine):
            await self.backend.clear_alert(quota_key(machine, adapter))
        await self.backend.resume(actor=self.actor, machine=machine)
        return await self.backend.resume(actor=self.actor)

    # Reading

    async def diff(self, task_id: str) -> str:
        """The task's own changes against the branch it is for, as a unified diff; empty without work."""
        task = await self.backend.get_task(task_id)
        if task.head_sha is None:
            return ""
        place = await self._place_of_work(task)
        if place is not None:
            raise NotFound(f"the work of task {task.id} is on {place}, not here", "read its diff there")
        hub = await self._open_hub()
        return await asyncio.to_thread(_diff, hub, task.base_sha, task.head_sha, task.base_branch)

    async def why(self, task_id: str) -> Explanation:
        """Why the task does or does not run now, gate by gate."""
        task = await self.backend.get_task(task_id)
        project, fleet = self.project, self._fleet or Fleet(slot_errors=await self._slot_errors())
        world = await read_world(
            self.backend,
            project.config,
            project.agents,
            project.orchestrator_id,
            project.layout.root,
            self._clock,
            slot_errors=fleet.slot_errors,
            last_start=fleet.last_start,
        )
        spent = total(map(spent_by, await self.backend.list_runs(task_id=task.id)))
        review = await read_review(self.backend, project.config, task)
        explained = explain(world, task, spent, review.standing)
        said = with_known(explained, await self.backend.why(task_id))
        more = [await self._more(task)]
        if world.server_away_since is not None and role_wanted(task, review.standing) is None:
            more.append(f"so it was when the server went away ({moment(world.server_away_since)})")
        return replace(said, summary="; ".join([said.summary, *(text for text in more if text)]))

    async def _more(self, task: Task) -> str | None:
        """What else is to be known of a task in its state."""
        if task.queue is Queue.DONE:
            return await self._waits(task)
        if task.queue is Queue.CLAIMED:
            for one in await self.backend.open_questions():
                if one.conversation_id == task.id:
                    return f"it asks you: {clean(one.body, newlines=False)} (octopoid answer {one.id} TEXT)"
            return None
        said = [await self._where_the_work_is(task), await self._clashes(task)]
        return "; ".join(text for text in said if text) or None

    async def _where_the_work_is(self, task: Task) -> str | None:
        """That only another machine can go on with it, and whether that one is there."""
        place = await self._place_of_work(task) if role_wanted(task) is not None else None
        if place is None:
            return None
        machine = next((one for one in await self.backend.list_orchestrators() if one.id == place), None)
        if machine is None or machine.status == "active":
            return f"its work so far is on {place}"
        gone = to_iso(machine.last_heartbeat_at)
        return f"its work so far is on {place}, last heard of at {gone}: start the scheduler there"

    async def _server_away(self) -> bool:
        return (await self.backend.sync_state()).mode is SyncMode.OFFLINE

    async def _clashes(self, task: Task) -> str | None:
        """Which other work that waits for review conflicts with this task's."""
        if task.queue is not Queue.PROVISIONAL or task.head_sha is None:
            return None
        waiting = await self.backend.list_tasks(TaskFilter(queues=frozenset({Queue.PROVISIONAL})))
        others = {
            other.id: other.head_sha
            for other in waiting
            if other.id != task.id and other.head_sha and other.base_branch == task.base_branch
        }
        found = await asyncio.to_thread(clashes, await self._open_hub(), task.head_sha, others)
        said = [f"{other} in {', '.join(paths)}" for other, paths in found.items()]
        return (
            f"it conflicts with {'; '.join(said)}: accept one, and an agent resolves the other"
            if said
            else None
        )

    async def _slot_errors(self) -> dict[str, str]:
        """What this machine's scheduler last said of agents that cannot start."""
        return {
            agent.name: agent.reason or "it cannot be started"
            for agent in await self.backend.list_agents()
            if agent.status is AgentStatus.ERROR and agent.orchestrator_id == self.project.orchestrator_id
        }

    async def _waits(self, task: Task) -> str | None:
        """What to do when a merged task has not reached the user's own branch yet."""
        hub = await self._open_hub()
        if task.base_branch not in await asyncio.to_thread(waiting_branches, hub):
            return None
        command = pull_command(hub, str(self.project.repo), task.base_branch)
        return f"it waits to be brought into {task.base_branch}. To take it now: {command}"

    async def notices(self) -> tuple[Notice, ...]:
        """What is wrong with the project's configuration now, and what work waits for a clean checkout."""
        if self._fleet is None:
            # Where a scheduler runs in this process, it is the one that reads changed files.
            await asyncio.to_thread(self.project.refresh)
        if self._waiting is None and self.project.layout.hub.is_dir():
            self._waiting = Waiting(await self._open_hub(), self.project.repo)
        waiting = () if self._waiting is None else await asyncio.to_thread(self._waiting.look)
        return (*config_notices(self.project), *alert_notices(await self.backend.list_alerts()), *waiting)

    async def budgets(self) -> Standing:
        """The budgets that are set, and how much of those that are shared is used."""
        budgets, agents = self.project.config.budgets, self.project.agents
        specs = {slot.name: slot.spec for slot in slots_of(agents)}
        ledger = await read_ledger(self.backend, budgets, specs, from_ms(self._clock.now_ms()))
        return Standing(tuple(shared_lines(budgets, agents, ledger, sorted(ledger.projects))), budgets)

    async def settings(self) -> Settings:
        """What the project is configured with, and what is wrong with that."""
        if self._fleet is None:
            await asyncio.to_thread(self.project.refresh)
        return read_settings(self.project)

    async def status(self) -> Json:
        """Everything `octopoid status --json` says."""
        return await read_status(self.backend, self.project, self._clock)

    def run_dir(self, run_id: str) -> RunDir:
        return RunDir(self.project.layout.runs / check_id(run_id, "run id"))

    def events_path(self, run_id: str) -> Path:
        """The run's normalised events, one a line."""
        return self.run_dir(run_id).events_jsonl

    def pages(self, run_id: str) -> Pages:
        """The run's events from any place on; its methods block briefly."""
        return Pages(self.events_path(run_id))

    async def read_events(self, run_id: str, offset: int = 0) -> tuple[list[AgentEvent], int]:
        """The run's events from a byte offset on, and the offset to go on from."""
        return await asyncio.to_thread(_read_events, self.events_path(run_id), offset)

    async def _open_hub(self) -> Hub:
        if self._hub is None:
            project = self.project
            self._hub = await asyncio.to_thread(Hub.open, project.layout.root, project.repo)
        return self._hub


def _diff(hub: Hub, base: str, head: str, branch: str) -> str:
    """Against the newest commit that work and branch share, so a resolved conflict shows its own part."""
    target = hub.sync_base(branch)
    fork = facts.merge_base(hub, target, head) or base
    if fork == head:
        # It is merged: what it was is seen from where it began.
        fork = facts.merge_base(hub, base, head) or base
    found = facts.diff(hub, fork, head, cap=DIFF_CAP)
    text = found.patch.decode("utf-8", "replace")
    return text + "\n(the rest of this diff is too long to show)\n" if found.truncated else text


def _read_events(path: Path, offset: int) -> tuple[list[AgentEvent], int]:
    tail = Tail(path, offset)
    return [read_event(line.data) for line in tail.read()], tail.offset
