"""What goes wrong around a server: clients that break off, clocks that are wrong, locks, disks, repeats."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
import shutil
import socket
import sqlite3
import subprocess
import time
import typing
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_process import PROGRAMS, Server, impatient, serving

from backend.server.operations import OPERATIONS
from backend.store.audit import audit

CLAIM = {"orchestrator_id": "c-m", "agent_name": "a"}
BODY = b'{"id": "half", "role": "implement"}'
PATIENCE_S = 60.0


def database(folder: Path) -> tuple[str, str]:
    return "--db", f"sqlite:///{folder}/state.db"


def ask(server: Server, method: str, path: str, **given: Any) -> httpx.Response:
    url = f"{server.url}/api/v1/{path}"
    return httpx.request(method, url, trust_env=False, timeout=PATIENCE_S, **given)


def patiently(server: Server, method: str, path: str, **given: Any) -> httpx.Response:
    """Ask a server that gives its clients little time: on a busy machine an honest one may be too slow."""
    until = time.monotonic() + PATIENCE_S
    while True:
        with suppress(httpx.TransportError):
            answer = ask(server, method, path, **given)
            if answer.status_code != 408:
                return answer
        assert time.monotonic() < until, "no request got through in time"


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


def sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        assert audit(file) == []


def head(server: Server, length: int) -> bytes:
    return (
        f"POST /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), PATIENCE_S)


# Clients that break off


def test_half_a_request_is_no_request(tmp_path: Path) -> None:
    """The body announced is longer than what came, which would be a task by itself; the head is not whole."""
    with serving(tmp_path, *database(tmp_path)) as server:
        for sent in (
            head(server, 1000) + BODY,
            head(server, len(BODY))[:-2],
            head(server, len(BODY)) + BODY[:-1],
            head(server, 1000)[:30],
        ):
            for shut in (True, False):
                with connect(server) as client:
                    client.sendall(sent)
                    if shut:  # the answer could still be read
                        client.shutdown(socket.SHUT_WR)
                        assert b"201" not in client.recv(4096)
        assert ask(server, "POST", "tasks", json={"id": "whole", "role": "implement"}).status_code == 201
        assert server.end() == 0
    with closing(sqlite3.connect(tmp_path / "state.db")) as file:
        assert file.execute("SELECT id FROM tasks").fetchall() == [("whole",)]
    sound(tmp_path / "state.db")


def test_many_slow_clients_keep_nobody_out_for_long(tmp_path: Path) -> None:
    """Slow loris: heads and bodies that never end take all connections there may be, and are sent away."""
    hasty = impatient(
        backend__server__protocol__HEAD_S=1.0,
        backend__server__guard__BODY_S=1.0,
        backend__server__tcp__CONNECTIONS=30,
    )
    with serving(tmp_path, *database(tmp_path), program=hasty) as server:
        slow = [connect(server) for _ in range(40)]
        for number, client in enumerate(slow):
            client.sendall(head(server, 1000)[: 20 + number] if number % 2 else head(server, 1000) + b"{")
        until = time.monotonic() + PATIENCE_S
        waiting = list(slow)
        while waiting:
            assert time.monotonic() < until, f"{len(waiting)} are still connected"
            for client in list(waiting):
                client.settimeout(0.02)
                try:
                    client.sendall(b" ")  # a byte now and then is no progress
                    ended = not client.recv(4096)
                except TimeoutError:
                    ended = False
                except OSError:
                    ended = True
                if ended:
                    client.close()
                    waiting.remove(client)
        new = {"id": "t", "role": "implement"}
        assert patiently(server, "POST", "tasks", json=new, headers=key("t")).status_code == 201
        assert patiently(server, "GET", "tasks").json()["total"] == 1
        assert server.end() == 0
    sound(tmp_path / "state.db")


def test_a_client_that_is_only_idle_is_not_sent_away(tmp_path: Path) -> None:
    """The time for a head begins with its first byte; between two requests a connection may rest."""
    with (
        serving(
            tmp_path, *database(tmp_path), program=impatient(backend__server__protocol__HEAD_S=0.5)
        ) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE_S) as client,
    ):

        def way() -> Any:
            with client.stream("GET", "/api/health") as answer:
                answer.read()
                return answer.extensions["network_stream"].get_extra_info("client_addr")

        for _ in range(20):  # on a busy machine a new connection's first head may be too late
            with suppress(httpx.TransportError):
                first = way()
                time.sleep(0.8)  # longer than a head may take
                if way() == first:
                    return
        pytest.fail("no connection outlived the rest between two requests")


# Clocks that are wrong

CLIENT_TIMES = {
    "HeartbeatBody.cycle_at",  # shown
    "NewMessage.deadline",  # the asking machine's own affair
    "RunPatch.last_activity_at",  # shown; the machine that follows the run decides by its own
    "Evidence.at",  # shown
    "PauseBody.until",  # a person's wish
    "NewKey.expires_at",  # a person's wish
    "CostQuery.since",  # what is asked for
    "UsageQuery.since",  # what is asked for
    "AlertBody.until",  # how long a machine itself wants to leave a provider alone
    "NewRule.expires_at",  # a person's wish
}


def test_every_time_that_a_client_gives_is_known() -> None:
    """F10: none of them decides who holds what. A new one has to be judged before it gets into this list."""
    found = set()
    for operation in OPERATIONS:
        for kind in (operation.body, operation.query):
            if kind is not None and dataclasses.is_dataclass(kind):
                for name, hint in typing.get_type_hints(kind).items():
                    if datetime in (hint, *typing.get_args(hint)):
                        found.add(f"{kind.__name__}.{name}")
    assert found == CLIENT_TIMES


def test_clocks_ten_minutes_off_change_nothing(tmp_path: Path) -> None:
    """F10: leases and the state of machines are by the server's clock alone."""
    with serving(tmp_path, *database(tmp_path)) as server:
        for name, minutes in (("slow", -10), ("fast", 10)):
            now = datetime.now(UTC)
            there = (now + timedelta(minutes=minutes)).isoformat()
            ask(server, "POST", "orchestrators/register", json={"cluster": "c", "machine_id": name})
            ask(server, "POST", "tasks", json={"id": name, "role": "implement"})
            beat = ask(server, "POST", f"orchestrators/c-{name}/heartbeat", json={"cycle_at": there}).json()
            assert datetime.fromisoformat(beat["last_cycle_at"]) <= datetime.now(UTC)
            claim = ask(
                server, "POST", "tasks/claim",
                json={"orchestrator_id": f"c-{name}", "agent_name": "a", "lease_seconds": 300},
            ).json()  # fmt: skip
            at, expires = (datetime.fromisoformat(claim[one]) for one in ("claimed_at", "lease_expires_at"))
            assert expires - at == timedelta(seconds=300)
            assert now - timedelta(seconds=1) < at <= datetime.now(UTC)
            question = {
                "id": name, "conversation_id": name, "sender_type": "worker", "sender_id": "a",
                "message_type": "request", "kind": "question", "body": "?", "run_id": claim["run_id"],
                "deadline": there, "default_answer": "no",
            }  # fmt: skip
            assert ask(server, "POST", "messages", json=question).status_code == 201
        assert ask(server, "POST", "leases/expire", json={}).json()["tasks"] == []
        machines = ask(server, "GET", "orchestrators").json()["orchestrators"]
        assert [machine["status"] for machine in machines] == ["active", "active"]
        held = ask(server, "GET", "tasks?queue=claimed").json()["tasks"]
        assert {task["id"] for task in held} == {"slow", "fast"}
        asked = ask(server, "GET", "messages?state=open").json()["messages"]
        assert {message["id"] for message in asked} == {"slow", "fast"}
        assert server.end() == 0
    sound(tmp_path / "state.db")


# Locks and disks


def test_a_store_that_another_program_locks_is_503_and_reads_go_on(tmp_path: Path) -> None:
    with serving(
        tmp_path, *database(tmp_path), program=impatient(backend__store__sqlite__BUSY_MS=300)
    ) as server:
        assert ask(server, "POST", "tasks", json={"id": "t1", "role": "implement"}).status_code == 201
        new = {"id": "t2", "role": "implement"}
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for headers in ({}, key("one")):
                refused = ask(server, "POST", "tasks", json=new, headers=headers)
                assert (refused.status_code, refused.json()["slug"]) == (503, "store-busy")
                assert refused.headers["content-type"] == "application/problem+json"
                assert int(refused.headers["retry-after"]) >= 1
            assert ask(server, "GET", "tasks").json()["total"] == 1
            other.execute("ROLLBACK")
        taken = ask(server, "POST", "tasks", json=new, headers=key("one"))
        assert taken.status_code == 201
        assert "idempotency-replayed" not in taken.headers
        assert server.end() == 0
    sound(tmp_path / "state.db")


def test_a_full_disk_is_507_and_reads_go_on(tmp_path: Path) -> None:
    """F11: what is refused leaves nothing, and is taken under the same key once there is space."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], capture_output=True).returncode:
        pytest.skip("needs user and mount namespaces")
    disk = tmp_path / "disk"
    disk.mkdir()
    starter = (str(PROGRAMS / "within.py"), unshare, "-rm")
    with serving(
        tmp_path, *database(disk), program=(*starter, str(PROGRAMS / "small_server.py"), str(disk))
    ) as server:
        seen = Path(f"/proc/{server.process.pid}/root{disk}")
        if not (server.url and (seen / "ballast").exists()):
            pytest.skip("the disk of another namespace cannot be looked at")
        stored = 0
        for number in itertools.count():
            new = {"id": f"t{number}", "role": "implement", "body": "x" * 100_000}
            answer = ask(server, "POST", "tasks", json=new, headers=key(f"{number}"))
            if answer.status_code != 201:
                break
            stored += 1
            assert number < 100, "the disk does not fill"
        assert (answer.status_code, answer.json()["slug"]) == (507, "store-full"), answer.text
        assert int(answer.headers["retry-after"]) >= 1
        page = ask(server, "GET", "tasks?limit=500").json()
        assert {task["id"] for task in page["tasks"]} == {f"t{number}" for number in range(stored)}
        (seen / "ballast").unlink()
        taken = ask(server, "POST", "tasks", json=new, headers=key(f"{number}"))
        assert taken.status_code == 201
        assert "idempotency-replayed" not in taken.headers
        for path in seen.glob("state.db*"):  # the disk goes with the server
            if not path.is_socket():
                shutil.copy(path, tmp_path / path.name)
        assert server.end() == 0
    sound(tmp_path / "state.db")


# Repeats


class Doubling(httpx.AsyncBaseTransport):
    """A way to the server that sends each change twice at once, and some again much later, out of order."""

    def __init__(self, chance: random.Random) -> None:
        self._way = httpx.AsyncHTTPTransport()
        self._chance = chance
        self._sent: list[tuple[httpx.Request, httpx.Response]] = []
        self.repeats = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if request.method == "GET":
            return await self._once(request)
        answers = await asyncio.gather(self._once(request), self._once(request))
        assert answers[0].content == answers[1].content, [answer.text for answer in answers]
        for old, answer in self._chance.sample(self._sent, min(len(self._sent), 2)):
            again = await self._once(old)
            assert (again.status_code, again.content) == (answer.status_code, answer.content)
            assert again.headers["idempotency-replayed"] == "true"
            self.repeats += 1
        self._sent.append((request, answers[0]))
        return self._chance.choice(answers)

    async def _once(self, request: httpx.Request) -> httpx.Response:
        same = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        answer = await self._way.handle_async_request(same)
        content = await answer.aread()
        await answer.aclose()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content, request=request)

    async def aclose(self) -> None:
        await self._way.aclose()


@pytest.mark.parametrize("seed", [1, 2])
async def test_requests_doubled_and_out_of_order_are_done_once(tmp_path: Path, seed: int) -> None:
    """F8: no answer differs from the first, and nothing happens twice."""
    tasks = 20
    keys = itertools.count()
    way = Doubling(random.Random(seed))
    with serving(tmp_path, *database(tmp_path)) as server:
        async with httpx.AsyncClient(
            transport=way, base_url=f"{server.url}/api/v1/", trust_env=False, timeout=PATIENCE_S
        ) as http:

            async def post(path: str, **body: Any) -> httpx.Response:
                return await http.post(path, json=body, headers=key(f"{next(keys)}"))

            async def work(machine: str) -> None:
                await post("orchestrators/register", cluster="c", machine_id=machine)
                while (
                    claim := await post("tasks/claim", orchestrator_id=f"c-{machine}", agent_name="a")
                ).status_code == 200:
                    name = claim.json()["id"]
                    assert (await post(f"tasks/{name}/submit", commits_count=1)).status_code == 200
                    assert (await post(f"tasks/{name}/accept", accepted_by="ana")).status_code == 200
                assert claim.status_code == 204

            for _ in range(tasks):
                assert (await post("tasks", role="implement")).status_code == 201
            await asyncio.gather(*(work(f"m{number}") for number in range(4)))
            events = (await http.get("events?limit=10000")).json()["events"]
        assert way.repeats > tasks
        assert server.end() == 0
    for kind in ("create", "claim", "submit", "accept"):
        of_kind = [
            event["entity_id"] for event in events if (event["kind"], event["entity"]) == (kind, "task")
        ]
        assert len(of_kind) == len(set(of_kind)) == tasks, kind
    sound(tmp_path / "state.db")
