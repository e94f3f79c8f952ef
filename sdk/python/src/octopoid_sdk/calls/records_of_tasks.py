"""What belongs to a task: its history, runs, conversation and evidence, and why it is where it is."""

from __future__ import annotations

import json

from octopoid_sdk.calls.pages import PAGE, read_pages
from octopoid_sdk.calls.tasks import new_id
from octopoid_sdk.exchange import Request, Steps, address, given, request
from octopoid_sdk.records import Event, Evidence, Message, Reason, Run


def list_history(task_id: str) -> Steps[list[Event]]:
    """Every change of the task, oldest first."""
    events: list[Event] = []
    after = 0
    while True:
        params = {"after": after, "limit": PAGE}
        page = yield request("GET", "tasks", task_id, "history", params=params)
        events += page["events"]
        if len(page["events"]) < PAGE:
            return events
        after = events[-1]["seq"]


def list_reasons(task_id: str) -> Steps[list[Reason]]:
    """Why the task is where it is, as far as the server knows."""
    page = yield request("GET", "tasks", task_id, "why")
    reasons: list[Reason] = page["reasons"]
    return reasons


def list_task_runs(task_id: str) -> Steps[list[Run]]:
    """The task's runs in order of their start."""
    runs: list[Run] = yield from read_pages("runs", "tasks", task_id, "runs", params={})
    return runs


def list_task_messages(task_id: str) -> Steps[list[Message]]:
    """The task's conversation, oldest first."""
    found: list[Message] = yield from read_pages("messages", "tasks", task_id, "messages", params={})
    return found


def list_evidence(task_id: str) -> Steps[list[Evidence]]:
    """What the checks said about the task's commits."""
    page = yield request("GET", "tasks", task_id, "evidence")
    evidence: list[Evidence] = page["evidence"]
    return evidence


def list_unfinished_evidence() -> Steps[list[Evidence]]:
    """What the checks said about every task that is neither done nor cancelled."""
    found: list[Evidence] = yield from read_pages("evidence", "evidence", params={})
    return found


def add_evidence(
    task_id: str,
    *,
    check: str,
    command: str,
    commit_sha: str,
    base_sha: str,
    exit_code: int | None,
    duration_ms: int,
    at: str,
    output_tail: str = "",
    output_digest: str = "",
    run_id: str | None = None,
    id: str | None = None,
) -> Steps[Evidence]:
    """Add a check's result, bound to the commit it ran on.

    Args:
        exit_code: None when the check could not be run: that is no pass.
        at: when it ran, as `2026-01-31T12:00:00Z`.
    """
    # What may be null is told even then, so this is no ordinary body.
    body = {
        "id": id or new_id(),
        "check": check,
        "command": command,
        "commit_sha": commit_sha,
        "base_sha": base_sha,
        "duration_ms": duration_ms,
        "at": at,
        "output_tail": output_tail,
        "output_digest": output_digest,
    }
    nullable = {"run_id": run_id, "exit_code": exit_code}
    content = json.dumps(given(body) | nullable, ensure_ascii=False).encode()
    evidence: Evidence = yield Request("POST", address("tasks", task_id, "evidence"), content=content)
    return evidence
