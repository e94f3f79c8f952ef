"""Which database a server stands on, as one writes it on a command line, and how it is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.config.locate import Layout
from backend.errors import BadInput, StoreBroken, StoreBusy
from backend.keys import ApiKey, CreatedKey, KeyKeeper, NewKey
from backend.lifecycle import Limits
from backend.local import LocalBackend
from backend.model import Actor
from backend.open import Opened, open_backend
from backend.rest.connection import Connection
from backend.transfer.archive import Archive
from backend.wire import from_json, to_json

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")
FOLDER = ".octopoid"


@dataclass(frozen=True, slots=True)
class Database:
    """A SQLite file with its owner's lock and socket, or the URL of a PostgreSQL database."""

    url: str | None = None
    file: Path | None = None

    @property
    def lock(self) -> Path:
        """Beside the file, or that of the project whose store it is."""
        assert self.file is not None
        layout = Layout(self.file.parent)
        return layout.owner_lock if self._is_projects else self.file.with_name(f"{self.file.name}.lock")

    @property
    def socket(self) -> Path:
        assert self.file is not None
        layout = Layout(self.file.parent)
        return layout.socket() if self._is_projects else self.file.with_name(f"{self.file.name}.sock")

    @property
    def _is_projects(self) -> bool:
        assert self.file is not None
        folder = self.file.parent
        return folder.name == FOLDER and Layout(folder).database == self.file


def parse_database(text: str) -> Database:
    """
    Raises:
        BadInput: it is neither `sqlite:///PATH` nor `postgresql://…`.
    """
    if text.startswith(SQLITE) and len(text) > len(SQLITE):
        return Database(file=Path(text.removeprefix(SQLITE)).expanduser().absolute())
    if text.startswith(POSTGRES):
        return Database(url=text)
    # Not repeated in the error: it may hold a password.
    raise BadInput("the database is not understood", "give sqlite:///PATH or postgresql://USER@HOST/NAME")


@asynccontextmanager
async def own_database(database: Database, limits: Limits) -> AsyncIterator[LocalBackend]:
    """The state in this process; of a SQLite file, as its owner, who also serves this user's commands.

    Raises:
        StoreBusy: another process owns the file; it is named.
        StoreBroken: the store cannot be used.
    """
    if database.url is not None:
        backend = await LocalBackend.connect(database.url, limits=limits)
        try:
            yield backend
        finally:
            await backend.close()
        return
    async with await _open_file(database, "serve", limits, serve=True) as opened:
        if not isinstance(opened.backend, LocalBackend):
            raise StoreBusy(
                f"{opened.lock.holder() or 'another process'} owns the store already", "end it first"
            )
        yield opened.backend


@asynccontextmanager
async def open_archive(database: Database, limits: Limits) -> AsyncIterator[Archive]:
    """Whoever has the state: this process, or the owner of the file.

    Raises:
        StoreBusy, StoreBroken: the store cannot be reached.
    """
    if database.url is not None:
        async with own_database(database, limits) as backend:
            yield backend
        return
    async with await _open_file(database, "command", limits) as opened:
        if not isinstance(opened.backend, Archive):
            raise StoreBroken("the process that owns the store has no state of its own", "ask its server")
        yield opened.backend


@asynccontextmanager
async def key_keeper(database: Database) -> AsyncIterator[KeyKeeper]:
    """Whoever keeps the keys: this process, or the owner of the file.

    Raises:
        StoreBusy, StoreBroken: the store cannot be reached.
    """
    if database.url is not None:
        async with own_database(database, Limits()) as backend:
            yield backend
        return
    async with await _open_file(database, "command", Limits()) as opened:
        if isinstance(opened.backend, LocalBackend):
            yield opened.backend
            return
        holder = opened.lock.holder()
        if holder is None or holder.socket is None:
            raise StoreBusy("the store changes its owner at this moment", "try again")
        async with far_keeper(Connection("http://octopoid", Path(holder.socket))) as keeper:
            yield keeper


@asynccontextmanager
async def far_keeper(connection: Connection) -> AsyncIterator[FarKeys]:
    try:
        yield FarKeys(connection)
    finally:
        await connection.close()


class FarKeys:
    """The keys of a server; over the network it takes a key of scope admin."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create_key(self, new: NewKey, *, actor: Actor) -> CreatedKey:
        data = await self._connection.post("v1/keys", {**to_json(new), "actor": str(actor)})
        return CreatedKey(from_json(ApiKey, data), data["token"])

    async def list_keys(self) -> list[ApiKey]:
        data = await self._connection.get("v1/keys")
        return [from_json(ApiKey, one) for one in data["keys"]]

    async def revoke_key(self, key_id: str, *, actor: Actor) -> ApiKey:
        data = await self._connection.post(f"v1/keys/{key_id}/revoke", {"actor": str(actor)})
        return from_json(ApiKey, data)


async def _open_file(database: Database, what: str, limits: Limits, *, serve: bool = False) -> Opened:
    assert database.file is not None
    return await open_backend(
        database.file, database.lock, database.socket, what=what, serve=serve, limits=limits
    )
