"""Replicas over one PostgreSQL: one is killed, the database goes away, and everything is done once."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import postgres
import pytest
from server_process import Server, impatient

from backend.store.postgres_audit import audit
from backend.store.postgres_session import connect

PATIENCE_S = 90.0
MACHINES = 4


@pytest.fixture(scope="module")
def own_server() -> Iterator[postgres.PostgresServer]:
    """A server that may be stopped, and that writes what it acknowledges to the disk."""
    server = postgres.PostgresServer.make()
    yield server
    server.remove()


class Replicas:
    """Servers over one database, and what their clients were told."""

    def __init__(self, folder: Path, url: str, **settings: float) -> None:
        self.database = url
        self.servers = [
            Server(folder, "--no-auth", "--db", url, program=impatient(**settings)) for _ in range(2)
        ]
        self.urls = [f"{server.url}/api/v1/" for server in self.servers]
        self.told = Counter[str]()
        self.refused = Counter[str]()
        self.keys = count()
        self.http = httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S)

    async def ask(self, who: int, method: str, path: str, **body: Any) -> httpx.Response:
        """Ask one replica, and the other when that one is gone; each time under the same key."""
        headers = {"Idempotency-Key": f"{next(self.keys)}"}
        async with asyncio.timeout(PATIENCE_S):
            for attempt in count(who):
                url = self.urls[attempt % len(self.urls)]
                try:
                    answer = await self.http.request(method, url + path, json=body or {}, headers=headers)
                except httpx.TransportError:
                    await asyncio.sleep(0.01)
                    continue
                if answer.status_code != 503:
                    return answer
                assert answer.json()["slug"] == "store-busy"
                assert int(answer.headers["retry-after"]) >= 1
                self.refused[f"{who}"] += 1
                await asyncio.sleep(0.05)
        raise AssertionError("nobody answers")

    async def machine(self, who: int, enough: Callable[[], bool]) -> None:
        """An orchestrator: claims and hands in, until there is enough."""
        assert (
            await self.ask(who, "POST", "orchestrators/register", cluster="c", machine_id=f"m{who}")
        ).status_code in (200, 201)
        while not enough():
            made = await self.ask(who, "POST", "tasks", role="implement")
            assert made.status_code == 201, made.text
            claim = await self.ask(who, "POST", "tasks/claim", orchestrator_id=f"c-m{who}", agent_name="a")
            if claim.status_code == 204:
                continue  # another machine has it
            name = claim.json()["id"]
            done = await self.ask(who, "POST", f"tasks/{name}/submit", commits_count=1)
            assert done.status_code == 200, done.text
            self.told[name] += 1

    async def follow(self, which: int, seqs: list[int]) -> None:
        """Follow the log as a stream; one that breaks is taken up where it ended, from whoever answers."""
        for attempt in count(which):
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(seqs[-1] if seqs else 0)}
            try:
                url = f"{self.urls[attempt % len(self.urls)]}events"
                async with self.http.stream("GET", url, headers=headers) as answer:
                    async for line in answer.aiter_lines():
                        if line.startswith("data:"):
                            seqs.append(json.loads(line[5:])["seq"])
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.01)

    async def check(self, streams: list[list[int]]) -> None:
        """Each task was claimed and handed in once, and everybody who was told so was told the truth."""
        with connect(self.database) as connection:
            assert audit(connection) == []
            rows = [
                tuple(row) for row in connection.execute("SELECT id, queue, fence, attempt_count FROM tasks")
            ]
            events = [
                tuple(row)
                for row in connection.execute("SELECT seq, kind, entity_id FROM events ORDER BY seq")
            ]
        assert {name for name, *_ in rows} >= self.told.keys()
        assert set(self.told.values()) == {1}
        for name, queue, fence, attempts in rows:
            assert (queue, fence, attempts) == (
                ("provisional", 2, 1) if name in self.told else ("incoming", 0, 0)
            )
        for kind in ("claim", "submit"):
            assert sorted(entity for _, found, entity in events if found == kind) == sorted(self.told)
        everything = [seq for seq, *_ in events]
        assert everything == list(range(1, len(events) + 1))
        async with asyncio.timeout(PATIENCE_S):
            while any(len(seqs) < len(everything) for seqs in streams):
                await asyncio.sleep(0.02)
        assert all(seqs == everything for seqs in streams)

    async def close(self) -> None:
        await self.http.aclose()
        for server in self.servers:
            server.close()


@asynccontextmanager
async def at_work(replicas: Replicas, enough: Callable[[], bool]) -> AsyncIterator[None]:
    """Four machines work and two listeners follow, while the block breaks things; then all is checked."""
    streams: list[list[int]] = [[], []]
    listeners = [asyncio.create_task(replicas.follow(which, seqs)) for which, seqs in enumerate(streams)]
    machines = [asyncio.create_task(replicas.machine(who, enough)) for who in range(MACHINES)]
    try:
        yield
        await asyncio.gather(*machines)
        await replicas.check(streams)
    finally:
        for task in (*listeners, *machines):
            task.cancel()
        await asyncio.gather(*listeners, *machines, return_exceptions=True)
        await replicas.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_of_two_replicas_one_is_killed_and_every_task_is_done_once(tmp_path: Path) -> None:
    """F15; L-21: four machines go on with the other one, and repeat there what was not answered."""
    with postgres.server().database() as url:
        replicas = await asyncio.to_thread(Replicas, tmp_path, url)
        async with at_work(replicas, lambda: len(replicas.told) >= 120):
            await until(lambda: len(replicas.told) >= 40)
            replicas.servers[0].process.kill()
            assert await asyncio.to_thread(replicas.servers[0].wait) == -signal.SIGKILL
            told = len(replicas.told)
            await until(lambda: len(replicas.told) > told)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT])
async def test_a_database_that_goes_away_under_load_is_503_until_it_is_back(
    tmp_path: Path, own_server: postgres.PostgresServer, how: signal.Signals
) -> None:
    """F14: nothing acknowledged is lost, nothing is done twice, and no listener misses an event."""
    enough = asyncio.Event()
    with own_server.database() as url:
        replicas = await asyncio.to_thread(lambda: Replicas(tmp_path, url, backend__pool__PATIENCE_S=0.3))
        async with at_work(replicas, enough.is_set):
            for _ in range(2):
                told = len(replicas.told)
                await until(lambda told=told: len(replicas.told) > told + 20)
                replicas.refused.clear()
                await asyncio.to_thread(own_server.stop, how)
                await until(lambda: len(replicas.refused) == MACHINES)
                own_server.start()  # from the thread that stays: the server dies with the one that started it
            told = len(replicas.told)
            await until(lambda: len(replicas.told) > told + 20)
            enough.set()
