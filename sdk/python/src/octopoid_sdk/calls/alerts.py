"""Alerts: what everybody should know for a while."""

from __future__ import annotations

from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.fleet_records import Alert


def list_alerts() -> Steps[list[Alert]]:
    """What holds now, oldest first."""
    page = yield request("GET", "alerts")
    alerts: list[Alert] = page["alerts"]
    return alerts


def raise_alert(key: str, reason: str, *, until: str | None = None) -> Steps[Alert]:
    """Let everybody know something until a time; one for each key."""
    body = {"key": key, "reason": reason, "until": until}
    alert: Alert = yield request("POST", "alerts", body=body)
    return alert


def clear_alert(key: str) -> Steps[None]:
    """Take an alert back; when there is none, nothing happens."""
    yield request("POST", "alerts", "clear", body={"key": key})
