"""The chat's WebSocket: what is said reaches everybody, once and in order, and what is sent is said."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import serve
from tcp_serving import ANA, Tcp, bearer, serve_tcp
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from backend.keys import KeyScope
from backend.model import ClaimRequest, MessageKind, MessageType, NewMessage, NewTask
from backend.server import chat_socket, protocol
from backend.server.events import MAX_STREAMS
from backend.server.guard import BODY_LIMIT

WAIT_S = 60.0


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Tcp]:
    async with serve_tcp(tmp_path, keys=False) as one:
        await begin(one)
        yield one


async def begin(site: Tcp) -> None:
    """Two tasks, of which the worker `w1` holds the first."""
    for task_id in ("t1", "t2"):
        new = NewTask(task_id, task_id, "implement", "main", "", "human:ana")
        await site.backend.create_task(new, actor=ANA)
    machine = await site.backend.register("worker", "w1", pid=None)
    await site.backend.claim(ClaimRequest(machine.id, "w1", "external", "run-1", 86_400, task_id="t1"))


async def ask(site: Tcp, message_id: str, task_id: str = "t1", body: str = "Which?") -> None:
    run_id = "run-1" if task_id == "t1" else None
    new = NewMessage(message_id, task_id, ANA, MessageType.REQUEST, MessageKind.QUESTION, body, run_id=run_id)
    await site.backend.post_message(new)


@asynccontextmanager
async def client(site: Tcp, query: str = "", **given: Any) -> AsyncIterator[ClientConnection]:
    url = f"ws://127.0.0.1:{site.port}/api/v1/chat/ws{query}"
    async with connect(url, proxy=None, open_timeout=WAIT_S, close_timeout=WAIT_S, **given) as opened:
        yield opened


async def heard(opened: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(opened.recv(), WAIT_S))


async def said(opened: ClientConnection, **frame: Any) -> Any:
    """Send a frame; what the server says to it. What others say meanwhile is passed over."""
    await opened.send(json.dumps({"ref": 7, **frame}))
    while True:
        answer = await heard(opened)
        if answer["type"] in ("said", "error"):
            assert answer["ref"] == 7
            return answer


async def ended(opened: ClientConnection) -> int | None:
    """The code it is closed with, once everything before that has been read."""
    async with asyncio.timeout(WAIT_S):
        try:
            while True:
                await opened.recv()
        except ConnectionClosed as closed:
            return None if closed.rcvd is None else closed.rcvd.code


async def status_of(site: Tcp, path: str = "", **given: Any) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with client(site, path, **given):
            pass
    assert refused.value.response.headers["content-type"] == "application/problem+json"
    return refused.value.response.status_code


async def test_a_conversation_of_another_scope_is_not_there(site: Tcp) -> None:
    for named in ("task_id", "conversation_id"):
        assert await status_of(site, f"?{named}=t1&scope=elsewhere") == 404
    assert await status_of(site, "?task_id=t1&scope=..") == 422


async def test_a_question_and_its_answer_pass_between_two_clients(site: Tcp) -> None:
    async with client(site) as worker, client(site) as person:
        asked = await said(
            worker, type="worker_request", message="Which?", conversation_id="t1", sender_id="w1"
        )
        assert asked["type"] == "said"
        question = await heard(person)
        assert (question["type"], question["message"], question["id"]) == (
            "worker_request",
            "Which?",
            asked["id"],
        )
        answer = await said(person, type="human_response", message="red")
        assert answer["id"] == f"{asked['id']}.answer"
        while (got := await heard(worker))["type"] != "human_response":
            assert got["id"] == asked["id"]
        assert (got["message"], got["parent_message_id"]) == ("red", asked["id"])
    assert (await site.backend.get_message(asked["id"])).answer == "red"


@pytest.mark.parametrize("by", ["after", "last_message_id"])
async def test_a_client_goes_on_where_it_was_without_a_hole(site: Tcp, by: str) -> None:
    async with client(site, "?after=0") as first:
        await ask(site, "q1")
        seen = await heard(first)
    for number in range(2, 251):
        await ask(site, f"q{number}")
    async with client(site, f"?{by}={seen['seq' if by == 'after' else 'id']}") as again:
        got = [(await heard(again))["id"] for _ in range(249)]
        assert got == [f"q{number}" for number in range(2, 251)]
        await ask(site, "q251")
        assert (await heard(again))["id"] == "q251"


async def test_a_client_of_one_task_hears_of_no_other(site: Tcp) -> None:
    async with client(site, "?task_id=t2") as opened:
        await ask(site, "q1", "t1")
        await ask(site, "q2", "t2")
        assert (await heard(opened))["id"] == "q2"
        wrong = await said(opened, message="x", conversation_id="none", sender_id="ana", sender_type="human")
        assert (wrong["type"], wrong["status"], wrong["slug"]) == ("error", 404, "not-found")


@pytest.mark.parametrize(
    ("frame", "slug"),
    [
        ("{", "bad-input"), ("[]", "bad-input"), ('"x"', "bad-input"), ("{}", "bad-input"),
        ('{"message": "x", "text": "y"}', "bad-input"), ('{"type": "shout", "message": "x"}', "bad-input"),
        ('{"type": "human_response", "message": "x"}', "bad-input"), (b"\xff\xfe", "bad-input"),
    ],
)  # fmt: skip
async def test_a_frame_that_is_not_understood_is_answered(site: Tcp, frame: str | bytes, slug: str) -> None:
    async with client(site) as opened:
        await opened.send(frame)
        answer = await heard(opened)
        assert (answer["type"], answer["slug"], answer["status"]) == ("error", slug, 422)
        assert answer["next_step"]
        assert (await said(opened, message="n", conversation_id="t1", sender_id="w1"))["type"] == "said"


async def test_a_frame_that_is_too_large_ends_the_connection(site: Tcp) -> None:
    async with client(site) as opened:
        await opened.send("x" * (BODY_LIMIT + 1))
        assert await ended(opened) == 1009
    async with client(site) as opened:
        await ask(site, "q1")
        assert (await heard(opened))["id"] == "q1"


async def test_a_key_is_asked_for_before_it_opens(tmp_path: Path) -> None:
    async with serve_tcp(tmp_path) as site:
        await begin(site)
        assert await status_of(site) == 401
        assert await status_of(site, additional_headers=bearer("oct_x_y")) == 401
        assert await status_of(site, "?key=oct_x_y") == 401
        reading = await site.headers(KeyScope.READ)
        async with client(site, additional_headers=reading) as opened:
            refused = await said(opened, message="n", conversation_id="t1", sender_id="w1")
            assert (refused["slug"], refused["status"]) == ("forbidden", 403)
            await ask(site, "q1")
            assert (await heard(opened))["id"] == "q1"
        assert len(await site.backend.list_messages("t1")) == 1


async def test_a_key_bound_to_a_worker_speaks_for_no_other(tmp_path: Path) -> None:
    async with serve_tcp(tmp_path) as site:
        await begin(site)
        other = await site.headers(KeyScope.WORK, "worker-w2")
        frame = {"message": "?", "message_type": "request", "conversation_id": "t1", "sender_id": "x"}
        async with client(site, additional_headers=other) as opened:
            refused = await said(opened, **frame, execution_id="run-1")
            assert refused["slug"] == "forbidden"
        assert await site.backend.list_messages("t1") == []


async def test_a_revoked_key_says_and_hears_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_tcp(tmp_path) as site:
        await begin(site)
        key = await site.key(KeyScope.WORK)
        async with client(site, additional_headers=bearer(key.token)) as opened:
            assert (await said(opened, message="n", conversation_id="t1", sender_id="w1"))["type"] == "said"
            await site.backend.revoke_key(key.key.id, actor=ANA)
            refused = await said(opened, message="n", conversation_id="t1", sender_id="w1")
            assert refused["slug"] == "unauthorized"
            monkeypatch.setattr(chat_socket, "RECHECK_S", 0.0)
            await ask(site, "q1")
            assert await ended(opened) == 1008
        assert len(await site.backend.list_messages("t1")) == 2


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "ws://127.0.0.1"])
async def test_a_page_of_another_origin_gets_no_socket(site: Tcp, origin: str) -> None:
    """T12: a browser sends no preflight for a WebSocket, and names the page all the same."""
    assert await status_of(site, origin=origin) == 403


async def test_its_own_page_and_its_own_name_are_taken_and_no_other(site: Tcp) -> None:
    async with client(site, origin=f"http://127.0.0.1:{site.port}") as opened:
        assert (await said(opened, message="n", conversation_id="t1", sender_id="w1"))["type"] == "said"
    status, _ = await site.raw(
        "GET /api/v1/chat/ws HTTP/1.1\nHost: evil.example\nConnection: Upgrade\nUpgrade: websocket\n"
        "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\n\n"
    )
    assert status == 421


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?after=x", 422),
        ("?since=1", 422),
        ("?last_message_id=none", 404),
        ("?task_id=a&conversation_id=b", 422),
    ],
)
async def test_a_place_that_is_none_is_refused(site: Tcp, query: str, status: int) -> None:
    assert await status_of(site, query) == status


async def test_without_an_upgrade_it_says_what_it_is(site: Tcp) -> None:
    answer = await site.http.get("/api/v1/chat/ws")
    assert (answer.status_code, answer.json()["slug"]) == (426, "upgrade-required")
    assert (await site.http.post("/api/v1/chat/ws", json={})).status_code == 405


async def test_another_address_is_no_socket(site: Tcp) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://127.0.0.1:{site.port}/api/v1/tasks", proxy=None):
            pass
    assert refused.value.response.status_code in (403, 404)


async def test_there_are_so_many_and_no_more(site: Tcp) -> None:
    streams = site.server._streams
    streams.count += MAX_STREAMS
    assert await status_of(site) == 503
    streams.count -= MAX_STREAMS
    async with client(site):
        assert streams.count == 1


async def test_a_stopping_server_says_goodbye(tmp_path: Path) -> None:
    async with serve_tcp(tmp_path, keys=False) as site:
        async with client(site) as first, client(site) as second:
            stopping = asyncio.create_task(site.server.stop())
            assert {await ended(first), await ended(second)} <= {1001, 1012}
            async with asyncio.timeout(WAIT_S):
                await stopping
        assert site.server._streams.count == 0


async def test_a_client_that_does_not_read_is_let_go_and_holds_nobody_up(
    site: Tcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_socket, "SEND_S", 3.0)
    monkeypatch.setattr(protocol, "LINGER_S", 0.1)
    streams = site.server._streams
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", site.port))
        opening = (
            f"GET /api/v1/chat/ws HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n\r\n"
        )
        await loop.sock_sendall(slow, opening.encode())
        assert b"101" in await asyncio.wait_for(loop.sock_recv(slow, 12), WAIT_S)
        async with client(site) as quick:
            for number in range(50):
                await ask(site, f"q{number}", body="x" * 250_000)
                assert (await heard(quick))["id"] == f"q{number}"
            async with asyncio.timeout(WAIT_S):
                while streams.count > 1:
                    await asyncio.sleep(0.02)
            await ask(site, "last")
            assert (await heard(quick))["id"] == "last"


async def test_it_is_there_on_the_owners_socket_too(tmp_path: Path) -> None:
    async with serve(tmp_path) as site:
        new = NewTask("t1", "t1", "implement", "main", "", "human:ana")
        await site.backend.create_task(new, actor=ANA)
        async with unix_connect(str(site.path), "ws://octopoid/api/v1/chat/ws") as opened:
            frame = {"message": "n", "conversation_id": "t1", "sender_id": "ana", "sender_type": "human"}
            assert (await said(opened, **frame))["type"] == "said"
