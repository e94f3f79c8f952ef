"""Orchestrators, agents and the intake in SQLite."""

from __future__ import annotations

from collections.abc import Mapping

from backend.model import Agent, Orchestrator, Pause
from backend.store.rows import agent_of, agent_values, ms_of, orchestrator_of, pause_of
from backend.store.sql import Session


class SqliteMachines:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def insert(self, orchestrator_id: str, cluster: str, machine_id: str, pid: int | None, now: int) -> None:
        values = {"id": orchestrator_id, "cluster": cluster, "machine_id": machine_id, "pid": pid, "now": now}
        self._execute(self._sql["insert_orchestrator"], values)

    def read(self, orchestrator_id: str) -> Orchestrator | None:
        row = self._execute(self._sql["read_orchestrator"], {"id": orchestrator_id}).fetchone()
        return None if row is None else orchestrator_of(row)

    def orchestrators(self) -> list[Orchestrator]:
        return [orchestrator_of(row) for row in self._execute(self._sql["list_orchestrators"])]

    def save_register(self, orchestrator_id: str, pid: int | None, now: int) -> None:
        self._execute(self._sql["save_register"], {"id": orchestrator_id, "pid": pid, "now": now})

    def save_heartbeat(self, orchestrator_id: str, cycle_at: int | None, now: int) -> bool:
        values = {"id": orchestrator_id, "cycle_at": cycle_at, "now": now}
        return self._execute(self._sql["save_heartbeat"], values).rowcount == 1

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
