"""Why a task is where it is, as far as the store knows; what a scheduler's gates say comes on top of it.

Pure: what is known goes in, reasons come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.clean import clean_line
from backend.model import Agent, Message, Orchestrator, Pause, Queue, Task

QUESTION_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that bears on whether a task goes on."""

    kind: str
    """state, blocker, lease, question, attempts, paused or machine"""
    holds: bool
    """Whether it keeps the task from going on now."""
    text: str
    when: datetime | None = None
    """When that may change by itself."""


@dataclass(frozen=True, slots=True)
class BlockedBy:
    """An unfinished task that another waits for."""

    task_id: str
    queue: Queue
    reason: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of one task and of who could work on it, at one moment."""

    task: Task
    now: datetime
    attempts: int
    """How many attempts a task has, at most."""
    blockers: Sequence[BlockedBy]
    questions: Sequence[Message]
    pause: Pause
    machines: Sequence[Orchestrator]
    agents: Sequence[Agent]


def reasons(known: Known) -> list[Reason]:
    """Every reason the store knows, the task's own state first."""
    found = [_state(known.task), *_blockers(known), *_lease(known), *_questions(known), _attempts(known)]
    if known.task.queue is Queue.INCOMING:
        found += [*_pause(known.pause), *_machines(known)]
    return found


def at_rest(task: Task) -> str:
    """One sentence about a task that waits for no agent."""
    reason = task.reason or "no reason was recorded"
    match task.queue:
        case Queue.BACKLOG:
            return "it is in the backlog: enqueue it to have it worked on"
        case Queue.BLOCKED:
            return f"it waits for {', '.join(task.blocked_by)}" + (f" ({task.reason})" if task.reason else "")
        case Queue.CLAIMED:
            return f"{task.claimed_by} is at work on it"
        case Queue.PROVISIONAL if task.claimed_by is not None:
            return f"{task.claimed_by} is at work on it, in place"
        case Queue.PROVISIONAL if task.approved_by is not None:
            return f"{task.approved_by} approved it; it is being merged into {task.base_branch}"
        case Queue.PROVISIONAL:
            return "it is finished and waits for you to accept or reject it"
        case Queue.DONE:
            return f"it is done, merged as {task.merged_sha[:12]}" if task.merged_sha else "it is done"
        case Queue.FAILED:
            return f"it failed: {reason}. Retry or cancel it"
        case Queue.ESCALATED:
            return f"it needs you: {reason}. Retry, cancel or force it"
        case Queue.CANCELLED:
            return "it was cancelled" + (f": {task.reason}" if task.reason else "")
        case Queue.INCOMING:
            raise AssertionError("an incoming task waits for an agent")


def _state(task: Task) -> Reason:
    if task.queue is Queue.INCOMING:
        return Reason("state", False, f"it waits for an agent of role {task.role}")
    return Reason("state", task.queue is not Queue.CLAIMED, at_rest(task))


def _blockers(known: Known) -> Iterator[Reason]:
    for blocker in known.blockers:
        because = f" ({blocker.reason})" if blocker.reason else ""
        yield Reason("blocker", True, f"{blocker.task_id} is {blocker.queue}{because}")


def _lease(known: Known) -> Iterator[Reason]:
    task = known.task
    if task.run_id is None or task.lease_expires_at is None:
        return
    holder = f"{task.claimed_by} on {task.orchestrator_id} holds it with run {task.run_id}"
    if task.lease_expires_at <= known.now:
        yield Reason("lease", False, f"{holder}; the lease has run out", task.lease_expires_at)
        return
    seconds = int((task.lease_expires_at - known.now).total_seconds())
    yield Reason("lease", False, f"{holder}; the lease has {seconds} s left", task.lease_expires_at)


def _questions(known: Known) -> Iterator[Reason]:
    for message in known.questions:
        asked = clean_line(message.body, QUESTION_LIMIT)
        yield Reason("question", True, f"nobody has answered {message.id}: {asked}", message.deadline)


def _attempts(known: Known) -> Reason:
    task = known.task
    used_up = task.attempts_counted >= known.attempts
    holds = used_up and task.queue is Queue.INCOMING
    return Reason("attempts", holds, f"{task.attempts_counted} of {known.attempts} attempts are used")


def _pause(pause: Pause) -> Iterator[Reason]:
    if pause.paused:
        because = f": {pause.reason}" if pause.reason else ""
        yield Reason("paused", True, f"intake is paused by {pause.by}{because}", pause.until)


def _machines(known: Known) -> Iterator[Reason]:
    """The machines that have an agent of the task's role, and when each was last seen."""
    able: dict[str, list[Agent]] = {}
    for agent in known.agents:
        if agent.role == known.task.role:
            able.setdefault(agent.orchestrator_id, []).append(agent)
    for machine in known.machines:
        if machine.id in able:
            slots = ", ".join(f"{agent.name} {agent.status}" for agent in able[machine.id])
            silent = int((known.now - machine.last_heartbeat_at).total_seconds())
            text = f"{machine.id} is {machine.status}, last seen {silent} s ago: {slots}"
            yield Reason("machine", machine.status != "active", text)
    if not able:
        yield Reason("machine", True, f"no machine has reported an agent of role {known.task.role}")
