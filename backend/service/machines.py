"""Machines, their agents, and whether intake is paused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from backend.clock import from_ms, to_ms
from backend.errors import BadInput, Duplicate
from backend.ids import check_id
from backend.model import SYSTEM, Actor, Agent, NewMachine, Orchestrator, Pause
from backend.service.context import Context

OFFLINE_AFTER = timedelta(seconds=120)
"""How long a machine may be silent before it counts as offline."""

ACTIVE, OFFLINE = "active", "offline"
INTAKE = "intake"


class Machines:
    """Who runs agents. A heartbeat is a sign of life, not history: it writes no event."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def register(self, machine: NewMachine) -> Orchestrator:
        """Make a machine known, or known again.

        Raises:
            BadInput: a name is unusable.
            Duplicate: another cluster and machine make the same id, or another installation of this name is
                at work.
        """
        check_id(machine.id, "orchestrator id")
        check_id(machine.cluster, "cluster")
        store = self._context.store.machines
        now = self._context.now()
        known = store.read(machine.id)
        if known is None:
            store.insert(machine, now)
        else:
            _require_same(_judged(known, from_ms(now)), machine)
            store.save_register(machine, now)
        data = {"cluster": machine.cluster, "machine_id": machine.machine_id, "pid": machine.pid}
        self._context.note(now, SYSTEM, "orchestrator", machine.id, "register", data=data)
        return self._get(machine.id, now)

    def heartbeat(self, orchestrator_id: str, cycle_at: datetime | None) -> Orchestrator:
        """
        Raises:
            UnknownOrchestrator.
        """
        now = self._context.now()
        # Not after now, whatever the clock there says: others read it too.
        cycle = None if cycle_at is None else min(to_ms(cycle_at), now)
        was = self._context.require_orchestrator(orchestrator_id)
        self._context.store.machines.save_heartbeat(orchestrator_id, cycle, now)
        if was.status == OFFLINE:
            self._note_status(now, orchestrator_id, (OFFLINE, ACTIVE), "it is heard of again")
        return self._get(orchestrator_id, now)

    def leave(self, orchestrator_id: str) -> Orchestrator:
        """Note that a machine's scheduler has ended.

        Raises:
            UnknownOrchestrator.
        """
        now = self._context.now()
        self._context.require_orchestrator(orchestrator_id)
        self._note_offline(now, orchestrator_id, "its scheduler has ended")
        return self._get(orchestrator_id, now)

    def note_silent(self) -> None:
        """Note every machine that has been silent too long, once."""
        now = self._context.now()
        before = now - int(OFFLINE_AFTER.total_seconds() * 1000)
        seconds = int(OFFLINE_AFTER.total_seconds())
        for silent in self._context.store.machines.silent_orchestrators(before):
            self._note_offline(now, silent.id, f"it has not been heard of for {seconds} s")

    def _note_offline(self, now: int, orchestrator_id: str, reason: str) -> None:
        if self._context.store.machines.save_offline(orchestrator_id, now):
            self._note_status(now, orchestrator_id, (ACTIVE, OFFLINE), reason)

    def _note_status(self, now: int, orchestrator_id: str, states: tuple[str, str], reason: str) -> None:
        kind = "offline" if states[1] == OFFLINE else "online"
        self._context.note(now, SYSTEM, "orchestrator", orchestrator_id, kind, states=states, reason=reason)

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
            raise BadInput(
                f"the agents of {orchestrator_id} are not reported as its own, once each",
                f"give each a name of its own, and orchestrator_id {orchestrator_id}",
            )
        blank = [agent.name for agent in agents if not (agent.name.strip() and agent.role.strip())]
        if blank or any(not agent.adapter.strip() for agent in agents):
            raise BadInput(
                f"an agent of {orchestrator_id} has no name, role or adapter", "give each of them all three"
            )
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

    def pause(self, actor: Actor, reason: str | None, until: datetime | None, machine: str | None) -> Pause:
        """Stop intake, everywhere or on one machine; running work goes on. With `until` it ends by itself.

        Raises:
            BadInput: `until` is over.
            UnknownOrchestrator.
        """
        now = self._context.now()
        if until is not None and to_ms(until) <= now:
            raise BadInput(f"{until.isoformat()} is over already", "give a time to come, or none")
        pause = Pause(True, str(actor), reason, from_ms(now), until, machine)
        if machine is None:
            self._context.store.machines.save_intake(pause)
        else:
            self._context.require_orchestrator(machine)
            self._context.store.machines.save_machine_pause(machine, pause)
        data = {} if until is None else {"until": to_ms(until)}
        self._context.note(now, actor, "scheduler", machine or INTAKE, "pause", reason=reason, data=data)
        return pause

    def resume(self, actor: Actor, machine: str | None) -> Pause:
        """Take up intake again, everywhere or on one machine; when it is not paused, nothing happens."""
        store = self._context.store.machines
        if machine is not None:
            was_paused = store.delete_machine_pause(machine)
        else:
            was_paused = store.intake().paused
            if was_paused:
                store.save_intake(Pause(False))
        if was_paused:
            self._context.note(self._context.now(), actor, "scheduler", machine or INTAKE, "resume")
        return self.get_pause(machine)

    def get_pause(self, machine: str | None) -> Pause:
        """Whether intake is paused now, everywhere or else on one machine."""
        everywhere = self._unless_over(self._context.store.machines.intake())
        if everywhere.paused or machine is None:
            return everywhere
        return self._unless_over(self._context.store.machines.machine_pause(machine))

    def _unless_over(self, pause: Pause) -> Pause:
        """A pause whose time is over is none."""
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
    """With its state as of now: a machine that has gone is not shown as active until the job looks."""
    silent = now - orchestrator.last_heartbeat_at > OFFLINE_AFTER
    return replace(orchestrator, status=OFFLINE) if silent else orchestrator


def _require_same(known: Orchestrator, machine: NewMachine) -> None:
    if (known.cluster, known.machine_id) != (machine.cluster, machine.machine_id):
        raise Duplicate(
            f"{known.id} is machine {known.machine_id} of cluster {known.cluster} already",
            "choose another machine id",
        )
    both_say = known.instance is not None and machine.instance is not None
    if both_say and known.instance != machine.instance and known.status == ACTIVE:
        raise Duplicate(
            f"another installation is at work as machine {known.machine_id} of cluster {known.cluster}",
            "give this one another name: server.machine_id in .octopoid/config.yaml; if the other has gone "
            f"for good, try again in {int(OFFLINE_AFTER.total_seconds())} s",
        )
