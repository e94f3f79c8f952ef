"""`keys`: who may use a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from backend.clock import to_iso
from backend.errors import BadInput
from backend.keys import ApiKey, KeyKeeper, KeyScope, NewKey
from backend.model import Json
from backend.wire import to_json
from octopoid_tui.cli.output import columns, say, say_json, warn
from octopoid_tui.cli.serve import DatabaseOption, find_database
from octopoid_tui.cli.session import person
from octopoid_tui.cli.tasks import JsonFlag

if TYPE_CHECKING:
    from backend.server.database import Database

T = TypeVar("T")


class KeyAction(StrEnum):
    CREATE = "create"
    LIST = "list"
    REVOKE = "revoke"


def keys(
    action: Annotated[KeyAction, typer.Argument(metavar="create|list|revoke", help="What to do.")],
    key_id: Annotated[str | None, typer.Argument(metavar="KEY", help="The key's id, to revoke it.")] = None,
    scope: Annotated[
        KeyScope | None,
        typer.Option(help="What the key may do: read, work, or admin, which may also force and make keys."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Who holds the key.")] = None,
    orchestrator: Annotated[
        str | None, typer.Option(metavar="ID", help="The one machine the key acts for: CLUSTER-MACHINE.")
    ] = None,
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="After so many days the key opens nothing.")
    ] = None,
    db: DatabaseOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Make, list or revoke keys to the server, also while it runs; a revoked key is refused from then on."""
    database, _ = find_database(db)
    if action is KeyAction.CREATE:
        if scope is None or not label or key_id is not None:
            raise BadInput("a key needs a scope and a label", "give --scope read|work|admin --label NAME")
        expires = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
        _create(database, NewKey(label, scope, orchestrator, expires), as_json)
        return
    if (scope, label, orchestrator, expires_days) != (None, None, None, None):
        raise BadInput(f"--scope and the rest describe a new key, and {action} makes none", "leave them out")
    if action is KeyAction.LIST:
        _list(database, as_json)
    elif key_id is None:
        raise BadInput("no key is named", "octopoid keys list shows their ids")
    else:
        _revoke(database, key_id, as_json)


def _create(database: Database, new: NewKey, as_json: bool) -> None:
    created = _run(database, lambda keeper: keeper.create_key(new, actor=person()))
    if as_json:
        say_json({**to_json(created.key), "token": created.token})
    else:
        say(created.token)
        warn("keep it: it is not shown again")


def _list(database: Database, as_json: bool) -> None:
    found = _run(database, lambda keeper: keeper.list_keys())
    if as_json:
        rows: list[Json] = [to_json(key) for key in found]
        say_json(rows)
    elif found:
        heads = ("ID", "SCOPE", "LABEL", "FOR", "USED", "STATE")
        say(columns([heads, *(_row(key) for key in found)]))


def _revoke(database: Database, key_id: str, as_json: bool) -> None:
    key = _run(database, lambda keeper: keeper.revoke_key(key_id, actor=person()))
    if as_json:
        say_json(to_json(key))
    else:
        say(f"key {key.id} ({key.label}) opens nothing any more")


def _row(key: ApiKey) -> tuple[str, ...]:
    used = "never" if key.last_used_at is None else to_iso(key.last_used_at)
    return key.id, key.scope.value, key.label, key.orchestrator_id or "any", used, _state(key)


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "valid"
    return "expired" if key.expires_at <= datetime.now(UTC) else f"until {to_iso(key.expires_at)}"


def _run(database: Database, work: Callable[[KeyKeeper], Awaitable[T]]) -> T:
    from backend.server.database import key_keeper

    async def session() -> T:
        async with key_keeper(database) as keeper:
            return await work(keeper)

    return asyncio.run(session())
