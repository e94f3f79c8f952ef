"""What a record must be by itself: the constraints of the store's schema, said in words.

Each rule is a reason and a test that is true of a sound record. The schema holds the same; here the reason
names what is wrong before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from backend.errors import BadInput
from backend.ids import check_id
from backend.model import Message, MessageType, Pause, Queue, Run, RunStatus, SenderType, Task
from backend.planning import Draft, DraftStatus, Project, ProjectStatus
from backend.rules import pattern_problem
from backend.sessions import Session, SessionStatus, is_name

Rule = tuple[str, Callable[[Any], bool]]
LARGEST = 2**31 - 1


def _whole(*names: str) -> Callable[[Any], bool]:
    """All of these are there, or none is."""
    return lambda record: len({getattr(record, name) is None for name in names}) == 1


def _counts(*names: str) -> Callable[[Any], bool]:
    return lambda record: all(0 <= getattr(record, name) <= LARGEST for name in names)


def _text(name: str) -> Rule:
    return f"{name} is empty", lambda record: bool(str(getattr(record, name)).strip())


def _attempts_add_up(task: Task) -> bool:
    return task.attempts_forgiven <= task.attempt_count <= task.fence


def _reason_given(task: Task) -> bool:
    return task.queue not in (Queue.FAILED, Queue.ESCALATED) or bool((task.reason or "").strip())


def _ended(run: Run) -> bool:
    ended = run.status is RunStatus.ENDED
    return ended == (run.ended_at is not None) == (run.outcome is not None) == (run.reason is not None)


def _machine_paused(pause: Pause) -> bool:
    return pause.paused and None not in (pause.machine, pause.by, pause.at)


def _session_over(session: Session) -> bool:
    over = session.status is SessionStatus.TERMINATED
    return over == (session.terminated_at is not None) == bool((session.reason or "").strip())


def _answered(message: Message) -> bool:
    asked = message.type is MessageType.REQUEST or (
        message.answered_at is None and message.withdrawn_at is None
    )
    return asked and (message.answered_at is None or message.withdrawn_at is None)


RULES: dict[str, tuple[Rule, ...]] = {
    "orchestrators": (
        ("id is not its cluster and machine_id", lambda one: one.id == f"{one.cluster}-{one.machine_id}"),
    ),
    "pauses": (
        ("machine, by and at are those of a machine that is paused", _machine_paused),
    ),
    "agents": (_text("name"), _text("role"), _text("adapter")),
    "projects": (
        _text("title"),
        ("version is below 1", lambda one: one.version >= 1),
        ("status and completed_at do not agree", lambda one: _completed(one)),
    ),
    "drafts": (
        _text("title"),
        ("version is below 1", lambda one: one.version >= 1),
        ("it is promoted into no task", lambda one: _promoted(one)),
    ),
    "tasks": (
        _text("title"),
        _text("role"),
        _text("base_branch"),
        (
            "a counter is below 0 or too large",
            _counts(
                "attempt_count", "attempts_forgiven", "rejection_count", "continuation_count",
                "conflict_count", "fence",
            ),
        ),
        (
            "claimed_by, claimed_at, orchestrator_id, run_id and lease_expires_at go together",
            _whole("claimed_by", "claimed_at", "orchestrator_id", "run_id", "lease_expires_at"),
        ),
        ("it is claimed without a lease", lambda one: one.queue is not Queue.CLAIMED or bool(one.run_id)),
        (
            "run_id: only a claimed or provisional task is leased",
            lambda one: one.run_id is None or one.queue in (Queue.CLAIMED, Queue.PROVISIONAL),
        ),
        ("reason: a failed or escalated task has one", _reason_given),
        (
            "approved_by, approved_at and approved_sha go together",
            _whole("approved_by", "approved_at", "approved_sha"),
        ),
        ("attempts_forgiven, attempt_count and lease_token do not add up", _attempts_add_up),
        ("completed_at: a task that is done has one", lambda one: one.queue is not Queue.DONE or _done(one)),
        ("completed_at: only a task that is done has one", lambda one: one.queue is Queue.DONE or _open(one)),
    ),
    "runs": (
        ("status, outcome, reason and ended_at do not agree", _ended),
        ("attempt or lease_token is below 1", lambda one: one.attempt >= 1 and one.fence >= 1),
        (
            "a number of tokens is below 0",
            lambda one: min(
                one.tokens_input, one.tokens_output, one.tokens_cache_read, one.tokens_cache_write
            ) >= 0,
        ),
    ),
    "messages": (
        ("answer and answered_at go together", _whole("answer", "answered_at")),
        ("only a request is answered or withdrawn, and only once", _answered),
        (
            "delivered_at: nobody has answered it",
            lambda one: one.delivered_at is None or one.answered_at is not None,
        ),
    ),
    "rules": (
        _text("answer"),
        ("author: only a person makes a rule", lambda one: one.author.startswith(f"{SenderType.HUMAN}:")),
        (
            "pattern would fit nearly anything, or is too long",
            lambda one: one.exact or pattern_problem(one.pattern) is None,
        ),
        ("uses is below 0 or too large", _counts("uses")),
    ),
    "sessions": (
        ("session_id is not usable", lambda one: is_name(one.session_id)),
        ("status, terminated_at and reason do not agree", _session_over),
        ("run_id: a run is of a task", lambda one: one.run_id is None or one.task_id is not None),
    ),
    "alerts": (_text("key"), _text("reason")),
}  # fmt: skip

IDS: dict[str, tuple[str, ...]] = {
    "orchestrators": ("id", "cluster"),
    "projects": ("id", "scope"),
    "drafts": ("id", "scope"),
    "tasks": ("id", "scope", "run_id", "resume_run_id"),
    "runs": ("id",),
    "messages": ("id",),
    "rules": ("id",),
    "sessions": ("id",),
}


def _completed(project: Project) -> bool:
    return (project.status is ProjectStatus.COMPLETED) == (project.completed_at is not None)


def _promoted(draft: Draft) -> bool:
    return draft.status is not DraftStatus.PROMOTED or bool(draft.task_ids)


def _done(task: Task) -> bool:
    return task.completed_at is not None


def _open(task: Task) -> bool:
    return task.completed_at is None


def troubles(section: str, record: Any) -> Iterator[str]:
    """What is wrong with one record by itself."""
    for name in IDS.get(section, ()):
        its_id = getattr(record, name)
        if its_id is not None:
            try:
                check_id(its_id, name)
            except BadInput as error:
                yield str(error)
    for reason, holds in RULES.get(section, ()):
        if not holds(record):
            yield reason
