"""The REST API over any backend."""

from __future__ import annotations

from fastapi import FastAPI

from backend.interface import Backend
from backend.server import problems
from backend.server.events import Streams
from backend.server.guard import BodyLimit, Idempotency
from backend.server.routes import (
    agents,
    claims,
    events,
    evidence,
    health,
    leases,
    messages,
    orchestrators,
    runs,
    steering,
    tasks,
    transitions,
)

PREFIX = "/api/v1"


def create_app(backend: Backend) -> FastAPI:
    """The application that serves `backend`; it neither opens nor closes it."""
    app = FastAPI(title="Octopoid", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.backend = backend
    app.state.streams = Streams()
    problems.install(app)
    # The last one added is the first one passed.
    app.add_middleware(Idempotency)
    app.add_middleware(BodyLimit)
    app.add_middleware(problems.Catch)
    app.include_router(health.router, prefix="/api")
    # `claims` goes before `transitions`, whose address ends in any action.
    for noun in (
        tasks, claims, evidence, transitions, leases, runs, messages, agents, orchestrators, steering, events,
    ):  # fmt: skip
        app.include_router(noun.router, prefix=PREFIX)
    return app
