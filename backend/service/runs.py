"""Runs, what they cost, and the evidence of checks."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime

from backend.clock import to_ms
from backend.errors import Duplicate, NotFound, Refused
from backend.ids import check_id
from backend.model import (
    SYSTEM,
    Actor,
    Evidence,
    Outcome,
    Run,
    RunEnd,
    RunPatch,
    RunStatus,
    Usage,
    UsageBy,
)
from backend.service.context import NO_RUN, Context
from backend.service.sessions import Sessions

EXTERNAL = "external"
"""The adapter of a worker that is nobody's child here: nothing but its lease says that it is alive."""


class Runs:
    """One attempt each; nothing changes once it has ended."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sessions = Sessions(context)

    def get(self, run_id: str) -> Run:
        """
        Raises:
            NotFound: there is no such run.
        """
        return _found(run_id, self._context.store.runs.read(run_id))

    def find(self, task_id: str | None, live: bool) -> list[Run]:
        return self._context.store.runs.find(task_id, live)

    def update(self, run_id: str, patch: RunPatch) -> Run:
        """Store what is learned while a run goes on. A sign of life alone writes no event.

        Raises:
            NotFound.
            Refused: the run has ended.
        """
        run = _found(run_id, self._context.store.runs.read_to_change(run_id))
        wanted = {field.name: getattr(patch, field.name) for field in fields(patch)}
        changed = {
            name: value for name, value in wanted.items() if value is not None and value != getattr(run, name)
        }
        if run.status is RunStatus.ENDED or patch.status is RunStatus.ENDED:
            reason = "a run that has ended does not change, and ends only with its facts"
            raise Refused(f"run {run_id} can not be updated", reason, (reason,))
        if not changed:
            return run
        after = replace(run, **changed)
        self._context.store.runs.save(after)
        if "session_id" in changed:
            self._sessions.learn(after)
        elif after.session_id is not None:
            self._sessions.touch_run(run_id)
        told = {name: changed[name] for name in changed if name != "last_activity_at"}
        if told:
            data = told | {"task_id": run.task_id}
            states = (run.status, after.status)
            self._context.note(self._context.now(), SYSTEM, "run", run_id, "update", states=states, data=data)
        return after

    def end(self, run_id: str, end: RunEnd) -> Run:
        """End a run with its facts; one that has ended is returned as it is.

        Raises:
            NotFound.
        """
        run = self.get(run_id)
        return self.get(run_id) if self.finish(run_id, run.task_id, end, SYSTEM) else run

    def finish(self, run_id: str, task_id: str, end: RunEnd, actor: Actor) -> bool:
        """End a run of a task, together with a change of the task; False when it had ended before."""
        now = self._context.now()
        if not self._context.store.runs.end(run_id, end, now):
            return False
        data = {"task_id": task_id, "outcome": end.outcome}
        states = (None, RunStatus.ENDED)
        self._context.note(now, actor, "run", run_id, "end", states=states, reason=end.reason, data=data)
        return True

    def end_abandoned(self) -> None:
        """End the runs of workers that are no machine of ours once their lease has gone to somebody else."""
        lost = RunEnd(Outcome.LOST, "its worker has lost the lease")
        for run_id, task_id in self._context.store.runs.abandoned(EXTERNAL):
            self.finish(run_id, task_id, lost, SYSTEM)

    def cost_since(self, since: datetime) -> float:
        return self._context.store.runs.sum_cost(to_ms(since))

    def usage(self, by: UsageBy, since: datetime) -> list[Usage]:
        return self._context.store.runs.sum_usage(by, to_ms(since))

    def add_evidence(self, evidence: Evidence) -> None:
        """Store a check's result; the same again is no error.

        Raises:
            NotFound: its task or run does not exist.
            Duplicate: the id is taken by another result.
        """
        check_id(evidence.id, "evidence id")
        self._context.read_task(evidence.task_id)
        if evidence.run_id is not None:
            self.get(evidence.run_id)
        store = self._context.store.runs
        known = store.read_evidence(evidence.id)
        if known == evidence:
            return
        if known is not None:
            raise Duplicate(f"evidence {evidence.id} exists already", "give each check an id of its own")
        store.insert_evidence(evidence)
        data = {
            "task_id": evidence.task_id,
            "check": evidence.check,
            "exit_code": evidence.exit_code,
            "commit_sha": evidence.commit_sha,
        }
        self._context.note(self._context.now(), SYSTEM, "evidence", evidence.id, "add", data=data)

    def list_evidence(self, task_id: str) -> list[Evidence]:
        return self._context.store.runs.list_evidence(task_id)


def _found(run_id: str, run: Run | None) -> Run:
    if run is None:
        raise NotFound(f"there is no run {run_id!r}", NO_RUN)
    return run
