"""The least that answers a claim over HTTP: Starlette on uvicorn, the store's SQL, and nothing between.

python tests/bench/plain_server.py DATABASE

It listens on a free port of the loopback and says which on stdout. `/bare` takes a body and gives a task
without a look at the database: what the framework alone costs.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import by_hand
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backend.store.sqlite import connect

CONNECTION = connect(Path(sys.argv[1]))
TASK = {"title": "Task 1", "body": by_hand.BODY, "base_sha": "a" * 40, "fence": 1}


def answer(data: Any) -> Response:
    return Response(msgspec.json.encode(data), 200, None, "application/json")


async def claim(request: Request) -> Response:
    body = msgspec.json.decode(await request.body())
    task_id, fence, row = by_hand.claim(CONNECTION, body["run_id"])
    return answer({**dict(row), "id": task_id, "lease_token": fence})


async def submit(request: Request) -> Response:
    body = msgspec.json.decode(await request.body())
    task_id = request.path_params["task_id"]
    return answer(dict(by_hand.submit(CONNECTION, task_id, body["lease_token"], body["run_id"])))


async def bare(request: Request) -> Response:
    return answer(TASK | msgspec.json.decode(await request.body()))


ROUTES = [
    Route("/api/v1/tasks/claim", claim, methods=["POST"]),
    Route("/api/v1/tasks/{task_id}/submit", submit, methods=["POST"]),
    Route("/bare", bare, methods=["POST"]),
]


async def serve() -> None:
    config = uvicorn.Config(
        Starlette(routes=ROUTES), port=0, http="h11", ws="none", lifespan="off", log_config=None,
        access_log=False, server_header=False, proxy_headers=False,
    )  # fmt: skip
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    sys.stdout.write(f"listening on http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
