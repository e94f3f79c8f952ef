"""Tasks as rows of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from backend.model import AgentStatus, Queue, Task
from octopoid_tui.formats import age
from octopoid_tui.panes import glyphs
from octopoid_tui.snapshot import Snapshot
from octopoid_tui.widgets.grid_model import Column, Row, Tone
from octopoid_tui.widgets.lazy_rows import LazyRows

AT_WORK = frozenset({AgentStatus.BUSY, AgentStatus.WAITING})
COLUMNS: tuple[Column, ...] = (
    Column("state", "State", 13),
    Column("priority", "P", 2),
    Column("title", "Title", 24, flex=3),
    Column("age", "Age", 6, priority=1, right=True),
    Column("agent", "Agent", 9, priority=3),
    Column("reason", "Why", 18, flex=2, priority=4),
    Column("id", "Id", 14, priority=2),
)


def task_rows(
    tasks: Sequence[Task], snapshot: Snapshot, busy: Mapping[str, str], now: datetime
) -> LazyRows[Task]:
    """Tasks as rows, in the order given."""

    def row(task: Task) -> Row:
        asks = bool(snapshot.questions_of(task.id))
        state, tone = glyphs.task(task, busy.get(task.id), asks=asks)
        return Row(
            task.id,
            (
                state,
                task.priority.value,
                task.title,
                age((now - since(task)).total_seconds()),
                snapshot.holder(task),
                reason(task, snapshot),
                task.id,
            ),
            cell_tones=(
                tone,
                glyphs.PRIORITY[task.priority],
                "dim" if task.queue in (Queue.DONE, Queue.CANCELLED) else "",
                "dim",
                "",
                _reason_tone(task),
                "dim",
            ),
        )

    return LazyRows(tasks, row)


def since(task: Task) -> datetime:
    """Since when the task has been in its state, as far as the state has a time of its own."""
    if task.queue is Queue.CLAIMED:
        return task.claimed_at or task.updated_at
    if task.queue is Queue.PROVISIONAL:
        return task.submitted_at or task.updated_at
    if task.queue in (Queue.DONE, Queue.FAILED, Queue.CANCELLED):
        return task.completed_at or task.updated_at
    if task.queue is Queue.ESCALATED:
        return task.updated_at
    return task.created_at


def reason(task: Task, snapshot: Snapshot) -> str:
    """Why the task is where it is, or what it waits for; a question it asks comes before everything."""
    asked = len(snapshot.questions_of(task.id))
    if asked:
        return "asks you a question" if asked == 1 else f"asks you {asked} questions"
    if task.queue is Queue.BLOCKED:
        return task.reason or f"waits for {', '.join(task.blocked_by)}"
    if task.queue is Queue.PROVISIONAL:
        if task.approved_by:
            return f"accepted by {task.approved_by.removeprefix('human:')}"
        return task.reason or "waits for your review"
    if task.reason:
        return f"rejected: {task.reason}" if _was_rejected(task) else task.reason
    if _was_rejected(task):
        return "first in line after a rejection"
    return _waits_for(task, snapshot) if task.queue is Queue.INCOMING else ""


def _waits_for(task: Task, snapshot: Snapshot) -> str:
    """What can be told without asking the gates: `w` asks them."""
    if snapshot.pause.paused:
        return "the scheduler is paused"
    fitting = [agent for agent in snapshot.agents if agent.role == task.role]
    if not fitting:
        return f"no agent works in role {task.role}"
    if all(agent.status in AT_WORK for agent in fitting):
        return "waits for a free agent"
    broken = next((agent for agent in fitting if agent.status is AgentStatus.ERROR), None)
    if broken is not None and not any(agent.status is AgentStatus.IDLE for agent in fitting):
        return f"{broken.name}: {broken.reason}" if broken.reason else f"{broken.name} cannot start"
    return ""


def _was_rejected(task: Task) -> bool:
    return task.queue is Queue.INCOMING and task.rejection_count > 0


def _reason_tone(task: Task) -> Tone:
    return "error" if task.queue in (Queue.FAILED, Queue.ESCALATED) else "dim"
