"""Which task starts next, and on which slot; and for every slot that stays idle, why."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta

from backend.clock import Clock, from_ms
from backend.errors import BadInput, ConfigError
from backend.interface import Backend
from backend.model import Agent, AgentStatus, Queue, RunStatus, Task, TaskFilter
from scheduler.admission.candidate import Candidate, role_wanted
from scheduler.admission.gates import first_closed, judge
from scheduler.admission.verdict import Verdict
from scheduler.admission.world import Slot, World, read_world, slots_of
from scheduler.agents.interface import AgentUnavailable, Assignment
from scheduler.agents.registry import command_for
from scheduler.budget import Spent, spent_by, total
from scheduler.commits import Commits
from scheduler.fleet import Background, Fleet, close_intake
from scheduler.pipeline.review import REVIEW, Standing, read_review
from scheduler.project import Project
from scheduler.roles import load_role
from scheduler.runs.launch import LaunchFailed
from scheduler.start import Starter, Unstartable
from scheduler.trust import untrusted

log = logging.getLogger(__name__)

LOOK_AHEAD = 50
"""Waiting tasks looked at per cycle: more cannot start at once on one machine."""

REFUSED_REST = timedelta(minutes=10)
"""The same for agents whose program was refused its work: a person has to mend that."""

SLOT_REST = timedelta(seconds=60)
"""A slot whose agent did not start is left alone for so long."""


class Dispatcher:
    """Starts what the gates let through."""

    def __init__(
        self, backend: Backend, project: Project, fleet: Fleet, starter: Starter, background: Background,
        clock: Clock, commits: Commits,
    ) -> None:  # fmt: skip
        self._backend = backend
        self._project = project
        self._fleet = fleet
        self._starter = starter
        self._background = background
        self._clock = clock
        self._commits = commits
        self._elsewhere: dict[str, str] = {}
        """Roles for which a task waits that cannot be worked on here, and why."""
        self._reported: tuple[Agent, ...] = ()
        self._chosen: dict[str, Task] = {}
        """Tasks whose start is under way, by slot."""
        self.due: datetime | None = None
        """When a gate that is closed now may open by itself."""

    async def dispatch(self) -> None:
        """Give every free slot the first candidate that its gates let pass."""
        await asyncio.to_thread(self._check_slots)
        world = await self.read_world()
        candidates = await self._candidates(world)
        self._fleet.idle_reasons.clear()
        self.due = None
        for slot in world.slots:
            if self._occupied(slot):
                continue
            taken = {task.id for task in world.chosen}
            choice, verdict = self._choose(world, slot, [c for c in candidates if c.task.id not in taken])
            if choice is None:
                self._fleet.idle_reasons[slot.name] = verdict.reason if verdict else self._nothing(slot)
                continue
            self._chosen[slot.name] = choice.task
            world = replace(world, chosen=(*world.chosen, choice.task))
            self._background.start(f"start {slot.name}", lambda s=slot, c=choice: self._start(s, c))  # type: ignore[misc]

    async def read_world(self) -> World:
        """The facts of this moment; what is about to run counts, whether its claim is made yet or not."""
        under_way = dict(self._chosen)
        world = await self._read_world()
        claimed = {run.task_id for run in world.runs}
        tasks = {task.id: task for task in (under_way | self._chosen).values()}
        return replace(world, chosen=tuple(task for name, task in tasks.items() if name not in claimed))

    async def _read_world(self) -> World:
        return await read_world(
            self._backend,
            self._project.config,
            self._project.agents,
            self._project.orchestrator_id,
            self._project.layout.root,
            self._clock,
            slot_errors=self._fleet.slot_errors,
            last_start=self._fleet.last_start,
        )

    async def _candidates(self, world: World) -> list[Candidate]:
        """What waits for an agent, in claim order; conflicts first, since their work is nearly done."""
        provisional = await self._backend.list_tasks(TaskFilter(queues=frozenset({Queue.PROVISIONAL})))
        incoming = await self._backend.list_tasks(
            TaskFilter(queues=frozenset({Queue.INCOMING}), limit=LOOK_AHEAD)
        )
        found = [(task, role_wanted(task, await self._standing(task))) for task in (*provisional, *incoming)]
        if world.config.mode == "remote":
            found = await asyncio.to_thread(self._workable, found)
        return [
            Candidate(task, role, await self._spent(task.id, world))
            for task, role in found
            if role is not None
        ]

    def _workable(self, found: list[tuple[Task, str | None]]) -> list[tuple[Task, str | None]]:
        """Without the tasks whose commits another machine has. Blocking."""
        self._elsewhere.clear()
        here = []
        for task, role in found:
            reason = self._commits.lacking(task) if role is not None else None
            if reason is None:
                here.append((task, role))
            elif role is not None:
                self._elsewhere.setdefault(role, f"task {task.id} waits: {reason}")
        return here

    async def _standing(self, task: Task) -> Standing:
        return (await read_review(self._backend, self._project.config, task)).standing

    async def _spent(self, task_id: str, world: World) -> Spent:
        if world.config.budgets.task_usd is None and world.config.budgets.task_tokens is None:
            return Spent()
        return total(map(spent_by, await self._backend.list_runs(task_id=task_id)))

    def _occupied(self, slot: Slot) -> bool:
        return f"start {slot.name}" in self._background or any(
            following.run.agent_name == slot.name for following in self._fleet.following.values()
        )

    def is_starting(self, agent_name: str) -> bool:
        """Whether a run of this slot is being started: claimed perhaps, and not launched yet."""
        return agent_name in self._chosen

    def _choose(
        self, world: World, slot: Slot, candidates: list[Candidate]
    ) -> tuple[Candidate | None, Verdict | None]:
        """The first candidate that passes every gate; else why the first of them does not."""
        shut_for = []
        for candidate in candidates:
            shut = first_closed(judge(world, slot, candidate))
            if shut is None:
                return candidate, None
            if shut.gate != "role":
                shut_for.append(shut)
        clears = [verdict.clears_at for verdict in shut_for if verdict.clears_at is not None]
        if clears:
            self.due = min(clears) if self.due is None else min(self.due, *clears)
        return None, shut_for[0] if shut_for else None

    def _nothing(self, slot: Slot) -> str:
        role = slot.spec.role
        known = self._fleet.slot_errors.get(slot.name) or self._elsewhere.get(role)
        if known is None and role == REVIEW and self._project.config.review in ("human", "auto"):
            return f"agents do not review here: review is {self._project.config.review} in config.yaml"
        return known or f"no task waits for role {role}"

    async def _start(self, slot: Slot, candidate: Candidate) -> None:
        """Start one run. What fails rests: the task, the slot, or the intake, as far as the fault reaches."""
        try:
            following = await self._starter.start(slot, candidate)
        except Unstartable as error:
            log.error("%s", error)
        except (AgentUnavailable, ConfigError, LaunchFailed) as error:
            self._fleet.slot_errors[slot.name] = str(error)
            self._fleet.slot_rests[slot.name] = from_ms(self._clock.now_ms()) + SLOT_REST
            log.error("%s cannot start: %s", slot.name, error)
        except Exception as error:
            log.exception("task %s could not be started", candidate.task.id)
            problem = f"{candidate.task.id} did not start: {error}"
            await close_intake(self._backend, self._clock, problem, self._project.orchestrator_id)
        else:
            if following is not None:
                self._fleet.last_start[slot.name] = following.run.started_at
        finally:
            self._chosen.pop(slot.name, None)

    def rest(self, slot_name: str, reason: str) -> None:
        """Leave the slots of one entry alone for a while: its program may not work at all, says `reason`."""
        slots = slots_of(self._project.agents)
        names = {slot.spec.name for slot in slots if slot.name == slot_name}
        until = from_ms(self._clock.now_ms()) + REFUSED_REST
        for slot in slots:
            if slot.spec.name in names:
                self._fleet.slot_errors[slot.name] = reason
                self._fleet.slot_rests[slot.name] = until

    def _check_slots(self) -> None:
        """Know before claiming which slots cannot start; what is right again counts at once."""
        now = from_ms(self._clock.now_ms())
        told = self._untrusted_prompts()
        for slot in slots_of(self._project.agents):
            if self._fleet.slot_rests.get(slot.name, now) > now:
                continue
            self._fleet.slot_rests.pop(slot.name, None)
            error = told or self._trouble_of(slot)
            if error is None:
                self._fleet.slot_errors.pop(slot.name, None)
            else:
                self._fleet.slot_errors[slot.name] = error

    def _untrusted_prompts(self) -> str | None:
        """Why no agent may be told what the project's own prompts say, which are read anew for each run."""
        if not any(self._project.layout.roles.glob("*.md")):
            return None
        refusal = untrusted(self._project)
        return None if refusal is None else str(refusal)

    def _trouble_of(self, slot: Slot) -> str | None:
        """Why the slot's agent cannot be started: its program, or the prompt of its role."""
        try:
            load_role(slot.spec.role, self._project.layout.roles)
            command_for(slot.spec, Assignment.trial(self._project.layout.root))
        except (AgentUnavailable, BadInput) as error:
            return str(error)
        return None

    async def report(self) -> None:
        """Tell the store what every slot does, or why it does nothing."""
        agents = tuple(self._agent(slot) for slot in slots_of(self._project.agents))
        if [_essence(agent) for agent in agents] != [_essence(agent) for agent in self._reported]:
            await self._backend.report_agents(self._project.orchestrator_id, agents)
            self._reported = agents

    def _agent(self, slot: Slot) -> Agent:
        runs = self._fleet.following.values()
        at_work = next((f for f in runs if f.run.agent_name == slot.name), None)
        reason: str | None
        status, reason = AgentStatus.IDLE, self._fleet.idle_reasons.get(slot.name, self._nothing(slot))
        if at_work is not None:
            waiting = at_work.run.status is RunStatus.WAITING
            status, reason = (AgentStatus.WAITING if waiting else AgentStatus.BUSY), None
        elif f"start {slot.name}" in self._background:
            status, reason = AgentStatus.BUSY, None
        elif slot.name in self._fleet.slot_errors:
            status = AgentStatus.ERROR
        return Agent(
            name=slot.name,
            orchestrator_id=self._project.orchestrator_id,
            role=slot.spec.role,
            adapter=slot.spec.adapter,
            status=status,
            task_id=at_work.run.task_id if at_work else None,
            run_id=at_work.run.id if at_work else None,
            pid=at_work.pid if at_work else None,
            reason=reason,
            updated_at=from_ms(self._clock.now_ms()),
        )


def _essence(agent: Agent) -> tuple[object, ...]:
    """What of an agent's state is worth an event."""
    return agent.name, agent.role, agent.status, agent.task_id, agent.run_id, agent.pid, agent.reason
