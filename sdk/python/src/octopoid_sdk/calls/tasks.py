"""Tasks: made, changed, claimed, handed in, accepted."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from octopoid_sdk.calls.pages import read_pages
from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.records import Claim, Task

LEASE_S = 300


def new_id() -> str:
    """A fresh id; ids made later sort later."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"


def create_task(
    *,
    id: str | None = None,
    title: str | None = None,
    body: str | None = None,
    file_path: str | None = None,
    queue: str | None = None,
    priority: str | None = None,
    role: str | None = None,
    type: str | None = None,
    complexity: str | None = None,
    project_id: str | None = None,
    base_branch: str | None = None,
    base_sha: str | None = None,
    repo_url: str | None = None,
    blocked_by: Sequence[str] | None = None,
    needs: Sequence[str] | None = None,
    auto_accept: bool | None = None,
    created_by: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    scope: str | None = None,
) -> Steps[Task]:
    """Create a task; what is left out gets the server's default. Creating it again as it is, is no error.

    Args:
        queue: incoming, where agents take it from, or backlog.
        base_sha: the commit that work starts from.
        scope: the namespace it is in.

    Raises:
        Duplicate: another task has this id.
    """
    data = {
        "id": id or new_id(),
        "title": title,
        "body": body,
        "file_path": file_path,
        "queue": queue,
        "priority": priority,
        "role": role,
        "type": type,
        "complexity": complexity,
        "project_id": project_id,
        "base_branch": base_branch,
        "base_sha": base_sha,
        "repo_url": repo_url,
        "blocked_by": blocked_by,
        "needs": needs,
        "auto_accept": auto_accept,
        "created_by": created_by,
        "metadata": metadata,
        "scope": scope,
    }
    task: Task = yield request("POST", "tasks", body=data)
    return task


def get_task(task_id: str) -> Steps[Task]:
    task: Task = yield request("GET", "tasks", task_id)
    return task


def list_tasks(
    *,
    queue: str | Sequence[str] | None = None,
    priority: str | Sequence[str] | None = None,
    role: str | Sequence[str] | None = None,
    type: str | Sequence[str] | None = None,
    claimed_by: str | None = None,
    project_id: str | None = None,
    q: str | None = None,
    scope: str | None = None,
    limit: int | None = None,
) -> Steps[list[Task]]:
    """Tasks in the order in which they would be claimed: all of them, however many pages that takes.

    Args:
        q: text that title or body hold.
        limit: the most tasks to return; None for all.
    """
    wanted = {
        "queue": queue,
        "priority": priority,
        "role": role,
        "type": type,
        "claimed_by": claimed_by,
        "project_id": project_id,
        "q": q,
        "scope": scope,
    }
    found: list[Task] = yield from read_pages("tasks", "tasks", params=wanted, limit=limit)
    return found


def update_task(
    task_id: str,
    *,
    title: str | None = None,
    body: str | None = None,
    priority: str | None = None,
    role: str | None = None,
    type: str | None = None,
    complexity: str | None = None,
    project_id: str | None = None,
    auto_accept: bool | None = None,
    needs: Sequence[str] | None = None,
    blocked_by: Sequence[str] | None = None,
    pr_url: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    actor: str | None = None,
    version: int | None = None,
) -> Steps[Task]:
    """Change what a person may edit; state, claim and counters change by transitions alone.

    Args:
        version: the version that was read.

    Raises:
        VersionConflict: the task has changed since that version.
    """
    data = {
        "title": title,
        "body": body,
        "priority": priority,
        "role": role,
        "type": type,
        "complexity": complexity,
        "project_id": project_id,
        "auto_accept": auto_accept,
        "needs": needs,
        "blocked_by": blocked_by,
        "pr_url": pr_url,
        "metadata": metadata,
        "actor": actor,
    }
    task: Task = yield request("PATCH", "tasks", task_id, body=data, version=version)
    return task


def claim_task(
    *,
    orchestrator_id: str,
    agent_name: str,
    roles: Sequence[str] | None = None,
    task_id: str | None = None,
    adapter: str = "command",
    model: str | None = None,
    run_id: str | None = None,
    lease_seconds: int = LEASE_S,
    scope: str | None = None,
) -> Steps[Claim | None]:
    """Claim the next task under a lease; None when there is nothing to claim.

    Args:
        roles: what the agent does; any role by default.
        task_id: this task and no other.
        run_id: the id of the run that begins; a fresh one by default.

    Raises:
        UnknownOrchestrator: the machine was never registered.
        Conflict: `task_id` was given, and that task is not claimable.
    """
    data = {
        "orchestrator_id": orchestrator_id,
        "agent_name": agent_name,
        "adapter": adapter,
        "run_id": run_id or new_id(),
        "lease_seconds": lease_seconds,
        "roles": roles,
        "task_id": task_id,
        "model": model,
        "scope": scope,
    }
    claimed: Claim | None = yield request("POST", "tasks", "claim", body=data)
    return claimed


def claim_task_in_place(
    task_id: str,
    *,
    orchestrator_id: str,
    agent_name: str,
    role: str = "review",
    adapter: str = "command",
    model: str | None = None,
    run_id: str | None = None,
    lease_seconds: int = LEASE_S,
) -> Steps[Claim]:
    """Lease a provisional task, which stays provisional: to review it, or to resolve its conflict.

    Raises:
        Conflict: it is not provisional, or somebody holds it.
    """
    data = {
        "orchestrator_id": orchestrator_id,
        "agent_name": agent_name,
        "role": role,
        "adapter": adapter,
        "run_id": run_id or new_id(),
        "lease_seconds": lease_seconds,
        "model": model,
    }
    claimed: Claim = yield request("POST", "tasks", task_id, "claim", body=data)
    return claimed


def renew_task(task_id: str, *, lease_token: int | None = None, lease_seconds: int = LEASE_S) -> Steps[Task]:
    """Extend the lease on a task: the claim's, or the live one.

    Raises:
        LeaseLost: it has run out, and the task is not this worker's any more.
    """
    data = {"lease_token": lease_token, "lease_duration_seconds": lease_seconds}
    task: Task = yield request("POST", "tasks", task_id, "renew", body=data)
    return task


def submit_task(
    task_id: str,
    *,
    head_sha: str | None = None,
    commits_count: int | None = None,
    turns_used: int | None = None,
    lease_token: int | None = None,
    run_id: str | None = None,
    actor: str | None = None,
) -> Steps[Task]:
    """Hand in finished work: it waits as provisional until somebody accepts or rejects it.

    Args:
        lease_token: the claim's; without it the server goes by the key and the live lease.
        head_sha: the commit that holds the work.

    Raises:
        LeaseLost: another run has claimed the task since.
    """
    data = {
        "head_sha": head_sha,
        "commits_count": commits_count,
        "turns_used": turns_used,
        "lease_token": lease_token,
        "run_id": run_id,
        "actor": actor,
    }
    task: Task = yield request("POST", "tasks", task_id, "submit", body=data)
    return task


def accept_task(task_id: str, *, accepted_by: str | None = None, version: int | None = None) -> Steps[Task]:
    """Agree to provisional work; the scheduler of the machine that has it merges it."""
    data = {"accepted_by": accepted_by}
    task: Task = yield request("POST", "tasks", task_id, "accept", body=data, version=version)
    return task


def reject_task(
    task_id: str, *, reason: str, rejected_by: str | None = None, version: int | None = None
) -> Steps[Task]:
    """Send provisional work back; the next attempt is told why."""
    data = {"reason": reason, "rejected_by": rejected_by}
    task: Task = yield request("POST", "tasks", task_id, "reject", body=data, version=version)
    return task


def delete_task(task_id: str, *, version: int | None = None) -> Steps[None]:
    """Cancel a task that nobody works on; its record stays."""
    yield request("DELETE", "tasks", task_id, version=version)


def split_task(
    task_id: str,
    parts: Sequence[Mapping[str, Any]],
    *,
    actor: str | None = None,
    version: int | None = None,
) -> Steps[Task]:
    """Make an approved task's parts and call it done, all or nothing; what waited for it waits for them.

    Args:
        parts: of each at least `title`, `role`, `base_branch`, `base_sha` and `created_by`; `blocked_by` may
            name other parts.

    Raises:
        Conflict: it is not approved.
        Duplicate: the id of a part is taken.
    """
    described = [{**part, "id": part.get("id") or new_id()} for part in parts]
    body = {"parts": described, "actor": actor}
    task: Task = yield request("POST", "tasks", task_id, "split", body=body, version=version)
    return task
