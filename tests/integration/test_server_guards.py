"""X8: what is refused on TCP before any handler sees it, spoken over raw sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tcp_serving import Tcp, bearer, serve_tcp

from backend.errors import BadInput, StoreBusy
from backend.keys import KeyScope
from backend.model import Task, TaskFilter
from backend.server.events import end_tasks
from backend.server.guard import BODY_LIMIT
from backend.server.jobs import sweep
from backend.server.protocol import Certificate
from backend.server.rate import Rate
from backend.server.tcp import CannotListen, Site, TcpServer

BODY = '{"id":"t1","role":"implement"}'


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Tcp]:
    """Without keys: what is left is what keeps web pages out."""
    async with serve_tcp(tmp_path, keys=False, hosts=("octopoid.example",)) as one:
        yield one


def post(host: str, *headers: str, body: str = BODY, length: int | None = None) -> str:
    lines = [
        "POST /api/v1/tasks HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\n".join([*lines, "", body])


async def made(site: Tcp) -> int:
    return len(await site.backend.list_tasks(TaskFilter()))


@pytest.mark.parametrize("name", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "octopoid.example",
                                  "OCTOPOID.example:{port}"])  # fmt: skip
async def test_its_own_names_are_answered(site: Tcp, name: str) -> None:
    status, answer = await site.raw(post(name.format(port=site.port)))
    assert status == 201, answer


@pytest.mark.parametrize(
    "name",
    ["evil.example", "evil.example:{port}", "localhost", "localhost:1", "127.0.0.1.evil.example:{port}",
     "localhost:{port}.evil.example", "localhost@evil.example", "0.0.0.0:{port}", "sub.octopoid.example", ""],
)  # fmt: skip
async def test_a_rebound_name_is_refused(site: Tcp, name: str) -> None:
    """T12: DNS rebinding; the page's own name is what the browser sends as Host."""
    status, answer = await site.raw(post(name.format(port=site.port)))
    assert 400 <= status < 500, answer
    assert await made(site) == 0


@pytest.mark.parametrize(
    "header",
    ["Origin: null", "Origin: http://evil.example", "Origin: https://octopoid.example.evil.example",
     "Origin: http://localhost:1", "Origin: file://", "Origin: octopoid.example", "Origin: ",
     "Origin: http://octopoid.example/x", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"],
)  # fmt: skip
async def test_a_page_of_another_origin_is_refused(site: Tcp, header: str) -> None:
    status, answer = await site.raw(post(f"localhost:{site.port}", header))
    assert status == 403, answer
    assert "access-control-allow-origin" not in answer.lower()
    assert await made(site) == 0


async def test_a_program_without_origin_and_a_page_of_its_own_may(site: Tcp) -> None:
    own = f"Origin: http://localhost:{site.port}"
    assert (await site.raw(post(f"localhost:{site.port}", own, "Sec-Fetch-Site: same-origin")))[0] == 201
    assert (await site.raw(post(f"localhost:{site.port}")))[0] == 201


async def test_a_preflight_gives_no_leave(site: Tcp) -> None:
    status, answer = await site.raw(
        f"OPTIONS /api/v1/tasks HTTP/1.1\nHost: localhost:{site.port}\nOrigin: http://evil.example\n"
        "Access-Control-Request-Method: POST\nConnection: close\n\n"
    )
    assert status == 403
    assert "access-control" not in answer.lower()


async def test_a_form_is_no_request(site: Tcp) -> None:
    """T12: what a page may send across origins without asking first."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        request = post(f"localhost:{site.port}").replace("application/json", kind)
        assert (await site.raw(request))[0] == 415
    assert await made(site) == 0


async def test_a_post_without_a_body_makes_nothing(site: Tcp) -> None:
    status, _ = await site.raw(
        f"POST /api/v1/tasks HTTP/1.1\nHost: localhost:{site.port}\nConnection: close\n\n"
    )
    assert status == 422
    assert await made(site) == 0


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: localhost",), ("Content-Length: 3",), ("Transfer-Encoding: chunked",),
        ("Transfer-Encoding: chunked, identity",), ("Authorization: Bearer a", "Authorization: Bearer b"),
        ("Content-Type: text/plain",), ("X: a\x00b",), ("Idempotency-Key: a", "Idempotency-Key: b"),
    ],
)  # fmt: skip
async def test_headers_that_can_be_read_in_two_ways_are_400(site: Tcp, headers: tuple[str, ...]) -> None:
    status, answer = await site.raw(post(f"localhost:{site.port}", *headers))
    assert status == 400, answer
    assert await made(site) == 0


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999", "0x10", "", "5, 6"])
async def test_a_length_that_is_none_is_refused(site: Tcp, length: str) -> None:
    request = post(f"localhost:{site.port}").replace(
        f"Content-Length: {len(BODY)}", f"Content-Length: {length}"
    )
    status, answer = await site.raw(request)
    assert status in (400, 413), answer
    assert await made(site) == 0


async def test_an_announced_giant_is_refused_unread(site: Tcp) -> None:
    status, _ = await site.raw(post(f"localhost:{site.port}", length=BODY_LIMIT + 1))
    assert status == 413


async def test_a_chunked_giant_is_cut_off(site: Tcp) -> None:
    head = post(f"localhost:{site.port}", "Transfer-Encoding: chunked", body="")
    head = head.replace("Content-Length: 0\n", "").replace("\n", "\r\n")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(head.encode() + chunk * (BODY_LIMIT // 65536 + 2))
    answer = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert answer.split()[1] == b"413"


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n",
                                 b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"])  # fmt: skip
async def test_what_is_no_http_is_400(site: Tcp, raw: bytes) -> None:
    status, _ = await site.raw(raw + b"\r\n\r\n")
    assert status == 400
    assert (await site.http.get("/api/health")).status_code == 200


async def test_http_without_a_host_is_refused(site: Tcp) -> None:
    assert (await site.raw("GET /api/health HTTP/1.0\n\n"))[0] == 421


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/", "/api", "/api/v1/tasks/"])
async def test_the_documentation_is_closed(site: Tcp, path: str) -> None:
    assert (await site.http.get(path)).status_code == 404


async def test_a_websocket_of_a_page_is_refused(site: Tcp) -> None:
    """T12: before it is accepted."""
    status, answer = await site.raw(
        f"GET /api/v1/events HTTP/1.1\nHost: localhost:{site.port}\nUpgrade: websocket\nConnection: Upgrade\n"
        "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nOrigin: http://evil.example\n\n"
    )
    assert status == 403, answer


async def test_without_a_key_nobody_learns_what_there_is(tmp_path: Path) -> None:
    async with serve_tcp(tmp_path) as site:
        for path in ("/api/v1/tasks", "/api/v1/nothing", "/metrics", "/docs", "/api/v1/keys"):
            answer = await site.http.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
        health = await site.http.get("/api/health")
        assert set(health.json()) == {"status", "version", "name", "api"}


async def test_wrong_keys_are_slowed_down_and_right_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.server.auth.FAILURES", Rate(0.01, 3))
    async with serve_tcp(tmp_path) as site:
        right, wrong = await site.headers(KeyScope.READ), bearer("oct_a_b")
        answers = [await site.http.get("/api/v1/tasks", headers=wrong) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert (await site.http.get("/api/v1/tasks", headers=right)).status_code == 200


async def test_changes_beyond_the_rate_are_429_with_a_time_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.server.auth.CHANGES", Rate(0.001, 2))
    async with serve_tcp(tmp_path) as site:
        busy, other = await site.headers(KeyScope.WORK), await site.headers(KeyScope.WORK)
        answers = [await site.http.post("/api/v1/resume", json={}, headers=busy) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 700 <= int(answers[-1].headers["retry-after"]) <= 1000
        assert (await site.http.get("/api/v1/tasks", headers=busy)).status_code == 200
        assert (await site.http.post("/api/v1/resume", json={}, headers=other)).status_code == 200


async def test_leases_that_have_run_out_are_released_whatever_happened_before(
    site: Tcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.backend.register("c", "a", pid=None)
    await site.http.post("/api/v1/tasks", json={"id": "t", "role": "implement"})
    claim = {"orchestrator_id": "c-a", "agent_name": "x"}
    assert (await site.http.post("/api/v1/tasks/claim", json=claim)).status_code == 200
    site.clock.advance(301)
    release, tries = site.backend.expire_leases, 0

    async def busy_at_first() -> list[Task]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StoreBusy("not now")
        return await release()

    monkeypatch.setattr(site.backend, "expire_leases", busy_at_first)
    sweeping = asyncio.create_task(sweep(site.backend, 0.01))
    async with asyncio.timeout(60):
        while (await site.backend.get_task("t")).run_id is not None:
            await asyncio.sleep(0.01)
    await end_tasks(sweeping)
    assert tries >= 2
    (machine,) = (await site.http.get("/api/v1/orchestrators")).json()["orchestrators"]
    assert machine["status"] == "offline"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "octopoid.example"])
def test_keys_do_not_travel_in_the_clear(host: str) -> None:
    with pytest.raises(BadInput, match="in the clear"):
        Site(host=host).check()
    with pytest.raises(BadInput, match="without keys"):
        Site(host=host, keys=False, behind_proxy=True).check()
    Site(host=host, behind_proxy=True).check()
    Site(host=host, certificate=Certificate(Path("a"))).check()


async def test_a_taken_port_is_told(site: Tcp) -> None:
    other = TcpServer(site.backend, Site(port=site.port))
    with pytest.raises(CannotListen, match=str(site.port)):
        await other.start()


async def test_a_certificate_that_is_none_is_told(site: Tcp, tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.write_text("nothing")
    with pytest.raises(BadInput, match="certificate"):
        TcpServer(site.backend, Site(certificate=Certificate(file)))
