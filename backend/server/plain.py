"""Routes without what FastAPI does around an endpoint: ours read their requests themselves.

Its reading of parameters, its stacks for dependencies and its check of the answer are a tenth of a claim.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Endpoint = Callable[..., Awaitable[Response]]


def plain_routes(router: APIRouter, prefix: str) -> Iterator[Route]:
    """The routes of a router; each endpoint gets the request, and what its address names."""
    for route in router.routes:
        assert isinstance(route, APIRoute)
        plain = Route(prefix + route.path, _called(route.endpoint))
        plain.methods = route.methods  # given above, GET would bring HEAD with it
        yield plain


def _called(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def call(request: Request) -> Response:
        return await endpoint(request, **request.path_params)

    return call
