"""Is there somebody."""

from __future__ import annotations

import os

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.server.wire import backend_of, no_query, respond

router = APIRouter()


@router.get("/health")
async def health(request: Request) -> Response:
    """Answers once the store does."""
    no_query(request)
    seq = await backend_of(request).last_seq()
    return respond({"status": "ok", "name": "octopoid", "api": "v1", "pid": os.getpid(), "last_seq": seq})
