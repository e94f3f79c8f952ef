"""One process owns what a machine keeps of its server; the others see the same, and the next takes over."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import Live, live

from backend.errors import StoreBusy
from backend.model import Actor, NewTask, SenderType, TaskFilter
from backend.open import Opened, open_remote
from backend.rest.connection import KeyRefused
from backend.sync import SyncMode

ANA = Actor(SenderType.HUMAN, "ana")
PROGRAM = Path(__file__).parents[1] / "programs" / "offline_owner.py"
READY_S = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as one:
        yield one


async def opened(server: Live, folder: Path, key: str | None = None) -> Opened:
    return await open_remote(
        server.url,
        key or server.key,
        folder / "cache.db",
        folder / "owner.lock",
        folder / "o.sock",
        what="command",
    )


async def been_in_touch(server: Live, folder: Path) -> None:
    async with await opened(server, folder) as one:
        assert (await one.backend.sync_now()).mode is SyncMode.ONLINE


async def test_a_killed_owner_leaves_what_waits_to_the_next(server: Live, tmp_path: Path) -> None:
    await been_in_touch(server, tmp_path)
    await asyncio.to_thread(server.stop_tcp)
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), server.url, server.key, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(READY_S):
            assert await child.stdout.readline() == b"ready\n"
        async with await opened(server, tmp_path) as other:
            assert not other.owned
            state = await other.backend.sync_state()
            assert (state.mode, state.pending, state.server) == (SyncMode.OFFLINE, 2, server.url)
            await other.backend.create_task(
                NewTask("third", "third", "implement", "main", "base", "ana"), actor=ANA
            )
            assert (await other.backend.sync_state()).pending == 3
            assert await other.backend.list_conflicts() == []
    finally:
        child.send_signal(signal.SIGKILL)
        await child.wait()
    async with await opened(server, tmp_path) as after:
        assert after.owned
        assert (await after.backend.sync_state()).pending == 3
        await asyncio.to_thread(server.restart_tcp)
        state = await after.backend.sync_now()
        assert (state.mode, state.pending, state.conflicts) == (SyncMode.ONLINE, 0, 0)
    tasks = await asyncio.to_thread(lambda: server.ask(server.backend.list_tasks(TaskFilter())))
    events = await asyncio.to_thread(lambda: server.ask(server.backend.events()))
    assert sorted(task.id for task in tasks) == ["first", "second", "third"]
    assert sorted(
        event.entity_id for event in events if event.kind == "create" and event.entity == "task"
    ) == [
        "first",
        "second",
        "third",
    ]


async def test_a_command_sends_what_waits_when_it_opens(server: Live, tmp_path: Path) -> None:
    await been_in_touch(server, tmp_path)
    await asyncio.to_thread(server.stop_tcp)
    async with await opened(server, tmp_path) as one:
        await one.backend.create_task(NewTask("t", "t", "implement", "main", "base", "ana"), actor=ANA)
    await asyncio.to_thread(server.restart_tcp)
    async with await opened(server, tmp_path) as one:
        state = await one.backend.sync_state()
        assert (state.mode, state.pending) == (SyncMode.ONLINE, 0)
    assert (await asyncio.to_thread(lambda: server.ask(server.backend.get_task("t")))).title == "t"


async def test_a_refused_key_is_not_being_away(server: Live, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyRefused):
            await opened(server, tmp_path, "oct_wrong_key")
        await been_in_touch(server, tmp_path)
    await asyncio.to_thread(server.stop_tcp)
    async with await opened(server, tmp_path) as one:
        assert (await one.backend.sync_state()).mode is SyncMode.OFFLINE


async def test_without_server_and_cache_there_is_nothing_to_show(server: Live, tmp_path: Path) -> None:
    await asyncio.to_thread(server.stop_tcp)
    with pytest.raises(StoreBusy, match="nobody answers"):
        await opened(server, tmp_path)
