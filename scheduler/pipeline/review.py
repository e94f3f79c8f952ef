"""Where a provisional task stands with its reviewing agent, told from its runs and their verdicts alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backend.config.schema import REVIEW_CHECK, Config
from backend.interface import Backend
from backend.model import Actor, Evidence, Outcome, Queue, Run, SenderType, Task
from scheduler.pipeline.plan import METADATA
from scheduler.pipeline.verdict import Verdict

REVIEW = "review"
CHECK = REVIEW_CHECK

TRIES = 3
"""Reviews of one submission that may end without a verdict; then a person decides alone."""

NO_FAULT = frozenset({Outcome.REVIEWED, Outcome.RATE_LIMITED})


class Standing(StrEnum):
    """What the agents' review of a task has come to."""

    NOT_ASKED = "not asked"
    WANTED = "wanted"
    APPROVED = "approved"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Review:
    """A task's standing, and the agent whose approval it is."""

    standing: Standing
    by: Actor | None = None


NOT_ASKED = Review(Standing.NOT_ASKED)


def judge(task: Task, runs: Sequence[Run], evidence: Sequence[Evidence]) -> Review:
    """The standing of a task whose work an agent is to review, from its runs in order and all evidence.

    Only verdicts on the newest commit since it was last submitted count; a review that died is no review.
    """
    since = max((n for n, run in enumerate(runs) if run.outcome is Outcome.SUBMITTED), default=-1)
    reviews = {run.id: run for run in runs[since + 1 :] if run.role == REVIEW and run.outcome is not None}
    for item in evidence:
        of_this = item.commit_sha == task.head_sha and item.run_id in reviews
        if of_this and item.run_id is not None and item.check == CHECK and item.passed:
            return Review(Standing.APPROVED, Actor(SenderType.WORKER, reviews[item.run_id].agent_name))
    lost = [run for run in reviews.values() if run.outcome not in NO_FAULT]
    return Review(Standing.GIVEN_UP if len(lost) >= TRIES else Standing.WANTED)


async def read_review(backend: Backend, config: Config, task: Task) -> Review:
    """The standing of any task; nothing is read for one that no agent is to review."""
    asked = config.review in ("agent", "both") and not task.auto_accept
    if not asked or task.queue is not Queue.PROVISIONAL or task.approved_by is not None:
        return NOT_ASKED
    if METADATA in task.metadata or task.head_sha is None:
        return NOT_ASKED
    runs = await backend.list_runs(task_id=task.id)
    return judge(task, runs, await backend.list_evidence(task.id))


def verdict_evidence(verdict: Verdict, task: Task, run: Run, at: datetime) -> Evidence:
    """A verdict as evidence for the exact commit that was reviewed."""
    assert task.head_sha is not None
    said = verdict.text()
    return Evidence(
        id=f"{run.id}-verdict",
        task_id=task.id,
        run_id=run.id,
        check=CHECK,
        command=f"review by {run.agent_name}",
        commit_sha=task.head_sha,
        base_sha=run.base_sha or task.base_sha,
        exit_code=0 if verdict.accepts else 1,
        output_tail=said,
        output_digest=hashlib.sha256(said.encode()).hexdigest(),
        duration_ms=max(0, round((at - run.started_at).total_seconds() * 1000)),
        at=at,
    )
