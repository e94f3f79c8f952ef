"""Open questions in the order in which answering them helps most. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backend.model import Message, MessageKind, Queue, Task

NO_PRIORITY = "P9"


@dataclass(frozen=True, slots=True)
class Question:
    """An open request, and how many unfinished tasks wait, directly or not, for its task.

    `same` are other open requests that ask the very same: one answer is for all of them.
    """

    message: Message
    task: Task | None
    unlocks: int
    same: tuple[Message, ...] = ()

    @property
    def conversations(self) -> frozenset[str]:
        """Ids of the tasks whose agents ask this."""
        return frozenset(one.conversation_id for one in (self.message, *self.same))


def rank(
    messages: Iterable[Message], tasks: Mapping[str, Task], dependents: Mapping[str, frozenset[str]]
) -> tuple[Question, ...]:
    """By what an answer unlocks, then the task's priority, the deadline, and age."""
    groups: dict[tuple[str, ...], list[Message]] = {}
    for message in messages:
        if message.open:
            groups.setdefault(alike(message), []).append(message)
    return tuple(sorted((_question(group, tasks, dependents) for group in groups.values()), key=_order))


def alike(message: Message) -> tuple[str, ...]:
    """What is the same of requests that one answer is for.

    A permission is for what one task does: the same words from another task are another request.
    """
    own = (message.conversation_id,) if message.kind is MessageKind.PERMISSION else ()
    return (message.kind, message.body, *message.options, "", *own)


def dependents_of(tasks: Iterable[Task]) -> dict[str, frozenset[str]]:
    """For each task that others wait for, the ids of the blocked tasks that name it."""
    found: dict[str, set[str]] = {}
    for task in tasks:
        if task.queue is Queue.BLOCKED:
            for blocker in task.blocked_by:
                found.setdefault(blocker, set()).add(task.id)
    return {blocker: frozenset(ids) for blocker, ids in found.items()}


def unlocked(task_id: str, dependents: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Every blocked task that waits, directly or through others, for this one."""
    found: set[str] = set()
    front = [task_id]
    while front:
        for dependent in dependents.get(front.pop(), ()):
            if dependent not in found and dependent != task_id:
                found.add(dependent)
                front.append(dependent)
    return frozenset(found)


def _question(
    group: list[Message], tasks: Mapping[str, Task], dependents: Mapping[str, frozenset[str]]
) -> Question:
    """One entry for requests that are alike: the first to be asked stands for all."""
    first, *same = sorted(group, key=lambda message: (message.created_at, message.id))
    waiting = frozenset[str]().union(*(unlocked(one.conversation_id, dependents) for one in group))
    return Question(first, tasks.get(first.conversation_id), len(waiting), tuple(same))


def _order(question: Question) -> tuple[int, str, float, float, str]:
    message, task = question.message, question.task
    deadline = message.deadline.timestamp() if message.deadline else float("inf")
    priority = task.priority if task else NO_PRIORITY
    return -question.unlocks, priority, deadline, message.created_at.timestamp(), message.id
