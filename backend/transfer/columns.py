"""Whole records as columns: what an import writes, and nothing else does."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any

from backend.clock import to_ms
from backend.model import Actor
from backend.store.rows import dump_fields, dump_list

TABLES = {
    "orchestrators": "orchestrators",
    "pauses": "machine_pauses",
    "agents": "agents",
    "projects": "projects",
    "drafts": "drafts",
    "tasks": "tasks",
    "runs": "runs",
    "evidence": "evidence",
    "messages": "messages",
    "rules": "rules",
    "sessions": "sessions",
    "alerts": "alerts",
}
ELSEWHERE = {
    "tasks": ("blocked_by",),
    "orchestrators": ("status",),
    "pauses": ("paused",),
    "sessions": ("status", "waiting"),
}
"""Attributes that are no columns."""
NAMES = {"evidence": {"check": "name"}, "pauses": {"machine": "orchestrator_id"}}
"""Columns with another name than the attribute."""


def columns_of(section: str, record: Any) -> dict[str, object]:
    """A record's columns and values, as either database takes them."""
    skipped, names = ELSEWHERE.get(section, ()), NAMES.get(section, {})
    values: dict[str, object] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in skipped:
            continue
        if isinstance(value, Actor):
            values |= {"sender_type": value.type.value, "sender_id": value.id}
        else:
            values[names.get(field.name, field.name)] = _stored(value)
    return values


def _stored(value: object) -> object:
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return dump_list(value)
    if isinstance(value, dict):
        return dump_fields(value)
    return value
