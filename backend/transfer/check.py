"""Whether an export may be stored: what its records must be to each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from backend.model import Event, MessageType, Queue, Run, Task
from backend.rules import fits
from backend.transfer.document import Document, Entry
from backend.transfer.history import ends_at, trouble_with, waits_for_itself
from backend.transfer.rules import troubles

LONGEST_LEASE = timedelta(days=1)
"""How far from now a lease may end: one that never ends would keep its task for ever."""
DIGEST = 64

Key = Callable[[Any], object]
UNIQUE: tuple[tuple[str, str, Key], ...] = (
    ("orchestrators", "id", lambda one: one.id),
    ("pauses", "machine", lambda one: one.machine),
    ("agents", "orchestrator_id and name", lambda one: (one.orchestrator_id, one.name)),
    ("projects", "id", lambda one: one.id),
    ("drafts", "id", lambda one: one.id),
    ("tasks", "id", lambda one: one.id),
    ("tasks", "file_path", lambda one: one.file_path),
    ("runs", "id", lambda one: one.id),
    ("runs", "task_id and lease_token", lambda one: (one.task_id, one.fence)),
    ("evidence", "id", lambda one: one.id),
    ("messages", "id", lambda one: one.id),
    ("rules", "id", lambda one: one.id),
    ("sessions", "id", lambda one: one.id),
    ("sessions", "session_id", lambda one: one.session_id),
    ("alerts", "key", lambda one: one.key),
    (
        "messages",
        "run_id and request_id",
        lambda one: None if None in (one.run_id, one.request_id) else (one.run_id, one.request_id),
    ),
)
"""What may be there once; None may be there often."""
REFERENCES = (
    ("tasks", "blocked_by", "tasks"),
    ("runs", "task_id", "tasks"),
    ("runs", "orchestrator_id", "orchestrators"),
    ("evidence", "task_id", "tasks"),
    ("evidence", "run_id", "runs"),
    ("messages", "conversation_id", "tasks"),
    ("messages", "run_id", "runs"),
    ("messages", "parent_message_id", "messages"),
    ("rules", "message_id", "messages"),
    ("pauses", "machine", "orchestrators"),
    ("agents", "orchestrator_id", "orchestrators"),
    ("sessions", "orchestrator_id", "orchestrators"),
    ("sessions", "task_id", "tasks"),
    ("sessions", "run_id", "runs"),
)
"""What has to be there: section, field, and the section it names a record of."""


def check(document: Document, now: datetime) -> dict[str, int]:
    """How many unfinished blockers each task has.

    Raises:
        Misfit: a record cannot be stored, by itself or beside the others; its line is named.
    """
    for entries in document.entries.values():
        for entry in entries:
            for problem in troubles(entry.section, entry.record):
                raise document.misfit(entry, problem)
            if entry.created_as and (len(entry.created_as) != DIGEST or not entry.created_as.isalnum()):
                raise document.misfit(entry, "created_as is no digest")
    for section, name, key in UNIQUE:
        _check_unique(document, section, name, key)
    tasks: dict[str, Task] = {entry.record.id: entry.record for entry in document.entries["tasks"]}
    runs: dict[str, Run] = {entry.record.id: entry.record for entry in document.entries["runs"]}
    for entry, problem in chain(_strays(document, runs), _stray_rules(document)):
        raise document.misfit(entry, problem)
    _check_history(document, tasks)
    attempts = Counter(run.task_id for run in runs.values())
    open_blockers: dict[str, int] = {}
    for entry in document.entries["tasks"]:
        open_blockers[entry.record.id] = waiting = _open_blockers(entry.record, tasks)
        for problem in _task_troubles(entry.record, waiting, attempts[entry.record.id], runs, now):
            raise document.misfit(entry, problem)
    return open_blockers


def _check_unique(document: Document, section: str, name: str, key: Key) -> None:
    seen: set[object] = set()
    for entry in document.entries[section]:
        value = key(entry.record)
        if value is not None and value in seen:
            raise document.misfit(entry, f"{name}: another of the {section} has the same")
        seen.add(value)


def _strays(document: Document, runs: Mapping[str, Run]) -> Iterator[tuple[Entry, str]]:
    """Records that refer to what is not there."""
    for section, name, wanted in REFERENCES:
        known = {entry.record.id for entry in document.entries[wanted]}
        for entry in document.entries[section]:
            given = getattr(entry.record, name)
            for its_id in given if isinstance(given, tuple) else (given,):
                if its_id is not None and its_id not in known:
                    yield entry, f"{name}: there is no {wanted.removesuffix('s')} {its_id!r}"
    for section, name in (("evidence", "task_id"), ("messages", "conversation_id"), ("sessions", "task_id")):
        for entry in document.entries[section]:
            run_id, task_id = entry.record.run_id, getattr(entry.record, name)
            if run_id is not None and runs[run_id].task_id != task_id:
                yield entry, f"run_id: task {task_id!r} has no run {run_id!r}"
    places = {entry.record.id: entry.place for entry in document.entries["messages"]}
    for entry in document.entries["messages"]:
        parent_id = entry.record.parent_message_id
        if parent_id is not None and places[parent_id] >= entry.place:
            yield entry, f"parent_message_id: message {parent_id!r} comes after it"


def _stray_rules(document: Document) -> Iterator[tuple[Entry, str]]:
    """Rules that are not for the request they come from."""
    messages = {entry.record.id: entry.record for entry in document.entries["messages"]}
    for entry in document.entries["rules"]:
        asked = messages[entry.record.message_id]
        if asked.type is not MessageType.REQUEST or asked.kind is not entry.record.kind:
            yield entry, f"message_id: message {asked.id!r} asks nothing of this kind"
        elif not fits(entry.record, asked.body):
            yield entry, f"pattern does not fit message {asked.id!r}"


def _open_blockers(task: Task, tasks: Mapping[str, Task]) -> int:
    return sum(tasks[blocker_id].queue is not Queue.DONE for blocker_id in task.blocked_by)


def _task_troubles(
    task: Task, waiting: int, attempts: int, runs: Mapping[str, Run], now: datetime
) -> Iterator[str]:
    if tuple(sorted(set(task.blocked_by))) != task.blocked_by:
        yield "blocked_by is not in order, each once"
    if task.queue is Queue.INCOMING and waiting:
        yield f"queue is incoming, and {waiting} of its dependencies are unfinished"
    if task.queue is Queue.BLOCKED and not waiting:
        yield "queue is blocked, and all of its dependencies are done"
    if attempts != task.attempt_count:
        yield f"attempt_count is {task.attempt_count}, and there are {attempts} runs of it"
    if task.run_id is not None:
        run = runs.get(task.run_id)
        if run is None or (run.task_id, run.fence) != (task.id, task.fence):
            yield f"run_id: {task.run_id!r} is no run of it with lease_token {task.fence}"
        elif (run.orchestrator_id, run.agent_name) != (task.orchestrator_id, task.claimed_by):
            yield f"claimed_by: run {run.id} is {run.agent_name}'s, on {run.orchestrator_id}"
    if task.lease_expires_at is not None and task.lease_expires_at - now > LONGEST_LEASE:
        yield "lease_expires_at is more than a day from now"


def _check_history(document: Document, tasks: Mapping[str, Task]) -> None:
    """The events are in order, each task's lead to where it is, and the runs' fences only grow."""
    last: dict[str, Event] = {}
    for number, entry in enumerate(document.entries["events"], 1):
        event: Event = entry.record
        if event.seq != number:
            raise document.misfit(entry, f"seq is {event.seq}, and {number} comes next")
        if event.entity != "task":
            continue
        problem = trouble_with(event, last.get(event.entity_id))
        if event.entity_id not in tasks:
            problem = f"entity_id: there is no task {event.entity_id!r}"
        if problem is not None:
            raise document.misfit(entry, problem)
        last[event.entity_id] = event
    for entry in document.entries["tasks"]:
        wrong = ends_at(entry.record, last.get(entry.record.id))
        if wrong is not None:
            raise document.misfit(entry, wrong)
    fences: dict[str, Run] = {}
    for entry in sorted(document.entries["runs"], key=lambda one: (one.record.task_id, one.record.attempt)):
        run: Run = entry.record
        before = fences.get(run.task_id)
        grown = before is None or (before.attempt < run.attempt and before.fence < run.fence)
        if not grown or run.fence > tasks[run.task_id].fence:
            raise document.misfit(entry, "lease_token does not grow with each attempt up to the task's")
        fences[run.task_id] = run
    circular = waits_for_itself({task.id: task.blocked_by for task in tasks.values()})
    if circular is not None:
        entry = next(one for one in document.entries["tasks"] if one.record.id == circular)
        raise document.misfit(entry, "blocked_by: it waits for itself")
