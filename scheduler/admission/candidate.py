"""A task that could be started, and in which role."""

from __future__ import annotations

from dataclasses import dataclass

from backend.model import Queue, Task
from scheduler.budget import NOTHING, Spent
from scheduler.pipeline.review import REVIEW, Standing

RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task and the role in which it would be worked on."""

    task: Task
    role: str
    spent: Spent = NOTHING
    """What all runs of the task have used."""

    @property
    def in_place(self) -> bool:
        """Whether it would be leased as it is, finished."""
        return self.task.queue is Queue.PROVISIONAL

    @property
    def finishes_work(self) -> bool:
        """Whether this brings begun work nearer to its end, instead of beginning new work."""
        return self.task.head_sha is not None or self.task.resume_run_id is not None


def role_wanted(task: Task, standing: Standing = Standing.NOT_ASKED) -> str | None:
    """The role in which a task waits to be worked on now; None when it does not wait for an agent."""
    if task.queue is Queue.INCOMING:
        return task.role
    if needs_resolving(task):
        return RESOLVE
    if standing is Standing.WANTED and task.claimed_by is None:
        return REVIEW
    return None


def needs_resolving(task: Task) -> bool:
    """Approved work that did not merge, and that nobody is at work on."""
    return (
        task.queue is Queue.PROVISIONAL
        and task.approved_by is not None
        and task.reason is not None
        and task.claimed_by is None
    )
