"""When a provider refuses work, nothing more is given to it until it says so; kept over restarts.

What is known is an alert of the store, so that every process says the same and the next scheduler knows too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from backend.clock import from_ms, to_ms
from backend.interface import Backend
from backend.model import Alert

SHORTEST = timedelta(seconds=10)
LONGEST = timedelta(days=7)
"""What is believed of a provider's limit, whatever the agent says."""

UNKNOWN = timedelta(minutes=5)
"""How long a provider is left alone that does not say for how long."""

RETRY_WORTH_IT = 5.0
"""Seconds: an agent program that waits so long before it tries again speaks for its provider."""

APART = timedelta(seconds=5)
"""Between two agents that start again when a limit ends: all at once would meet the next one."""

PREFIX = "quota"


def window_end(data: Mapping[str, object], at: datetime) -> datetime:
    """When a provider's limit ends, as far as an event says: by a time, or after so many seconds."""
    absolute = _number(data.get("resets_at"))
    wait = _number(data.get("resets_in_s"))
    if wait is None and absolute is not None:
        wait = absolute - at.timestamp()
    left = UNKNOWN if wait is None else timedelta(seconds=min(max(wait, 0.0), LONGEST.total_seconds()))
    return _whole(at + max(left, SHORTEST))


def retry_end(data: Mapping[str, object], at: datetime) -> datetime | None:
    """Until when an agent program itself waits for its provider; None when that is soon."""
    wait = _number(data.get("delay_s", data.get("delay")))
    if wait is None or wait < RETRY_WORTH_IT:
        return None
    return _whole(at + min(max(timedelta(seconds=min(wait, LONGEST.total_seconds())), SHORTEST), LONGEST))


def quota_key(orchestrator_id: str, adapter: str) -> str:
    """Limits are a provider's, as one machine meets it: another may have another account."""
    return f"{PREFIX}:{orchestrator_id}:{adapter}"


def windows(alerts: Iterable[Alert], orchestrator_id: str) -> dict[str, datetime]:
    """Until when each adapter's provider refuses work here."""
    mine = f"{PREFIX}:{orchestrator_id}:"
    return {
        alert.key.removeprefix(mine): alert.until
        for alert in alerts
        if alert.key.startswith(mine) and alert.until is not None
    }


async def close_provider(
    backend: Backend, orchestrator_id: str, adapter: str, until: datetime, now: datetime
) -> None:
    """Give a provider no more work until then; a limit that is known to last longer stands."""
    known = windows(await backend.list_alerts(), orchestrator_id).get(adapter)
    if until > now and (known is None or until > known):
        reason = f"the provider of {adapter} refuses work"
        await backend.raise_alert(quota_key(orchestrator_id, adapter), reason, until=until)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(value)


def _whole(at: datetime) -> datetime:
    """In milliseconds, as the store keeps times."""
    return from_ms(to_ms(at.astimezone(UTC)))
