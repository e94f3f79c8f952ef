"""Runs, what they have used, and their end."""

from __future__ import annotations

from octopoid_sdk.calls.pages import read_pages
from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.fleet_records import Usage
from octopoid_sdk.records import Run


def get_run(run_id: str) -> Steps[Run]:
    run: Run = yield request("GET", "runs", run_id)
    return run


def list_runs(
    *, task_id: str | None = None, live: bool | None = None, limit: int | None = None
) -> Steps[list[Run]]:
    """Runs in order of their start: all of them, however many pages that takes.

    Args:
        live: only those that have not ended.
    """
    wanted = {"task_id": task_id, "live": live}
    found: list[Run] = yield from read_pages("runs", "runs", params=wanted, limit=limit)
    return found


def update_run(
    run_id: str,
    *,
    status: str | None = None,
    session_id: str | None = None,
    base_sha: str | None = None,
    branch: str | None = None,
    turns: int | None = None,
    tokens_input: int | None = None,
    tokens_output: int | None = None,
    tokens_cache_read: int | None = None,
    tokens_cache_write: int | None = None,
    cost_usd: float | None = None,
    last_activity_at: str | None = None,
) -> Steps[Run]:
    """Note what is known of a run that goes on.

    Args:
        status: running or waiting.

    Raises:
        Conflict: it has ended.
    """
    body = {
        "status": status,
        "session_id": session_id,
        "base_sha": base_sha,
        "branch": branch,
        "turns": turns,
        "tokens_input": tokens_input,
        "tokens_output": tokens_output,
        "tokens_cache_read": tokens_cache_read,
        "tokens_cache_write": tokens_cache_write,
        "cost_usd": cost_usd,
        "last_activity_at": last_activity_at,
    }
    run: Run = yield request("PATCH", "runs", run_id, body=body)
    return run


def end_run(
    run_id: str,
    *,
    outcome: str,
    reason: str,
    head_sha: str | None = None,
    exit_code: int | None = None,
    commits_count: int | None = None,
    summary: str | None = None,
) -> Steps[Run]:
    """End a run whose task has moved on; one that has ended is returned as it is."""
    body = {
        "outcome": outcome,
        "reason": reason,
        "head_sha": head_sha,
        "exit_code": exit_code,
        "commits_count": commits_count,
        "summary": summary,
    }
    run: Run = yield request("POST", "runs", run_id, "end", body=body)
    return run


def list_usage(by: str, *, since: str) -> Steps[list[Usage]]:
    """What runs started since a time have used, added up; the dearest first.

    Args:
        by: task, agent or project.
        since: a time, as `2026-01-31T12:00:00Z`.
    """
    page = yield request("GET", "usage", params={"by": by, "since": since})
    usage: list[Usage] = page["usage"]
    return usage
