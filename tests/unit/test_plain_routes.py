"""Routes whose endpoints read their requests themselves."""

from __future__ import annotations

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from backend.server.plain import plain_routes

router = APIRouter(prefix="/things")


@router.get("/{thing}/parts/{part}")
async def read(request: Request, thing: str, part: str) -> Response:
    return PlainTextResponse(f"{thing} {part} {request.url.query}")


@router.post("/{thing}")
async def change(request: Request, thing: str) -> Response:
    return PlainTextResponse(f"{thing} {(await request.body()).decode()}")


def client() -> httpx.AsyncClient:
    app = FastAPI(openapi_url=None)
    app.router.routes += plain_routes(router, "/api")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


async def test_an_endpoint_gets_the_request_and_what_the_address_names() -> None:
    async with client() as http:
        assert (await http.get("/api/things/a%20b/parts/7?x=1")).text == "a b 7 x=1"
        assert (await http.post("/api/things/a", content=b"new")).text == "a new"


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/api/things/a/parts/7"), ("GET", "/api/things/a")])
async def test_another_method_than_the_routers_is_refused(method: str, path: str) -> None:
    async with client() as http:
        assert (await http.request(method, path)).status_code == 405


async def test_an_address_that_no_route_has_is_not_found() -> None:
    async with client() as http:
        assert (await http.get("/things/a/parts/7")).status_code == 404
