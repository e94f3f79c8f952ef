"""What the PostgreSQL store does when the database or the way to it fails."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator

import postgres
import psycopg
import pytest

from backend.errors import OctopoidError, StoreBroken, StoreBusy
from backend.local import LocalBackend
from backend.model import Actor, Claim, ClaimRequest, NewTask, SenderType, TaskFilter
from backend.store.postgres_audit import audit
from backend.store.postgres_session import SESSION, PostgresSession, connect

ANA = Actor(SenderType.HUMAN, "ana")


@pytest.fixture
def url() -> Iterator[str]:
    with postgres.server().database() as made:
        yield made


@pytest.fixture
async def backend(url: str) -> AsyncIterator[LocalBackend]:
    backend = await LocalBackend.connect(url)
    await backend.register("c", "m", pid=None)
    yield backend
    await backend.close()


@pytest.fixture(scope="module")
def own_server() -> Iterator[postgres.PostgresServer]:
    """A server that may be stopped, and that writes what it acknowledges to the disk."""
    server = postgres.PostgresServer.make()
    yield server
    server.remove()


def new(task_id: str) -> NewTask:
    return NewTask(task_id, task_id, "implement", "main", "base", "ana")


def asking(run_id: str) -> ClaimRequest:
    return ClaimRequest("c-m", "a", "demo", run_id, 300)


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer for a server, a session or a lock than a person would wait."""
    monkeypatch.setattr("backend.pool.PATIENCE_S", 60.0)
    settings = SESSION["settings"].replace("'2s'", "'60s'").replace("'5s'", "'60s'")
    monkeypatch.setattr("backend.store.postgres_session.SESSION", {**SESSION, "settings": settings})


def sound(url: str) -> None:
    with connect(url) as connection:
        assert audit(connection) == []


def cut_sessions(url: str) -> None:
    name = url.partition("@/")[2].partition("?")[0]
    postgres.server().execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )


class Work:
    """Tasks created and claimed, as far as somebody was told so."""

    def __init__(self, backend: LocalBackend) -> None:
        self.backend = backend
        self.created: list[str] = []
        self.claims: list[Claim] = []
        self.refused: list[OctopoidError] = []
        self.over = False

    async def go(self, which: int) -> None:
        number = 0
        while not self.over:
            name = f"{which}-{number}"
            number += 1
            try:
                await self.backend.create_task(new(f"t{name}"), actor=ANA)
                self.created.append(f"t{name}")
                claim = await self.backend.claim(asking(f"r{name}"))
                if claim is not None:
                    self.claims.append(claim)
            except StoreBusy as error:
                self.refused.append(error)

    async def check(self) -> None:
        """What was acknowledged is there, and nothing is there twice."""
        tasks = {task.id: task for task in await self.backend.list_tasks(TaskFilter())}
        assert set(self.created) <= tasks.keys()
        assert len({claim.task.id for claim in self.claims}) == len(self.claims)
        for claim in self.claims:
            assert (tasks[claim.task.id].run_id, tasks[claim.task.id].fence) == (
                claim.run.id,
                claim.task.fence,
            )


async def test_sessions_that_are_cut_all_the_time_lose_nothing(
    url: str, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    work = Work(backend)
    chance = random.Random(14)
    workers = [asyncio.create_task(work.go(which)) for which in range(6)]
    for _ in range(15):
        told = len(work.claims)
        await soon(lambda told=told: len(work.claims) > told + 3)
        await asyncio.sleep(chance.random() / 50)  # at any point of a transaction
        await asyncio.to_thread(cut_sessions, url)
    work.over = True
    await asyncio.gather(*workers)
    assert work.refused == []
    await work.check()
    sound(url)


async def soon(condition: object) -> None:
    until = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "it did not come about in time"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT])
async def test_a_database_restarted_under_load_loses_nothing_acknowledged(
    own_server: postgres.PostgresServer, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    with own_server.database() as url:
        backend = await LocalBackend.connect(url)
        await backend.register("c", "m", pid=None)
        work = Work(backend)
        workers = [asyncio.create_task(work.go(which)) for which in range(6)]
        for _ in range(3):
            told = len(work.claims)
            await soon(lambda told=told: len(work.claims) > told + 20)
            await asyncio.to_thread(own_server.stop, how)
            own_server.start()  # from the thread that stays: the server dies with the one that started it
            told = len(work.claims)
            await soon(lambda told=told: len(work.claims) > told)
        work.over = True
        await asyncio.gather(*workers)
        assert work.refused == []
        await work.check()
        assert (await backend.events(limit=1))[0].seq == 1
        await backend.close()
        sound(url)


async def test_a_database_that_stays_away_is_told_in_time_and_taken_up_again(
    own_server: postgres.PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    with own_server.database() as url:
        backend = await LocalBackend.connect(url)
        watching = asyncio.create_task(anext(backend.watch(0)))
        own_server.stop()
        monkeypatch.setattr("backend.pool.PATIENCE_S", 0.5)
        for work in (backend.create_task(new("t"), actor=ANA), backend.list_tasks(TaskFilter())):
            with pytest.raises(StoreBusy, match=r"can not be reached.*check that it runs"):
                await work
        monkeypatch.setattr("backend.pool.PATIENCE_S", 60.0)
        own_server.start()
        await backend.create_task(new("t"), actor=ANA)
        assert [event.entity_id for event in await asyncio.wait_for(watching, 60)] == ["t"]
        await backend.close()


class Severed:
    """Cuts the connection around one COMMIT: before it is sent, or before its answer comes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
        self.armed = False
        self.cuts = 0
        flush = PostgresSession.flush

        def severed(session: PostgresSession) -> None:
            if not self.armed or not any(one.statement == "COMMIT" for one in session._waiting):
                flush(session)
                return
            self.armed = False
            self.cuts += 1
            if after:
                flush(session)
            session._waiting.clear()
            session.connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(PostgresSession, "flush", severed)


@pytest.mark.parametrize("after", [True, False])
async def test_a_lost_answer_to_commit_makes_no_second_effect(
    url: str, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    cable = Severed(monkeypatch, after)
    for number in range(5):
        cable.armed = True
        task = await backend.create_task(new(f"t{number}"), actor=ANA)
        cable.armed = True
        claim = await backend.claim(asking(f"r{number}"))
        assert claim is not None
        assert (claim.task.id, claim.task.attempt_count, task.version) == (f"t{number}", 1, 1)
    assert cable.cuts == 10
    kinds = [event.kind for event in await backend.events()]
    assert sorted(kinds) == sorted(["register", *["create", "claim", "start"] * 5])
    sound(url)


async def test_a_frozen_transaction_holds_up_only_its_own_task(url: str, backend: LocalBackend) -> None:
    for name in ("held", "free"):
        await backend.create_task(new(name), actor=ANA)
    with psycopg.connect(url) as frozen:
        frozen.execute("SELECT 1 FROM tasks WHERE id = 'held' FOR UPDATE")
        claim = await backend.claim(asking("r1"))
        assert claim is not None
        assert claim.task.id == "free"
        with pytest.raises(StoreBusy, match=r"is busy.*do it again"):
            await backend.claim(ClaimRequest("c-m", "a", "demo", "r2", 300, (), "held"))
    claim = await backend.claim(asking("r3"))
    assert claim is not None
    assert claim.task.id == "held"
    sound(url)


async def test_a_user_without_rights_is_told_so(url: str) -> None:
    server = postgres.server()
    name = url.partition("@/")[2].partition("?")[0]
    server.execute("CREATE ROLE guest LOGIN")
    try:
        with pytest.raises(
            StoreBroken, match=r"guest@.*can not be written \(permission denied.*give its user"
        ):
            await LocalBackend.connect(url.replace("postgres@", "guest@"))
    finally:
        server.execute("DROP ROLE guest")
    assert server.execute("SELECT count(*) FROM events", name) == [(0,)]


async def test_a_fault_of_our_own_is_told_as_such_and_undone(backend: LocalBackend) -> None:
    """A broken rule of the schema is not dressed up as a broken database."""
    with pytest.raises(psycopg.IntegrityError):
        await backend.create_task(NewTask("t", "T", "r", "main", "base", None), actor=ANA)  # type: ignore[arg-type]
    assert await backend.list_tasks(TaskFilter()) == []
    assert await backend.last_seq() == 1
