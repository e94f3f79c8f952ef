"""Machines that work, and their agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from octopoid_sdk.calls.tasks import LEASE_S
from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.records import Agent, Orchestrator, Poll, Task


def register_orchestrator(
    *,
    cluster: str,
    machine_id: str,
    pid: int | None = None,
    repo_url: str | None = None,
    instance: str | None = None,
) -> Steps[Orchestrator]:
    """Register a machine, new or known; its id is what `claim` wants.

    Args:
        instance: which installation this is, so that a second one of the same name is refused.
    """
    body = {
        "cluster": cluster,
        "machine_id": machine_id,
        "pid": pid,
        "repo_url": repo_url,
        "instance": instance,
    }
    machine: Orchestrator = yield request("POST", "orchestrators", "register", body=body)
    return machine


def send_heartbeat(
    orchestrator_id: str,
    *,
    leases: Sequence[Mapping[str, str | int]] | None = None,
    lease_seconds: int | None = None,
    cycle_at: str | None = None,
) -> Steps[Orchestrator]:
    """Say that a machine is alive, and renew its leases in the same call.

    Args:
        leases: one `{"task_id": …, "lease_token": …}` for each.
        lease_seconds: how long they last from now on.
        cycle_at: when the scheduler finished a cycle.
    """
    body = {"leases": leases, "lease_seconds": lease_seconds, "cycle_at": cycle_at}
    machine: Orchestrator = yield request("POST", "orchestrators", orchestrator_id, "heartbeat", body=body)
    return machine


def get_orchestrator(orchestrator_id: str) -> Steps[Orchestrator]:
    machine: Orchestrator = yield request("GET", "orchestrators", orchestrator_id)
    return machine


def list_orchestrators() -> Steps[list[Orchestrator]]:
    page = yield request("GET", "orchestrators")
    machines: list[Orchestrator] = page["orchestrators"]
    return machines


def set_orchestrator_status(orchestrator_id: str, status: str) -> Steps[Orchestrator]:
    """Note that a machine's scheduler ends (`offline`), or is back (`active`)."""
    machine: Orchestrator = yield request("PATCH", "orchestrators", orchestrator_id, body={"status": status})
    return machine


def renew_leases(
    orchestrator_id: str, leases: Sequence[Mapping[str, str | int]], *, lease_seconds: int = LEASE_S
) -> Steps[list[str]]:
    """Renew leases in one call; returns the ids of the tasks whose lease is lost.

    Args:
        leases: one `{"task_id": …, "lease_token": …}` for each.
    """
    body = {"leases": leases, "lease_seconds": lease_seconds}
    answer = yield request("POST", "orchestrators", orchestrator_id, "renew", body=body)
    lost: list[str] = answer["lost"]
    return lost


def expire_leases() -> Steps[list[Task]]:
    """Release every lease that has run out; returns the tasks released."""
    page = yield request("POST", "leases", "expire", body={})
    tasks: list[Task] = page["tasks"]
    return tasks


def report_agents(orchestrator_id: str, agents: Sequence[Mapping[str, Any]]) -> Steps[None]:
    """Replace what is known of a machine's agents.

    Args:
        agents: each with all fields of `Agent`.
    """
    yield request("PUT", "orchestrators", orchestrator_id, "agents", body={"agents": agents})


def list_agents() -> Steps[list[Agent]]:
    """The agents of all machines, as last reported."""
    page = yield request("GET", "agents")
    agents: list[Agent] = page["agents"]
    return agents


def poll(
    orchestrator_id: str,
    *,
    roles: Sequence[str] | None = None,
    limit: int | None = None,
    after: int | None = None,
    scope: str | None = None,
) -> Steps[Poll]:
    """All that one round of a scheduler needs, in one call.

    Args:
        roles: whose heads of the queue are wanted; every role that waits by default.
        limit: how many tasks of each.
        after: events after this one; `next_after` of the answer is what to give the next time.
    """
    body = {
        "orchestrator_id": orchestrator_id,
        "roles": roles,
        "limit": limit,
        "after": after,
        "scope": scope,
    }
    said: Poll = yield request("POST", "scheduler", "poll", body=body)
    return said
