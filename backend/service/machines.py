"""Machines, their agents, and whether intake is paused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from backend.clock import from_ms, to_ms
from backend.errors import BadInput, Duplicate
from backend.ids import check_id
from backend.model import SYSTEM, Actor, Agent, Orchestrator, Pause
from backend.service.context import Context

OFFLINE_AFTER = timedelta(seconds=120)
"""How long a machine may be silent before it counts as offline."""


class Machines:
    """Who runs agents. A heartbeat is a sign of life, not history: it writes no event."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def register(self, cluster: str, machine_id: str, pid: int | None) -> Orchestrator:
        """Make a machine known, or known again; its id is `cluster-machine_id`.

        Raises:
            BadInput: a name is unusable.
            Duplicate: another cluster and machine make the same id.
        """
        orchestrator_id = check_id(f"{cluster}-{machine_id}", "orchestrator id")
        check_id(cluster, "cluster")
        store = self._context.store.machines
        now = self._context.now()
        known = store.read(orchestrator_id)
        if known is None:
            store.insert(orchestrator_id, cluster, machine_id, pid, now)
        elif (known.cluster, known.machine_id) == (cluster, machine_id):
            store.save_register(orchestrator_id, pid, now)
        else:
            raise Duplicate(
                f"{orchestrator_id} is machine {known.machine_id} of cluster {known.cluster} already",
                "choose another machine id",
            )
        data = {"cluster": cluster, "machine_id": machine_id, "pid": pid}
        self._context.note(now, SYSTEM, "orchestrator", orchestrator_id, "register", data=data)
        return self._get(orchestrator_id, now)

    def heartbeat(self, orchestrator_id: str, cycle_at: datetime | None) -> Orchestrator:
        """
        Raises:
            UnknownOrchestrator.
        """
        now = self._context.now()
        cycle = None if cycle_at is None else to_ms(cycle_at)
        self._context.store.machines.save_heartbeat(orchestrator_id, cycle, now)
        return self._get(orchestrator_id, now)

    def orchestrators(self) -> list[Orchestrator]:
        now = from_ms(self._context.now())
        return [_judged(found, now) for found in self._context.store.machines.orchestrators()]

    def report_agents(self, orchestrator_id: str, agents: Sequence[Agent]) -> None:
        """Replace what is known of a machine's agents; only what differs becomes an event.

        Raises:
            UnknownOrchestrator.
            BadInput: an agent is of another machine, or named twice.
        """
        self._context.require_orchestrator(orchestrator_id)
        store = self._context.store.machines
        reported = {agent.name: agent for agent in agents}
        strangers = [agent.name for agent in agents if agent.orchestrator_id != orchestrator_id]
        if strangers or len(reported) != len(agents):
            raise BadInput(f"the agents of {orchestrator_id} are not reported as its own, once each")
        known = {agent.name: agent for agent in store.agents(orchestrator_id)}
        now = self._context.now()
        for name in known.keys() - reported.keys():
            store.delete_agent(orchestrator_id, name)
            states = (known[name].status, None)
            data = {"orchestrator_id": orchestrator_id}
            self._context.note(now, SYSTEM, "agent", name, "remove", states=states, data=data)
        for agent in agents:
            store.save_agent(agent, now)
            self._note_agent(known.get(agent.name), agent, now)

    def agents(self) -> list[Agent]:
        return self._context.store.machines.agents()

    def pause(self, actor: Actor, reason: str | None, until: datetime | None) -> Pause:
        """Stop intake; running work goes on. With `until` it ends by itself."""
        now = self._context.now()
        if until is not None and to_ms(until) <= now:
            raise BadInput(f"{until.isoformat()} is over already", "give a time to come, or none")
        pause = Pause(True, str(actor), reason, from_ms(now), until)
        self._context.store.machines.save_intake(pause)
        data = {} if until is None else {"until": to_ms(until)}
        self._context.note(now, actor, "scheduler", "intake", "pause", reason=reason, data=data)
        return pause

    def resume(self, actor: Actor) -> Pause:
        """Take up intake again; when it is not paused, nothing happens."""
        if not self._context.store.machines.intake().paused:
            return self.get_pause()
        self._context.store.machines.save_intake(Pause(False))
        self._context.note(self._context.now(), actor, "scheduler", "intake", "resume")
        return Pause(False)

    def get_pause(self) -> Pause:
        """Whether intake is paused now: a pause whose time is over is none."""
        pause = self._context.store.machines.intake()
        over = pause.until is not None and to_ms(pause.until) <= self._context.now()
        return Pause(False) if over else pause

    def _get(self, orchestrator_id: str, now: int) -> Orchestrator:
        return _judged(self._context.require_orchestrator(orchestrator_id), from_ms(now))

    def _note_agent(self, was: Agent | None, agent: Agent, now: int) -> None:
        if was is not None and replace(agent, updated_at=was.updated_at) == was:
            return
        states = (None if was is None else was.status, agent.status)
        data = {
            "orchestrator_id": agent.orchestrator_id,
            "role": agent.role,
            "task_id": agent.task_id,
            "run_id": agent.run_id,
        }
        self._context.note(
            now, SYSTEM, "agent", agent.name, "report", states=states, reason=agent.reason, data=data
        )


def _judged(orchestrator: Orchestrator, now: datetime) -> Orchestrator:
    silent = now - orchestrator.last_heartbeat_at > OFFLINE_AFTER
    return replace(orchestrator, status="offline" if silent else "active")
