"""Rows to records and back: the one place that knows how a record is spelt in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from backend.clock import from_ms, to_ms
from backend.model import (
    Actor,
    Agent,
    AgentStatus,
    Complexity,
    Event,
    Evidence,
    Json,
    Message,
    MessageKind,
    MessageType,
    NewMessage,
    NewTask,
    Orchestrator,
    Outcome,
    Pause,
    Priority,
    Queue,
    Run,
    RunStatus,
    SenderType,
    Task,
    TaskType,
)


class Row(Protocol):
    """A row whose values are read by column name.

    `sqlite3.Row` searches its columns at every read; wide rows are read twice as fast from a dictionary.
    """

    def __getitem__(self, name: str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> Iterable[str]: ...


# A dictionary lookup is a fifth of an enum's call, and a listing makes 400,000 of them.
QUEUES = {queue.value: queue for queue in Queue}
PRIORITIES = {priority.value: priority for priority in Priority}
TYPES = {kind.value: kind for kind in TaskType}


def when(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def ms_of(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _list(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(msgspec.json.decode(text))


def _json(text: str) -> Json:
    return {} if text == "{}" else dict(msgspec.json.decode(text))


def dump(value: object) -> str:
    """JSON, in the one form it is stored in."""
    return msgspec.json.encode(value).decode()


def dump_fields(value: Mapping[str, object] | None) -> str:
    return dump(value) if value else "{}"


def dump_list(values: tuple[str, ...]) -> str:
    return dump(values) if values else "[]"


def task_of(found: Row) -> Task:
    row = dict(zip(found.keys(), found, strict=True))
    blocked_by, complexity = row["blocked_by"], row["complexity"]
    return Task(
        id=row["id"],
        title=row["title"],
        body=row["body"],
        queue=QUEUES[row["queue"]],
        priority=PRIORITIES[row["priority"]],
        role=row["role"],
        type=TYPES[row["type"]],
        complexity=None if complexity is None else Complexity(complexity),
        project_id=row["project_id"],
        file_path=row["file_path"],
        repo_url=row["repo_url"],
        base_branch=row["base_branch"],
        base_sha=row["base_sha"],
        blocked_by=() if blocked_by is None else tuple(blocked_by.split(" ")),
        needs=_list(row["needs"]),
        auto_accept=bool(row["auto_accept"]),
        claimed_by=row["claimed_by"],
        claimed_at=when(row["claimed_at"]),
        orchestrator_id=row["orchestrator_id"],
        run_id=row["run_id"],
        fence=row["fence"],
        lease_expires_at=when(row["lease_expires_at"]),
        version=row["version"],
        attempt_count=row["attempt_count"],
        attempts_forgiven=row["attempts_forgiven"],
        rejection_count=row["rejection_count"],
        continuation_count=row["continuation_count"],
        conflict_count=row["conflict_count"],
        head_sha=row["head_sha"],
        resume_run_id=row["resume_run_id"],
        approved_by=row["approved_by"],
        approved_at=when(row["approved_at"]),
        approved_sha=row["approved_sha"],
        reason=row["reason"],
        pr_url=row["pr_url"],
        merged_sha=row["merged_sha"],
        created_by=row["created_by"],
        created_at=from_ms(row["created_at"]),
        updated_at=from_ms(row["updated_at"]),
        submitted_at=when(row["submitted_at"]),
        completed_at=when(row["completed_at"]),
        metadata=_json(row["metadata"]),
    )


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
    row = dict(zip(found.keys(), found, strict=True))
    outcome = row["outcome"]
    return Run(
        id=row["id"],
        task_id=row["task_id"],
        attempt=row["attempt"],
        fence=row["fence"],
        role=row["role"],
        agent_name=row["agent_name"],
        orchestrator_id=row["orchestrator_id"],
        adapter=row["adapter"],
        model=row["model"],
        session_id=row["session_id"],
        status=RunStatus(row["status"]),
        outcome=None if outcome is None else Outcome(outcome),
        reason=row["reason"],
        base_sha=row["base_sha"],
        head_sha=row["head_sha"],
        branch=row["branch"],
        exit_code=row["exit_code"],
        turns=row["turns"],
        tokens_input=row["tokens_input"],
        tokens_output=row["tokens_output"],
        tokens_cache_read=row["tokens_cache_read"],
        tokens_cache_write=row["tokens_cache_write"],
        cost_usd=row["cost_usd"],
        commits_count=row["commits_count"],
        summary=row["summary"],
        started_at=from_ms(row["started_at"]),
        last_activity_at=from_ms(row["last_activity_at"]),
        ended_at=when(row["ended_at"]),
    )


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


def message_of(row: Row) -> Message:
    return Message(
        id=row["id"],
        conversation_id=row["conversation_id"],
        sender=Actor(SenderType(row["sender_type"]), row["sender_id"]),
        type=MessageType(row["type"]),
        kind=MessageKind(row["kind"]),
        body=row["body"],
        options=_list(row["options"]),
        parent_message_id=row["parent_message_id"],
        run_id=row["run_id"],
        request_id=row["request_id"],
        deadline=when(row["deadline"]),
        default_answer=row["default_answer"],
        created_at=from_ms(row["created_at"]),
        delivered_at=when(row["delivered_at"]),
        answered_at=when(row["answered_at"]),
        answer=row["answer"],
        withdrawn_at=when(row["withdrawn_at"]),
    )


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
    """Whether it is offline is judged by the reader's time, not stored."""
    return Orchestrator(
        id=row["id"],
        cluster=row["cluster"],
        machine_id=row["machine_id"],
        pid=row["pid"],
        status="active",
        registered_at=from_ms(row["registered_at"]),
        last_heartbeat_at=from_ms(row["last_heartbeat_at"]),
        last_cycle_at=when(row["last_cycle_at"]),
    )


def pause_of(row: Row) -> Pause:
    return Pause(
        paused=bool(row["paused"]),
        by=row["by"],
        reason=row["reason"],
        at=when(row["at"]),
        until=when(row["until"]),
    )


def event_of(row: Row) -> Event:
    return Event(
        seq=row["seq"],
        at=from_ms(row["at"]),
        actor=row["actor"],
        entity=row["entity"],
        entity_id=row["entity_id"],
        kind=row["kind"],
        from_state=row["from_state"],
        to_state=row["to_state"],
        version=row["version"],
        reason=row["reason"],
        data=_json(row["data"]),
    )
