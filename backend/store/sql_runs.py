"""Runs and evidence, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping

from backend.clock import from_ms
from backend.model import Evidence, Run, RunEnd, RunStatus, Task, Usage, UsageBy
from backend.store.rows import evidence_of, evidence_values, run_of, run_values, usage_of
from backend.store.sql import Session


class SqlRuns:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def insert(self, run_id: str, task: Task, role: str, adapter: str, model: str | None, now: int) -> Run:
        if task.claimed_by is None or task.orchestrator_id is None:
            raise ValueError(f"task {task.id} is held by nobody: a run needs a claim")
        values = {
            "id": run_id,
            "task_id": task.id,
            "attempt": task.attempt_count,
            "fence": task.fence,
            "role": role,
            "agent_name": task.claimed_by,
            "orchestrator_id": task.orchestrator_id,
            "adapter": adapter,
            "model": model,
            "now": now,
        }
        self._execute(self._sql["insert_run"], values)
        at = from_ms(now)
        return Run(
            id=run_id,
            task_id=task.id,
            attempt=task.attempt_count,
            fence=task.fence,
            role=role,
            agent_name=task.claimed_by,
            orchestrator_id=task.orchestrator_id,
            adapter=adapter,
            model=model,
            session_id=None,
            status=RunStatus.STARTING,
            outcome=None,
            reason=None,
            base_sha=None,
            head_sha=None,
            branch=None,
            exit_code=None,
            turns=None,
            tokens_input=0,
            tokens_output=0,
            tokens_cache_read=0,
            tokens_cache_write=0,
            cost_usd=None,
            commits_count=None,
            summary=None,
            started_at=at,
            last_activity_at=at,
            ended_at=None,
        )

    def read(self, run_id: str) -> Run | None:
        row = self._execute(self._sql["read_run"], {"id": run_id}).fetchone()
        return None if row is None else run_of(row)

    def read_to_change(self, run_id: str) -> Run | None:
        return self.read(run_id)

    def find_holder(self, task_id: str, fence: int) -> str | None:
        row = self._execute(self._sql["find_holder"], {"task_id": task_id, "fence": fence}).fetchone()
        return None if row is None else str(row[0])

    def find(self, task_id: str | None, live: bool) -> list[Run]:
        name = f"list{'_live' * live}{'_task' * (task_id is not None)}_runs"
        values = {} if task_id is None else {"task_id": task_id}
        return [run_of(row) for row in self._execute(self._sql[name], values)]

    def save(self, run: Run) -> None:
        self._execute(self._sql["save_run"], run_values(run))

    def end(self, run_id: str, end: RunEnd, now: int) -> bool:
        values = {
            "id": run_id,
            "outcome": end.outcome,
            "reason": end.reason,
            "head_sha": end.head_sha,
            "exit_code": end.exit_code,
            "commits_count": end.commits_count,
            "summary": end.summary,
            "now": now,
        }
        return self._execute(self._sql["end_run"], values).rowcount == 1

    def sum_cost(self, since: int) -> float:
        return float(self._execute(self._sql["sum_cost"], {"since": since}).fetchone()[0])

    def abandoned(self, adapter: str) -> list[tuple[str, str]]:
        rows = self._execute(self._sql["list_abandoned"], {"adapter": adapter}).fetchall()
        return [(str(row[0]), str(row[1])) for row in rows]

    def sum_usage(self, by: UsageBy, since: int) -> list[Usage]:
        return [usage_of(row) for row in self._execute(self._sql[f"sum_{by}_usage"], {"since": since})]

    def insert_evidence(self, evidence: Evidence) -> None:
        self._execute(self._sql["insert_evidence"], evidence_values(evidence))

    def read_evidence(self, evidence_id: str) -> Evidence | None:
        row = self._execute(self._sql["read_evidence"], {"id": evidence_id}).fetchone()
        return None if row is None else evidence_of(row)

    def list_evidence(self, task_id: str) -> list[Evidence]:
        return [evidence_of(row) for row in self._execute(self._sql["list_evidence"], {"task_id": task_id})]
