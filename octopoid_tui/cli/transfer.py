"""`export` and `import`: the whole state as one file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from backend.errors import BadInput, NotFound
from octopoid_tui.cli.output import say, say_json, warn
from octopoid_tui.cli.serve import DatabaseOption, find_database
from octopoid_tui.cli.session import person
from octopoid_tui.cli.tasks import JsonFlag

if TYPE_CHECKING:
    from backend.remote import RemoteBackend
    from backend.transfer.archive import Archive

STREAM = Path("-")


def export(
    file: Annotated[Path, typer.Argument(help="Where to write; - is stdout.")],
    db: DatabaseOption = None,
) -> None:
    """Write the whole state to a file: tasks, runs, messages, rules, sessions, projects, events and the rest.

    It can be done while Octopoid works; the file has the state of one moment. Keys are not in it.
    """
    if file == STREAM:
        asyncio.run(_export(sys.stdout.buffer, db))
        return
    if file.exists():
        raise BadInput(f"{file} is there already", "name another file")
    # Under another name until it is whole, and for nobody else to read.
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            asyncio.run(_export(out, db))
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    warn(f"written to {file}")


def import_(
    file: Annotated[Path, typer.Argument(help="What `octopoid export` has written; - is stdin.")],
    db: DatabaseOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Take in an export, all of it or nothing. The store has to be empty.

    Leases stay where they were given: a task that was worked on is queued again.
    """
    raw = sys.stdin.buffer.read() if file == STREAM else _read(file)
    counts = asyncio.run(_import(raw, db))
    if as_json:
        say_json(counts)
    else:
        say(", ".join(f"{count} {name}" for name, count in counts.items()))


def _read(file: Path) -> bytes:
    if not file.is_file():
        raise NotFound(f"there is no file {file}", "name what octopoid export has written")
    return file.read_bytes()


async def _export(out: IO[bytes], db: str | None) -> None:
    async with _archive(db) as archive:
        await archive.export_state(out)


async def _import(raw: bytes, db: str | None) -> dict[str, int]:
    async with _archive(db) as archive:
        return dict(await archive.import_state(raw, actor=person()))


@asynccontextmanager
async def _archive(db: str | None) -> AsyncIterator[Archive]:
    """The database named, or the project's own store, or its server."""
    async with AsyncExitStack() as closing:
        remote = None if db is not None else _server()
        if remote is not None:
            closing.push_async_callback(remote.close)
            yield remote
            return
        from backend.server.database import open_archive

        database, limits = find_database(db)
        yield await closing.enter_async_context(open_archive(database, limits))


def _server() -> RemoteBackend | None:
    """The server that this project's state is on, if it is on one."""
    from backend.remote import RemoteBackend
    from backend.rest.key import read_key
    from octopoid_tui.cli.agreement import ensure_trust
    from scheduler.project import Project

    try:
        project = Project.open(Path.cwd())
    except NotFound:
        return None  # then a database has to be named, and that is said
    server = project.config.server
    if project.config.mode == "local" or server.url is None:
        return None
    ensure_trust(project)
    return RemoteBackend(server.url, api_key=server.api_key or read_key(project.layout.root))
