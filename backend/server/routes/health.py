"""Is there somebody."""

from __future__ import annotations

import os
from importlib import metadata

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.model import Json
from backend.server.caller import caller_of
from backend.server.wire import backend_of, no_query, respond

router = APIRouter()

VERSION = metadata.version("octopoid")


@router.get("/health")
async def health(request: Request) -> Response:
    """Answers once the store does."""
    no_query(request)
    seq = await backend_of(request).last_seq()
    said: Json = {"status": "healthy", "version": VERSION, "name": "octopoid", "api": "v1"}
    if caller_of(request) is not None or not request.app.state.guarded:
        said |= {"pid": os.getpid(), "last_seq": seq}
    return respond(said)
