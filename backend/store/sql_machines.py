"""Orchestrators, agents and the intake, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping

from backend.model import Agent, NewMachine, Orchestrator, Pause
from backend.store.rows import agent_of, agent_values, machine_pause_of, ms_of, orchestrator_of, pause_of
from backend.store.sql import Session


class SqlMachines:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def insert(self, machine: NewMachine, now: int) -> None:
        values = {
            "id": machine.id,
            "cluster": machine.cluster,
            "machine_id": machine.machine_id,
            **_seen(machine, now),
        }
        self._execute(self._sql["insert_orchestrator"], values)

    def read(self, orchestrator_id: str) -> Orchestrator | None:
        row = self._execute(self._sql["read_orchestrator"], {"id": orchestrator_id}).fetchone()
        return None if row is None else orchestrator_of(row)

    def orchestrators(self) -> list[Orchestrator]:
        return [orchestrator_of(row) for row in self._execute(self._sql["list_orchestrators"])]

    def save_register(self, machine: NewMachine, now: int) -> None:
        self._execute(self._sql["save_register"], {"id": machine.id, **_seen(machine, now)})

    def save_heartbeat(self, orchestrator_id: str, cycle_at: int | None, now: int) -> bool:
        values = {"id": orchestrator_id, "cycle_at": cycle_at, "now": now}
        return self._execute(self._sql["save_heartbeat"], values).rowcount == 1

    def save_offline(self, orchestrator_id: str, now: int) -> bool:
        return self._execute(self._sql["save_offline"], {"id": orchestrator_id, "now": now}).rowcount == 1

    def silent_orchestrators(self, before: int) -> list[Orchestrator]:
        rows = self._execute(self._sql["list_silent_orchestrators"], {"before": before})
        return [orchestrator_of(row) for row in rows]

    def agents(self, orchestrator_id: str | None = None) -> list[Agent]:
        if orchestrator_id is None:
            rows = self._execute(self._sql["list_agents"])
        else:
            rows = self._execute(self._sql["list_machine_agents"], {"orchestrator_id": orchestrator_id})
        return [agent_of(row) for row in rows]

    def save_agent(self, agent: Agent, now: int) -> None:
        self._execute(self._sql["save_agent"], agent_values(agent) | {"now": now})

    def delete_agent(self, orchestrator_id: str, name: str) -> None:
        self._execute(self._sql["delete_agent"], {"orchestrator_id": orchestrator_id, "name": name})

    def intake(self) -> Pause:
        return pause_of(self._execute(self._sql["read_intake"]).fetchone())

    def save_intake(self, pause: Pause) -> None:
        values = {
            "paused": int(pause.paused),
            "by": pause.by,
            "reason": pause.reason,
            "at": ms_of(pause.at),
            "until": ms_of(pause.until),
        }
        self._execute(self._sql["save_intake"], values)

    def machine_pause(self, orchestrator_id: str) -> Pause:
        row = self._execute(self._sql["read_machine_pause"], {"orchestrator_id": orchestrator_id}).fetchone()
        return Pause(False) if row is None else machine_pause_of(row, orchestrator_id)

    def machine_pauses(self) -> list[Pause]:
        rows = self._execute(self._sql["list_machine_pauses"])
        return [machine_pause_of(row, row["orchestrator_id"]) for row in rows]

    def save_machine_pause(self, orchestrator_id: str, pause: Pause) -> None:
        values = {
            "orchestrator_id": orchestrator_id,
            "by": pause.by,
            "reason": pause.reason,
            "at": ms_of(pause.at),
            "until": ms_of(pause.until),
        }
        self._execute(self._sql["save_machine_pause"], values)

    def delete_machine_pause(self, orchestrator_id: str) -> bool:
        gone = self._execute(self._sql["delete_machine_pause"], {"orchestrator_id": orchestrator_id})
        return gone.rowcount == 1


def _seen(machine: NewMachine, now: int) -> dict[str, object]:
    """What each registration tells anew."""
    return {
        "pid": machine.pid,
        "repo_url": machine.repo_url,
        "instance": machine.instance,
        "now": now,
    }
