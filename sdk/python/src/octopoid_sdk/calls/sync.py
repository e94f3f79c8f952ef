"""How the process that answers stands with a server of its own."""

from __future__ import annotations

from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.fleet_records import SyncConflict, SyncState, WaitingChange


def get_sync_state() -> Steps[SyncState]:
    """Where the state is, and how many changes wait to be sent."""
    state: SyncState = yield request("GET", "sync")
    return state


def sync_now() -> Steps[SyncState]:
    """Send what waits at once."""
    state: SyncState = yield request("POST", "sync", "now", body={})
    return state


def list_pending(*, limit: int | None = None) -> Steps[list[WaitingChange]]:
    """Changes that the server does not have yet, oldest first."""
    page = yield request("GET", "sync", "pending", params={"limit": limit})
    changes: list[WaitingChange] = page["changes"]
    return changes


def list_conflicts() -> Steps[list[SyncConflict]]:
    """Changes that the server did not take and nobody has settled, oldest first."""
    page = yield request("GET", "sync", "conflicts")
    conflicts: list[SyncConflict] = page["conflicts"]
    return conflicts


def settle_conflict(conflict_id: str, choice: str, *, actor: str | None = None) -> Steps[None]:
    """Ask for a change again (`mine`), or drop it (`theirs`)."""
    body = {"choice": choice, "actor": actor}
    yield request("POST", "sync", "conflicts", conflict_id, "settle", body=body)
