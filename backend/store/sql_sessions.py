"""Sessions, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from backend.clock import from_ms
from backend.sessions import NewSession, Session, SessionStatus
from backend.store.rows import Row, when
from backend.store.sql import Session as Connection

QUIET = timedelta(seconds=120)
"""How long an open session may be silent before it counts as idle."""


class SqlSessions:
    """Thin methods, one statement each."""

    def __init__(self, connection: Connection, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def insert(self, new: NewSession, now: int) -> None:
        values = {
            "id": new.id,
            "session_id": new.session_id,
            "orchestrator_id": new.orchestrator_id,
            "agent_name": new.agent_name,
            "task_id": new.task_id,
            "run_id": new.run_id,
            "now": now,
        }
        self._execute(self._sql["insert_session"], values)

    def read(self, session_id: str, now: int) -> Session | None:
        row = self._execute(self._sql["read_session"], {"id": session_id}).fetchone()
        return None if row is None else session_of(row, from_ms(now))

    def find(self, task_id: str | None, live: bool, now: int) -> list[Session]:
        name = f"list{'_live' * live}{'_task' * (task_id is not None)}_sessions"
        values = {} if task_id is None else {"task_id": task_id}
        at = from_ms(now)
        return [session_of(row, at) for row in self._execute(self._sql[name], values)]

    def last_of_run(self, run_id: str) -> str | None:
        row = self._execute(self._sql["last_session_of_run"], {"run_id": run_id}).fetchone()
        return None if row is None else str(row[0])

    def over(self, active_before: int, opened_before: int, now: int) -> list[Session]:
        values = {"active_before": active_before, "opened_before": opened_before}
        at = from_ms(now)
        return [session_of(row, at) for row in self._execute(self._sql["list_over"], values).fetchall()]

    def touch(self, session_id: str, now: int) -> bool:
        return self._execute(self._sql["touch_session"], {"id": session_id, "now": now}).rowcount == 1

    def touch_run(self, run_id: str, now: int) -> None:
        self._execute(self._sql["touch_run_sessions"], {"run_id": run_id, "now": now})

    def bind(self, session_id: str, new: NewSession, now: int) -> None:
        values = {
            "id": session_id,
            "agent_name": new.agent_name,
            "task_id": new.task_id,
            "run_id": new.run_id,
            "now": now,
        }
        self._execute(self._sql["bind_session"], values)

    def end(self, session_id: str, reason: str, seen: int, now: int) -> bool:
        values = {"id": session_id, "reason": reason, "seen": seen, "now": now}
        return self._execute(self._sql["end_session"], values).rowcount == 1

    def reopen(self, session_id: str, now: int) -> bool:
        return self._execute(self._sql["reopen_session"], {"id": session_id, "now": now}).rowcount == 1


def session_of(row: Row, now: datetime) -> Session:
    """A session as of now."""
    last, ended, waiting = from_ms(row["last_activity_at"]), when(row["terminated_at"]), bool(row["waiting"])
    return Session(
        id=row["id"],
        session_id=row["session_id"],
        orchestrator_id=row["orchestrator_id"],
        agent_name=row["agent_name"],
        task_id=row["task_id"],
        run_id=row["run_id"],
        status=_status(ended is not None, not waiting and now - last > QUIET),
        waiting=waiting,
        created_at=from_ms(row["created_at"]),
        opened_at=from_ms(row["opened_at"]),
        last_activity_at=last,
        terminated_at=ended,
        reason=row["reason"],
    )


def _status(ended: bool, quiet: bool) -> SessionStatus:
    if ended:
        return SessionStatus.TERMINATED
    return SessionStatus.IDLE if quiet else SessionStatus.ACTIVE
