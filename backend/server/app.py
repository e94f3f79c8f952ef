"""The REST API over any backend."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from starlette.routing import WebSocketRoute

from backend.interface import Backend
from backend.server import problems
from backend.server.auth import Auth, Verify
from backend.server.chat_socket import ChatSocket
from backend.server.events import Streams
from backend.server.front import Front
from backend.server.guard import BodyLimit
from backend.server.idempotency import Idempotency
from backend.server.plain import plain_routes
from backend.server.routes import (
    admin,
    agents,
    alerts,
    chat,
    claims,
    drafts,
    events,
    evidence,
    health,
    keys,
    leases,
    messages,
    metrics,
    orchestrators,
    projects,
    queue,
    rules,
    runs,
    scheduler,
    sessions,
    steering,
    sync,
    tasks,
    transitions,
    workers,
)
from backend.server.scopes import Scopes

PREFIX = "/api/v1"

# `claims` goes before `transitions`, whose address ends in any action.
NOUNS = (
    tasks, claims, evidence, transitions, leases, runs, messages, agents, orchestrators, steering, events,
    keys, rules, alerts, sync, projects, drafts, scheduler, workers, queue, sessions, chat,
)  # fmt: skip
ROUTERS: tuple[tuple[str, APIRouter], ...] = (
    ("", metrics.router),
    ("/api", health.router),
    ("/api", admin.router),
    *((PREFIX, noun.router) for noun in NOUNS),
)


@dataclass(frozen=True, slots=True)
class Network:
    """How an application is guarded that can be reached over the network.

    `hosts` are names it may be called by, besides its address and those of the loopback. Without `verify`
    no key is asked for.
    """

    hosts: tuple[str, ...] = ()
    verify: Verify | None = None


def create_app(backend: Backend, network: Network | None = None) -> FastAPI:
    """The application that serves `backend`; it neither opens nor closes it.

    Without `network` it trusts whoever reaches it, as on a socket of one user's own.
    """
    app = FastAPI(title="Octopoid", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.backend = backend
    app.state.streams = Streams()
    app.state.guarded = network is not None
    problems.install(app)
    # The last one added is the first one passed.
    app.add_middleware(Scopes, backend=backend)
    app.add_middleware(Idempotency, backend=backend)
    app.add_middleware(BodyLimit)
    if network is not None:
        if network.verify is not None:
            app.add_middleware(Auth, verify=network.verify)
        app.add_middleware(Front, hosts=network.hosts)
    app.add_middleware(problems.Catch)
    app.router.routes.append(WebSocketRoute(f"{PREFIX}/chat/ws", ChatSocket()))
    for prefix, router in ROUTERS:
        app.router.routes += plain_routes(router, prefix)
    return app
