"""Whether a task's events are a history that the lifecycle allows, and lead to where the task is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from backend.interface import Action
from backend.lifecycle import TABLE
from backend.model import Event, Queue, SenderType, Task

EDIT = "edit"
READY = frozenset({Queue.INCOMING, Queue.BLOCKED})
PROVISIONAL, ESCALATED = Queue.PROVISIONAL, Queue.ESCALATED
REACHES: Mapping[Action, frozenset[Queue]] = {
    Action.CREATE: READY | {Queue.BACKLOG},
    Action.ENQUEUE: READY,
    Action.HOLD: frozenset({Queue.BACKLOG}),
    Action.CLAIM: frozenset({Queue.CLAIMED}),
    Action.CLAIM_IN_PLACE: frozenset({PROVISIONAL}),
    Action.RENEW: frozenset({Queue.CLAIMED, PROVISIONAL}),
    Action.SUBMIT: frozenset({PROVISIONAL}),
    Action.CONTINUE: READY | {ESCALATED},
    Action.FINISH_IN_PLACE: frozenset({PROVISIONAL}),
    Action.RELEASE: READY | {Queue.FAILED, PROVISIONAL},
    Action.EXPIRE: READY | {PROVISIONAL},
    Action.APPROVE: frozenset({PROVISIONAL}),
    Action.CONFLICT: frozenset({PROVISIONAL, ESCALATED}),
    Action.ACCEPT: frozenset({Queue.DONE}),
    Action.SPLIT: frozenset({Queue.DONE}),
    Action.REJECT: READY | {ESCALATED},
    Action.FAIL: frozenset({Queue.FAILED}),
    Action.BLOCK: frozenset({Queue.BLOCKED}),
    Action.UNBLOCK: frozenset({Queue.INCOMING}),
    Action.ESCALATE: frozenset({ESCALATED}),
    Action.RETRY: READY,
    Action.CANCEL: frozenset({Queue.CANCELLED}),
    Action.FORCE: frozenset(Queue) - {Queue.CLAIMED},
}
"""Where each action may lead."""
BY_KIND = {rule.event_kind: rule for rule in TABLE.values()}


def trouble_with(event: Event, before: Event | None) -> str | None:
    """What is wrong with one event of a task, after the one before it; None when nothing is."""
    was = None if before is None else before.to_state
    version = 1 if before is None else (before.version or 0) + 1
    if event.version != version:
        return f"version is {event.version}, and {version} comes next"
    if event.from_state != was:
        return f"from is {event.from_state}, and the task was {was}"
    if (event.kind == Action.CREATE) != (before is None):
        return "a history begins with create, and has it once"
    return _refused(event)


def _refused(event: Event) -> str | None:
    if event.kind == EDIT:
        # An edit of the dependencies moves a waiting task; any other leaves it where it is.
        moves = {event.from_state, event.to_state} <= {*READY}
        return None if moves or event.from_state == event.to_state else f"{event.kind} changes no state"
    rule = BY_KIND.get(event.kind)
    if rule is None:
        return f"kind {event.kind!r} is nothing that is done to a task"
    # A blocked task whose reason changes is blocked once more.
    sources = rule.sources | {Queue.BLOCKED} if rule.action is Action.BLOCK else rule.sources
    if event.kind != Action.CREATE and event.from_state not in sources:
        return f"{event.kind} is not allowed from {event.from_state}"
    if event.to_state not in REACHES[rule.action]:
        return f"{event.kind} does not lead to {event.to_state}"
    if rule.action is Action.FORCE:
        human = event.actor.startswith(f"{SenderType.HUMAN}:")
        return None if human and (event.reason or "").strip() else "only a person forces, and with a reason"
    return None


def ends_at(task: Task, last: Event | None) -> str | None:
    """What is wrong with where a task's history ends."""
    if last is None:
        return "the events have no history of it"
    if (last.version, last.to_state) != (task.version, task.queue):
        end = f"{last.to_state}, version {last.version}"
        return f"it is {task.queue}, version {task.version}; its history ends at {end}"
    return None


def waits_for_itself(blockers: Mapping[str, Iterable[str]]) -> str | None:
    """A task that waits for itself, directly or through others; None when there is none."""
    settled: set[str] = set()
    for start in blockers:
        path: dict[str, Iterator[str]] = {start: iter(blockers[start])} if start not in settled else {}
        while path:
            last = next(reversed(path))
            waits = next(path[last], None)
            if waits is None:
                settled.add(last)
                del path[last]
            elif waits in path:
                return waits
            elif waits not in settled:
                path[waits] = iter(blockers.get(waits, ()))
    return None
