"""The state of the whole: health, queues, pause, cost, and the log of changes."""

from __future__ import annotations

from octopoid_sdk.calls.runs import list_runs
from octopoid_sdk.exchange import Request, Steps, request
from octopoid_sdk.records import Event, Health, Pause, Run


def get_health() -> Steps[Health]:
    health: Health = yield Request("GET", "health")
    return health


def count_queues() -> Steps[dict[str, int]]:
    """How many tasks each queue holds."""
    data = yield request("GET", "counts")
    queues: dict[str, int] = data["queues"]
    return queues


def get_pause(*, machine: str | None = None) -> Steps[Pause]:
    """Whether intake is paused everywhere, or else on one machine."""
    pause: Pause = yield request("GET", "pause", params={"machine": machine})
    return pause


def pause_intake(
    *,
    reason: str | None = None,
    until: str | None = None,
    machine: str | None = None,
    actor: str | None = None,
) -> Steps[Pause]:
    """Start nothing new; what runs goes on.

    Args:
        machine: on this orchestrator alone.
    """
    body = {"reason": reason, "until": until, "machine": machine, "actor": actor}
    pause: Pause = yield request("POST", "pause", body=body)
    return pause


def resume_intake(*, machine: str | None = None, actor: str | None = None) -> Steps[Pause]:
    pause: Pause = yield request("POST", "resume", body={"machine": machine, "actor": actor})
    return pause


def get_cost(since: str) -> Steps[float]:
    """What runs started since a time have cost, in US dollars, as far as known."""
    data = yield request("GET", "cost", params={"since": since})
    return float(data["cost_usd"])


def list_live_runs() -> Steps[list[Run]]:
    """Every run that has not ended."""
    return (yield from list_runs(live=True))


def list_events(
    *, after: int = 0, limit: int = 500, entity_id: str | None = None, wait: float | None = None
) -> Steps[list[Event]]:
    """Events after a sequence number, in order.

    Args:
        wait: seconds to wait for the first of them, up to 25.
    """
    params = {"after": after, "limit": limit, "entity_id": entity_id, "wait": wait}
    page = yield request("GET", "events", params=params)
    events: list[Event] = page["events"]
    return events


def get_last_seq() -> Steps[int]:
    """The sequence number of the newest event."""
    data = yield request("GET", "events", "last")
    seq: int = data["seq"]
    return seq
