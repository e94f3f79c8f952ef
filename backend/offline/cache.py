"""`cache.db`: the tables of a store with the server's records in them, and the outbox beside them.

Changes made here are made to those tables by the same service that a store has; so whoever reads while the
server is away sees the server's records with the waiting changes on top. One process owns the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from backend.clock import Clock
from backend.inline import Inline, run_at_once
from backend.lifecycle import Limits
from backend.local import LocalBackend, open_store
from backend.model import SYSTEM, Json
from backend.offline import mirror, outbox
from backend.offline.mirror import Mirror
from backend.offline.operations import Operation
from backend.offline.outbox import Outbox
from backend.offline.positions import Positions
from backend.service import Service
from backend.service.context import Context
from backend.store.migrate import statements
from backend.store.sqlite import SqliteStore
from backend.wire import decode, encode, from_json, to_json
from backend.workers import Embedded

T = TypeVar("T")
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS standing (id INTEGER PRIMARY KEY CHECK (id = 1), data TEXT NOT NULL) STRICT;"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What has to outlive the process, besides the records and the outbox."""

    cursor: int | None = None
    """The server's last event that is in the log here; None before the first synchronisation."""
    mark: Json | None = None
    """That event, to tell whether the server still is the one it was."""
    horizon: int = 0
    """Places in the log from which on it is whole here."""
    positions: Positions = field(default_factory=Positions)
    orchestrator_id: str | None = None
    """The machine that this is, as it registered."""
    lease_seconds: int = 300
    identity: str = ""
    """What tells this cache from those of other machines; empty until it is needed."""
    offline_since: int | None = None
    """Milliseconds since the epoch; None while the server is there."""


class CacheService(Service):
    """The service over the cache, with what only a cache has. Lives in the thread of its connection."""

    def __init__(self, store: SqliteStore, clock: Clock, limits: Limits) -> None:
        super().__init__(store, clock, limits)
        self._context = Context(store, clock, limits)
        self._connection = store.connection
        self.outbox = Outbox(store.connection)
        self.mirror = Mirror(store.connection)
        self.here = LocalBackend(Inline(self))

    def do(self, operation: Operation) -> object:
        """Make a change to the records here, as part of the transaction under way.

        Raises: what any backend raises.
        """
        return run_at_once(operation.do(self.here))

    def standing(self) -> Standing:
        row = self._connection.execute("SELECT data FROM standing").fetchone()
        return Standing() if row is None else from_json(Standing, decode(row[0].encode()))

    def save_standing(self, standing: Standing) -> None:
        text = encode(to_json(standing)).decode()
        self._connection.execute("INSERT OR REPLACE INTO standing VALUES (1, ?)", (text,))

    def note(self, kind: str, entity_id: str, reason: str | None = None) -> None:
        """Tell whoever follows the log about the server itself."""
        self._context.note(self._context.now(), SYSTEM, "sync", entity_id, kind, reason=reason)

    def now(self) -> int:
        return self._context.now()


class Cache:
    """The open file: jobs in its threads, and its records as a backend."""

    def __init__(self, engine: Embedded) -> None:
        self._engine = engine
        self.records = LocalBackend(engine)

    @classmethod
    async def open(cls, path: Path, clock: Clock, limits: Limits) -> Cache:
        """
        Raises:
            StoreBroken, StoreBusy: as any store.
        """
        return cls(await asyncio.to_thread(_open, path, clock, limits))

    async def read(self, job: Callable[[CacheService], T]) -> T:
        return await self._engine.read(lambda service: job(cast("CacheService", service)))

    async def write(self, job: Callable[[CacheService], T]) -> T:
        """Run a job; when this returns its changes are kept, when it raises none of them is."""
        return await self._engine.write(lambda service: job(cast("CacheService", service)))

    async def close(self) -> None:
        await self.records.close()


class CacheInside:
    """The cache inside of one change: jobs run at once, as part of that change's transaction."""

    def __init__(self, service: CacheService) -> None:
        self._service = service
        self.records = service.here

    async def read(self, job: Callable[[CacheService], T]) -> T:
        return job(self._service)

    async def write(self, job: Callable[[CacheService], T]) -> T:
        return job(self._service)


def _open(path: Path, clock: Clock, limits: Limits) -> Embedded:
    writing, reading = open_store(path, clock.now_ms())
    try:
        # The server keeps its references whole; here, parts of it may be missing.
        writing.connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements("\n".join((SCHEMA, outbox.SCHEMA, mirror.SCHEMA))):
            writing.connection.execute(statement)
        return Embedded(
            (writing, CacheService(writing, clock, limits)), (reading, CacheService(reading, clock, limits))
        )
    except BaseException:
        reading.close()
        writing.close()
        raise
