"""Workers: programs that take work over plain HTTP, and the queue as they see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from octopoid_sdk.calls.tasks import LEASE_S, new_id
from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.fleet_records import QueueStatus, Worker, WorkerBeat, WorkOrder


def register_worker(
    name: str, *, id: str | None = None, capabilities: Sequence[str] | None = None, pid: int | None = None
) -> Steps[Worker]:
    """Make a worker known, or known again by the same `id`.

    Args:
        capabilities: the roles whose tasks it may claim; all of them by default.
    """
    body = {"name": name, "id": id, "capabilities": capabilities, "pid": pid}
    worker: Worker = yield request("POST", "workers", body=body)
    return worker


def list_workers() -> Steps[list[Worker]]:
    page = yield request("GET", "workers")
    workers: list[Worker] = page["workers"]
    return workers


def get_worker(worker_id: str) -> Steps[Worker]:
    worker: Worker = yield request("GET", "workers", worker_id)
    return worker


def beat_worker(
    worker_id: str,
    *,
    status: str | None = None,
    reason: str | None = None,
    session_id: str | None = None,
    leases: Sequence[Mapping[str, str | int]] | None = None,
    lease_seconds: int = LEASE_S,
) -> Steps[WorkerBeat]:
    """Say that a worker is alive: its leases and sessions go on. `lost` names the tasks it has lost.

    Args:
        status: idle, busy, waiting or error.
        leases: one `{"task_id": …, "lease_token": …}` for each it believes it holds; all it holds by default.
    """
    body = {
        "status": status,
        "reason": reason,
        "session_id": session_id,
        "leases": leases,
        "lease_seconds": lease_seconds,
    }
    beat: WorkerBeat = yield request("POST", "workers", worker_id, "heartbeat", body=body)
    return beat


def delete_worker(worker_id: str) -> Steps[None]:
    """Take a worker off the list: what it holds is queued again, and its sessions end."""
    yield request("DELETE", "workers", worker_id)


def enqueue_work(
    task_id: str | None = None,
    *,
    title: str | None = None,
    id: str | None = None,
    description: str | None = None,
    priority: str | None = None,
    task_type: str | None = None,
    role: str | None = None,
    repository_url: str | None = None,
    branch_name: str | None = None,
    blocked_by: Sequence[str] | None = None,
    scope: str | None = None,
) -> Steps[WorkOrder]:
    """Queue a task that is there, by `task_id`; or a new one, for which a title is enough.

    Args:
        priority: high, normal or low, or P0 to P3.
    """
    body = {
        "task_id": task_id,
        "title": title,
        "id": id or (new_id() if task_id is None else None),
        "description": description,
        "priority": priority,
        "task_type": task_type,
        "role": role,
        "repository_url": repository_url,
        "branch_name": branch_name,
        "blocked_by": blocked_by,
        "scope": scope,
    }
    order: WorkOrder = yield request("POST", "queue", "enqueue", body=body)
    return order


def claim_work(
    worker_id: str,
    *,
    capabilities: Sequence[str] | None = None,
    execution_id: str | None = None,
    session_id: str | None = None,
    lease_seconds: int = LEASE_S,
    scope: str | None = None,
) -> Steps[WorkOrder | None]:
    """Claim the first task that a worker may have; None when there is none.

    Args:
        execution_id: the run that begins; the same again gives the same claim.
    """
    body = {
        "worker_id": worker_id,
        "capabilities": capabilities,
        "execution_id": execution_id or new_id(),
        "session_id": session_id,
        "lease_seconds": lease_seconds,
        "scope": scope,
    }
    order: WorkOrder | None = yield request("POST", "queue", "claim", body=body)
    return order


def complete_work(
    worker_id: str,
    task_id: str,
    *,
    execution_id: str | None = None,
    lease_token: int | None = None,
    head_sha: str | None = None,
    commits_count: int | None = None,
    turns_used: int | None = None,
    summary: str | None = None,
    output: str | None = None,
    scope: str | None = None,
) -> Steps[WorkOrder]:
    """Hand in finished work.

    Args:
        execution_id, lease_token: those of the claim; without both the worker's live lease is meant.

    Raises:
        LeaseLost: another run has claimed the task since, or nobody holds it.
    """
    body = {
        "worker_id": worker_id,
        "task_id": task_id,
        "execution_id": execution_id,
        "lease_token": lease_token,
        "head_sha": head_sha,
        "commits_count": commits_count,
        "turns_used": turns_used,
        "summary": summary,
        "output": output,
        "scope": scope,
    }
    order: WorkOrder = yield request("POST", "queue", "complete", body=body)
    return order


def fail_work(
    worker_id: str,
    task_id: str,
    *,
    reason: str,
    execution_id: str | None = None,
    lease_token: int | None = None,
    output: str | None = None,
    scope: str | None = None,
) -> Steps[WorkOrder]:
    """Give work up with a reason.

    Raises:
        LeaseLost: another run has claimed the task since, or nobody holds it.
    """
    body = {
        "worker_id": worker_id,
        "task_id": task_id,
        "reason": reason,
        "execution_id": execution_id,
        "lease_token": lease_token,
        "output": output,
        "scope": scope,
    }
    order: WorkOrder = yield request("POST", "queue", "fail", body=body)
    return order


def get_queue_status() -> Steps[QueueStatus]:
    """How much waits, and what the workers do."""
    status: QueueStatus = yield request("GET", "queue", "status")
    return status
