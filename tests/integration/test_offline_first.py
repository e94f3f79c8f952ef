"""The first synchronisation of a machine with a server that has much: few requests, and nothing left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from harness import until

from backend.interface import Action, Transition
from backend.local import LocalBackend
from backend.model import (
    Actor,
    ClaimRequest,
    Evidence,
    MessageKind,
    MessageType,
    NewMessage,
    NewTask,
    Priority,
    SenderType,
    Task,
    TaskFilter,
    TaskPatch,
)
from backend.offline.backend import OfflineBackend
from backend.remote import RemoteBackend
from backend.rest.connection import Connection
from backend.server.serve import SocketServer

T = TypeVar("T")
ANA = Actor(SenderType.HUMAN, "ana")
TASKS, PAGE = 30, 10
DAY = datetime(2026, 1, 1, tzinfo=UTC)


class Watched(RemoteBackend):
    """A client that stops after the first page of tasks until it may go on."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket_path=socket)
        self.stopped = asyncio.Event()
        self.go_on = asyncio.Event()

    async def everything(self, kind: type[T]) -> AsyncGenerator[tuple[list[T], int | None]]:
        async for page in super().everything(kind):
            yield page
            if kind is Task and not self.stopped.is_set():
                self.stopped.set()
                await self.go_on.wait()


async def create(server: LocalBackend, task_id: str) -> None:
    new = NewTask(task_id, task_id, "implement", "main", "base", "ana")
    await server.create_task(new, actor=ANA)


async def work(server: LocalBackend, number: int) -> None:
    """A task with a run, two messages and a check's result."""
    task_id, run_id = f"t{number:02}", f"r{number}"
    await create(server, task_id)
    claim = ClaimRequest("c-m", "a", "demo", run_id, 300, task_id=task_id)
    assert await server.claim(claim) is not None
    for place in range(2):
        note = NewMessage(
            f"m{number}-{place}", task_id, ANA, MessageType.STATUS, MessageKind.NOTE, "so", run_id=run_id
        )
        await server.post_message(note)
    at = DAY - timedelta(hours=number)
    await server.add_evidence(
        Evidence(f"e{number}", task_id, run_id, "tests", "pytest", "work", "base", 0, "ok", "d", 1, at)
    )


async def finish(server: LocalBackend, task_id: str) -> None:
    await server.transition(Transition(task_id, Action.CANCEL, ANA, reason="over"))


@asynccontextmanager
async def stocked(folder: Path) -> AsyncIterator[tuple[LocalBackend, Path]]:
    """A server with work, whose last task is over."""
    server = await LocalBackend.open(folder / "server.db")
    front = SocketServer(server, folder / "s.sock")
    await front.start()
    assert front.address is not None
    try:
        await server.register("c", "m", pid=1)
        for number in range(TASKS):
            await work(server, number)
        await finish(server, f"t{TASKS - 1}")
        yield server, front.address
    finally:
        await front.stop()
        await server.close()


@asynccontextmanager
async def seen_from_elsewhere(here: OfflineBackend, socket: Path) -> AsyncIterator[RemoteBackend]:
    """The machine's state as its other processes read it."""
    front = SocketServer(here, socket)
    await front.start()
    other = RemoteBackend(socket_path=front.address)
    try:
        yield other
    finally:
        await other.close()
        await front.stop()


async def synchronised(here: OfflineBackend) -> None:
    async def ready() -> bool:
        cursor = (await here._cache.read(lambda service: service.standing())).cursor
        return cursor is not None and not here._sync.is_reading

    await until(ready, "the first synchronisation")


async def is_same(here: OfflineBackend, server: LocalBackend) -> None:
    """All the server has, and of what was said and checked, that of unfinished tasks."""
    records = here._cache.records
    theirs = {task.id: task for task in await server.list_tasks(TaskFilter())}
    assert {task.id: task for task in await records.list_tasks(TaskFilter())} == theirs
    assert await records.list_runs() == await server.list_runs()
    assert await records.unfinished_messages() == await server.unfinished_messages()
    assert await records.unfinished_evidence() == await server.unfinished_evidence()


async def test_it_takes_as_many_requests_as_there_are_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    call = Connection.call

    async def count(self: Connection, method: Any, path: str, *rest: Any, **given: Any) -> Any:
        asked.append(path)
        return await call(self, method, path, *rest, **given)

    monkeypatch.setattr("backend.remote.PAGE", PAGE)
    async with stocked(tmp_path) as (server, socket):
        monkeypatch.setattr(Connection, "call", count)
        here = await OfflineBackend.open(RemoteBackend(socket_path=socket), tmp_path / "c.db", server="s")
        try:
            await synchronised(here)
            pages = {
                "v1/tasks": TASKS // PAGE,
                "v1/runs": TASKS // PAGE,
                "v1/messages": -(-2 * (TASKS - 1) // PAGE),
                "v1/evidence": TASKS // PAGE,
            }
            assert {path: asked.count(path) for path in pages} == pages
            assert not [path for path in asked if path.startswith("v1/tasks/")], "each task by itself"
            await is_same(here, server)
            last = f"t{TASKS - 1}"
            assert await here._cache.records.list_messages(last) == []
            assert len(await here._cache.records.list_messages("t00")) == 2
        finally:
            await here.close()


async def test_it_says_how_far_it_has_got_and_misses_no_task_that_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.remote.PAGE", PAGE)
    async with stocked(tmp_path) as (server, socket):
        remote = Watched(socket)
        here = await OfflineBackend.open(remote, tmp_path / "c.db", server="s")
        try:
            async with asyncio.timeout(60):
                await remote.stopped.wait()
            told = f"{PAGE} of {TASKS} tasks"
            assert (await here.sync_state()).progress == told
            async with seen_from_elsewhere(here, tmp_path / "here.sock") as other:
                assert (await other.sync_state()).progress == told
            # What stands before the page that was read by now, and what had its place on it.
            await server.edit_task(f"t{TASKS - 2}", TaskPatch(priority=Priority.P0), actor=ANA)
            await server.edit_task("t00", TaskPatch(priority=Priority.P3), actor=ANA)
            await finish(server, f"t{TASKS - 3}")
            await create(server, "new")
            remote.go_on.set()
            await synchronised(here)
            assert (await here.sync_state()).progress is None
            await is_same(here, server)
        finally:
            remote.go_on.set()
            await here.close()


async def test_a_first_synchronisation_that_was_cut_off_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.remote.PAGE", PAGE)
    async with stocked(tmp_path) as (server, socket):
        remote = Watched(socket)
        here = await OfflineBackend.open(remote, tmp_path / "c.db", server="s")
        async with asyncio.timeout(60):
            await remote.stopped.wait()
        monkeypatch.setattr("backend.offline.backend.LAST_S", 0.0)
        await here.close()
        here = await OfflineBackend.open(RemoteBackend(socket_path=socket), tmp_path / "c.db", server="s")
        try:
            await synchronised(here)
            await is_same(here, server)
        finally:
            await here.close()
