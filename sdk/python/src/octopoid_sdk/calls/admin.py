"""What takes a key of scope admin: keys, and the whole state as one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from octopoid_sdk.exchange import Json, Request, Steps, request
from octopoid_sdk.fleet_records import ApiKey, CreatedApiKey


def list_keys() -> Steps[list[ApiKey]]:
    """Every key, without its secret."""
    page = yield request("GET", "keys")
    keys: list[ApiKey] = page["keys"]
    return keys


def create_key(
    *,
    label: str,
    scope: str,
    orchestrator_id: str | None = None,
    expires_at: str | None = None,
    actor: str | None = None,
) -> Steps[CreatedApiKey]:
    """Make a key; its `token` is in this answer alone.

    Args:
        scope: read, work or admin.
        orchestrator_id: the one machine that it may act for.
    """
    body = {
        "label": label,
        "scope": scope,
        "orchestrator_id": orchestrator_id,
        "expires_at": expires_at,
        "actor": actor,
    }
    key: CreatedApiKey = yield request("POST", "keys", body=body)
    return key


def revoke_key(key_id: str, *, actor: str | None = None) -> Steps[ApiKey]:
    """End a key for good."""
    key: ApiKey = yield request("POST", "keys", key_id, "revoke", body={"actor": actor})
    return key


def export_state() -> Steps[Json]:
    """The whole state but leases and keys; `import_state` takes it."""
    state: Json = yield Request("GET", "admin/export")
    return state


def import_state(state: Mapping[str, Any], *, actor: str | None = None) -> Steps[dict[str, int]]:
    """Take in an export, all of it or nothing; returns how many records of each kind it had.

    Raises:
        Conflict: the store is not empty.
        BadRequest: it is no export; section, line and field are named.
    """
    # One record to a line: an error names the line.
    members = (f"{json.dumps(name)}: {_lines(value)}" for name, value in state.items())
    content = ("{" + ",\n".join(members) + "}").encode()
    answer = yield Request("POST", "admin/import", None if actor is None else {"actor": actor}, content)
    counts: dict[str, int] = answer["imported"]
    return counts


def _lines(value: Any) -> str:
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "[" + ",".join("\n" + json.dumps(row, ensure_ascii=False) for row in value) + "\n]"
