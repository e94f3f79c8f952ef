"""Rows to records and back: the one place that knows how a record is spelt in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Protocol

import msgspec

from backend.clock import from_ms, to_ms
from backend.model import (
    Agent,
    AgentStatus,
    Alert,
    Event,
    Evidence,
    Json,
    Message,
    NewMessage,
    NewTask,
    Orchestrator,
    Pause,
    Rule,
    Run,
    Task,
    Usage,
)


class Row(Protocol):
    """A row whose values are read by column name.

    `sqlite3.Row` searches its columns at every read; wide rows are read twice as fast from a dictionary, and
    msgspec makes a record of one in a third of the time that the record's own constructor takes.
    """

    def __getitem__(self, name: str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> Iterable[str]: ...


TASK_TIMES = (
    "claimed_at", "lease_expires_at", "approved_at", "created_at", "updated_at", "submitted_at",
    "completed_at",
)  # fmt: skip
UNTOUCHED: dict[str, Any] = {
    **dict.fromkeys(
        (
            "claimed_by", "claimed_at", "orchestrator_id", "run_id", "lease_expires_at", "head_sha",
            "resume_run_id", "approved_by", "approved_at", "approved_sha", "pr_url", "merged_sha",
            "submitted_at", "completed_at",
        )
    ),
    **dict.fromkeys(
        (
            "fence", "attempt_count", "attempts_forgiven", "rejection_count", "continuation_count",
            "conflict_count",
        ),
        0,
    ),
    "version": 1,
}  # fmt: skip
"""What the tables give a new task by themselves."""
TASK_FIELDS = tuple(field.name for field in fields(Task))
RUN_TIMES = ("started_at", "last_activity_at", "ended_at")
MESSAGE_TIMES = ("deadline", "created_at", "delivered_at", "answered_at", "withdrawn_at")
RULE_TIMES = ("created_at", "expires_at", "last_used_at", "revoked_at")
ALERT_TIMES = ("at", "until")


def when(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def ms_of(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def read_list(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(msgspec.json.decode(text))


def read_fields(text: str) -> Json:
    return {} if text == "{}" else dict(msgspec.json.decode(text))


def dump(value: object) -> str:
    """JSON, in the one form it is stored in."""
    return msgspec.json.encode(value).decode()


def dump_fields(value: Mapping[str, object] | None) -> str:
    return dump(value) if value else "{}"


def dump_list(values: tuple[str, ...]) -> str:
    return dump(values) if values else "[]"


def _read(found: Row, times: Iterable[str]) -> dict[str, Any]:
    """A row by column name, with its times as datetimes."""
    row = dict(zip(found.keys(), found, strict=True))
    for name in times:
        row[name] = when(row[name])
    return row


def task_of(found: Row) -> Task:
    row = _read(found, TASK_TIMES)
    blocked_by = row["blocked_by"]
    row["blocked_by"] = () if blocked_by is None else tuple(blocked_by.split(" "))
    _open(row)
    return msgspec.convert(row, Task)


def created_task(values: Mapping[str, Any], blocked_by: tuple[str, ...]) -> Task:
    """The task that was inserted with these values, without reading it again."""
    at = from_ms(values["now"])
    row = {**UNTOUCHED, **values, "blocked_by": blocked_by, "created_at": at, "updated_at": at}
    _open(row)
    # What can not be stored is for the database to say, so nothing is checked here.
    return Task(**{name: row[name] for name in TASK_FIELDS})


def _open(row: dict[str, Any]) -> None:
    row["needs"] = read_list(row["needs"])
    row["auto_accept"] = bool(row["auto_accept"])
    row["metadata"] = read_fields(row["metadata"])


def new_task_values(new: NewTask) -> dict[str, object]:
    return {
        "id": new.id,
        "title": new.title,
        "body": new.body,
        "priority": new.priority,
        "role": new.role,
        "type": new.type,
        "complexity": new.complexity,
        "project_id": new.project_id,
        "file_path": new.file_path,
        "repo_url": new.repo_url,
        "base_branch": new.base_branch,
        "base_sha": new.base_sha,
        "needs": dump_list(new.needs),
        "auto_accept": int(new.auto_accept),
        "created_by": new.created_by,
        "metadata": dump_fields(new.metadata),
        "scope": new.scope,
    }


def state_values(task: Task) -> dict[str, object]:
    return {
        "id": task.id,
        "queue": task.queue,
        "claimed_by": task.claimed_by,
        "claimed_at": ms_of(task.claimed_at),
        "orchestrator_id": task.orchestrator_id,
        "run_id": task.run_id,
        "fence": task.fence,
        "lease_expires_at": ms_of(task.lease_expires_at),
        "attempt_count": task.attempt_count,
        "attempts_forgiven": task.attempts_forgiven,
        "rejection_count": task.rejection_count,
        "continuation_count": task.continuation_count,
        "conflict_count": task.conflict_count,
        "head_sha": task.head_sha,
        "resume_run_id": task.resume_run_id,
        "approved_by": task.approved_by,
        "approved_at": ms_of(task.approved_at),
        "approved_sha": task.approved_sha,
        "reason": task.reason,
        "merged_sha": task.merged_sha,
        "submitted_at": ms_of(task.submitted_at),
        "completed_at": ms_of(task.completed_at),
        "version": task.version,
        "updated_at": to_ms(task.updated_at),
    }


def content_values(task: Task) -> dict[str, object]:
    return {
        "id": task.id,
        "title": task.title,
        "body": task.body,
        "priority": task.priority,
        "role": task.role,
        "type": task.type,
        "complexity": task.complexity,
        "project_id": task.project_id,
        "auto_accept": int(task.auto_accept),
        "needs": dump_list(task.needs),
        "pr_url": task.pr_url,
        "metadata": dump_fields(task.metadata),
        "queue": task.queue,
        "reason": task.reason,
        "version": task.version,
        "updated_at": to_ms(task.updated_at),
    }


def run_of(found: Row) -> Run:
    return msgspec.convert(_read(found, RUN_TIMES), Run)


def run_values(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "status": run.status,
        "session_id": run.session_id,
        "base_sha": run.base_sha,
        "branch": run.branch,
        "turns": run.turns,
        "tokens_input": run.tokens_input,
        "tokens_output": run.tokens_output,
        "tokens_cache_read": run.tokens_cache_read,
        "tokens_cache_write": run.tokens_cache_write,
        "cost_usd": run.cost_usd,
        "last_activity_at": to_ms(run.last_activity_at),
    }


def message_of(found: Row) -> Message:
    row = _read(found, MESSAGE_TIMES)
    row["sender"] = {"type": row["sender_type"], "id": row["sender_id"]}
    row["options"] = read_list(row["options"])
    return msgspec.convert(row, Message)


def new_message_values(new: NewMessage) -> dict[str, object]:
    return {
        "id": new.id,
        "conversation_id": new.conversation_id,
        "sender_type": new.sender.type,
        "sender_id": new.sender.id,
        "type": new.type,
        "kind": new.kind,
        "body": new.body,
        "options": dump_list(new.options),
        "parent_message_id": new.parent_message_id,
        "run_id": new.run_id,
        "request_id": new.request_id,
        "deadline": ms_of(new.deadline),
        "default_answer": new.default_answer,
    }


def evidence_of(row: Row) -> Evidence:
    return Evidence(
        id=row["id"],
        task_id=row["task_id"],
        run_id=row["run_id"],
        check=row["name"],
        command=row["command"],
        commit_sha=row["commit_sha"],
        base_sha=row["base_sha"],
        exit_code=row["exit_code"],
        output_tail=row["output_tail"],
        output_digest=row["output_digest"],
        duration_ms=row["duration_ms"],
        at=from_ms(row["at"]),
    )


def evidence_values(evidence: Evidence) -> dict[str, object]:
    return {
        "id": evidence.id,
        "task_id": evidence.task_id,
        "run_id": evidence.run_id,
        "name": evidence.check,
        "command": evidence.command,
        "commit_sha": evidence.commit_sha,
        "base_sha": evidence.base_sha,
        "exit_code": evidence.exit_code,
        "output_tail": evidence.output_tail,
        "output_digest": evidence.output_digest,
        "duration_ms": evidence.duration_ms,
        "at": to_ms(evidence.at),
    }


def agent_of(row: Row) -> Agent:
    return Agent(
        name=row["name"],
        orchestrator_id=row["orchestrator_id"],
        role=row["role"],
        adapter=row["adapter"],
        status=AgentStatus(row["status"]),
        task_id=row["task_id"],
        run_id=row["run_id"],
        pid=row["pid"],
        reason=row["reason"],
        updated_at=from_ms(row["updated_at"]),
    )


def agent_values(agent: Agent) -> dict[str, object]:
    return {
        "orchestrator_id": agent.orchestrator_id,
        "name": agent.name,
        "role": agent.role,
        "adapter": agent.adapter,
        "status": agent.status,
        "task_id": agent.task_id,
        "run_id": agent.run_id,
        "pid": agent.pid,
        "reason": agent.reason,
    }


def orchestrator_of(row: Row) -> Orchestrator:
    """A machine nobody has noticed as gone; whether it has been silent too long, the reader's time tells."""
    return Orchestrator(
        id=row["id"],
        cluster=row["cluster"],
        machine_id=row["machine_id"],
        pid=row["pid"],
        status="active" if row["offline_at"] is None else "offline",
        repo_url=row["repo_url"],
        instance=row["instance"],
        registered_at=from_ms(row["registered_at"]),
        last_heartbeat_at=from_ms(row["last_heartbeat_at"]),
        last_cycle_at=when(row["last_cycle_at"]),
    )


def machine_pause_of(row: Row, machine: str) -> Pause:
    return Pause(True, row["by"], row["reason"], when(row["at"]), when(row["until"]), machine)


def pause_of(row: Row) -> Pause:
    return Pause(
        paused=bool(row["paused"]),
        by=row["by"],
        reason=row["reason"],
        at=when(row["at"]),
        until=when(row["until"]),
    )


def event_of(found: Row) -> Event:
    row = _read(found, ("at",))
    row["data"] = read_fields(row["data"])
    return msgspec.convert(row, Event)


def rule_of(found: Row) -> Rule:
    row = _read(found, RULE_TIMES)
    row["exact"] = bool(row["exact"])
    return msgspec.convert(row, Rule)


def alert_of(found: Row) -> Alert:
    return msgspec.convert(_read(found, ALERT_TIMES), Alert)


def usage_of(found: Row) -> Usage:
    return msgspec.convert(_read(found, ()), Usage)
