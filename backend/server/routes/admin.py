"""The whole state, out and in: for an administrator, or the user whose process owns the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from backend.errors import OctopoidError
from backend.server.caller import query_actor
from backend.server.wire import backend_of, no_query, read_raw, respond
from backend.transfer.archive import Archive

router = APIRouter(prefix="/admin")

CHUNK = 256 * 1024


class NoArchive(OctopoidError):
    """This server has no state of its own."""

    slug = "no-archive"
    http_status = 501


def archive_of(request: Request) -> Archive:
    backend = backend_of(request)
    if isinstance(backend, Archive):
        return backend
    raise NoArchive("this server has no state of its own", "ask the server whose store it is")


@router.get("/export")
async def export(request: Request) -> Response:
    """Everything but keys, as it is at this moment."""
    no_query(request)
    archive = archive_of(request)
    with ExitStack() as closing:
        # The answer begins when all of it is there: an export that ends early looks like a whole one.
        spool = closing.enter_context(TemporaryFile())
        await archive.export_state(spool)
        size = spool.tell()
        spool.seek(0)
        until_sent = closing.pop_all()
    headers = {"Content-Length": str(size), "Content-Disposition": 'attachment; filename="octopoid.json"'}
    return StreamingResponse(_chunks(spool, until_sent), headers=headers, media_type="application/json")


def _chunks(spool: IO[bytes], until_sent: ExitStack) -> Iterator[bytes]:
    with until_sent:
        while chunk := spool.read(CHUNK):
            yield chunk


@router.post("/import")
async def import_(request: Request) -> Response:
    """Take in an export, all of it or nothing."""
    actor = query_actor(request)
    raw = await read_raw(request)
    return respond({"imported": await archive_of(request).import_state(raw, actor=actor)})
