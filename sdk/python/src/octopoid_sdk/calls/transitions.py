"""What changes a task's state. Each is refused with `Conflict` when the lifecycle does not allow it now."""

from __future__ import annotations

from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.records import Task


def act_on_task(
    task_id: str,
    action: str,
    *,
    reason: str | None = None,
    to: str | None = None,
    lease_token: int | None = None,
    actor: str | None = None,
    version: int | None = None,
) -> Steps[Task]:
    """A transition by its name: submit, accept, fail, release, hold, force and the others below.

    Raises:
        Conflict: the lifecycle does not allow it now; `details` says why.
    """
    data = {"reason": reason, "to": to, "lease_token": lease_token, "actor": actor}
    task: Task = yield request("POST", "tasks", task_id, action, body=data, version=version)
    return task


def fail_task(task_id: str, *, reason: str, lease_token: int | None = None) -> Steps[Task]:
    return (yield from act_on_task(task_id, "fail", reason=reason, lease_token=lease_token))


def retry_task(task_id: str, *, reason: str | None = None) -> Steps[Task]:
    return (yield from act_on_task(task_id, "retry", reason=reason))


def cancel_task(task_id: str, *, reason: str | None = None) -> Steps[Task]:
    return (yield from act_on_task(task_id, "cancel", reason=reason))


def approve_task(task_id: str, *, actor: str | None = None, version: int | None = None) -> Steps[Task]:
    """Agree to provisional work that has a commit; an orchestrator merges it."""
    return (yield from act_on_task(task_id, "approve", actor=actor, version=version))


def release_task(
    task_id: str, *, reason: str | None = None, lease_token: int | None = None, actor: str | None = None
) -> Steps[Task]:
    """Give a claimed task back to the queue."""
    return (yield from act_on_task(task_id, "release", reason=reason, lease_token=lease_token, actor=actor))


def continue_task(
    task_id: str, *, reason: str, lease_token: int | None = None, actor: str | None = None
) -> Steps[Task]:
    """Give a claimed task back to be gone on with: the next run begins where this one stopped."""
    return (yield from act_on_task(task_id, "continue", reason=reason, lease_token=lease_token, actor=actor))


def finish_task_in_place(
    task_id: str, *, reason: str | None = None, lease_token: int | None = None, actor: str | None = None
) -> Steps[Task]:
    """End a lease on a provisional task, which stays provisional."""
    return (
        yield from act_on_task(
            task_id, "finish_in_place", reason=reason, lease_token=lease_token, actor=actor
        )
    )


def note_conflict(
    task_id: str, *, reason: str, actor: str | None = None, version: int | None = None
) -> Steps[Task]:
    """Note that provisional work does not merge."""
    return (yield from act_on_task(task_id, "conflict", reason=reason, actor=actor, version=version))


def escalate_task(
    task_id: str, *, reason: str, actor: str | None = None, version: int | None = None
) -> Steps[Task]:
    """Leave a task to a person."""
    return (yield from act_on_task(task_id, "escalate", reason=reason, actor=actor, version=version))


def hold_task(
    task_id: str, *, reason: str | None = None, actor: str | None = None, version: int | None = None
) -> Steps[Task]:
    """Put a task that waits into the backlog."""
    return (yield from act_on_task(task_id, "hold", reason=reason, actor=actor, version=version))


def enqueue_task(
    task_id: str, *, reason: str | None = None, actor: str | None = None, version: int | None = None
) -> Steps[Task]:
    """Take a task out of the backlog."""
    return (yield from act_on_task(task_id, "enqueue", reason=reason, actor=actor, version=version))


def block_task(task_id: str, *, actor: str | None = None, version: int | None = None) -> Steps[Task]:
    """Wait for unfinished dependencies; the server does so by itself."""
    return (yield from act_on_task(task_id, "block", actor=actor, version=version))


def unblock_task(task_id: str, *, actor: str | None = None, version: int | None = None) -> Steps[Task]:
    """Go on, all dependencies being done; the server does so by itself."""
    return (yield from act_on_task(task_id, "unblock", actor=actor, version=version))


def force_task(task_id: str, to: str, *, reason: str, actor: str, version: int | None = None) -> Steps[Task]:
    """Put a task into any state: for a person with a key of scope admin.

    Args:
        actor: the person, as `human:ana`.
    """
    return (yield from act_on_task(task_id, "force", reason=reason, to=to, actor=actor, version=version))
