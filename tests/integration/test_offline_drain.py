"""Sending many waiting changes: at the same time where the order allows it, each exactly once."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import until
from live_server import Live, live

from backend.errors import StoreBusy
from backend.interface import Action, Transition
from backend.model import (
    Actor,
    Event,
    MessageKind,
    MessageType,
    NewMessage,
    NewTask,
    Priority,
    SenderType,
    Task,
    TaskPatch,
)
from backend.open import Opened, open_remote
from backend.remote import RemoteBackend
from backend.sync import SyncMode

ANA = Actor(SenderType.HUMAN, "ana")
PROGRAM = Path(__file__).parents[1] / "programs" / "offline_drainer.py"
NAMES = [f"t{number:02}" for number in range(30)]
IN_FLIGHT_S = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as one:
        yield one


async def opened(server: Live, folder: Path) -> Opened:
    return await open_remote(
        server.url, server.key, folder / "cache.db", folder / "owner.lock", folder / "o.sock", what="command"
    )


async def first_opened(server: Live, folder: Path) -> Opened:
    """Opened for the first time: a machine under load may be slow to answer."""
    box: list[Opened] = []

    async def reached() -> bool:
        try:
            box.append(await opened(server, folder))
        except StoreBusy:
            return False
        return True

    await until(reached, "the server to answer")
    return box[0]


async def together(one: Opened) -> None:
    async def sent() -> bool:
        state = await one.backend.sync_now()
        return state.mode is SyncMode.ONLINE and state.pending == 0

    await until(sent, "everything sent")


async def asked(server: Live, work: Any) -> Any:
    return await asyncio.to_thread(server.ask, work)


async def create(backend: Any, name: str) -> None:
    await backend.create_task(NewTask(name, name, "implement", "main", "base", "ana"), actor=ANA)


async def note(backend: Any, name: str) -> None:
    new = NewMessage(f"note-{name}", name, ANA, MessageType.STATUS, MessageKind.NOTE, body=name)
    await backend.post_message(new)


async def test_a_process_killed_while_it_sends_leaves_each_change_made_once(
    server: Live, tmp_path: Path
) -> None:
    async with await first_opened(server, tmp_path) as one:
        await together(one)
        await create(one.backend, "old")
    await asyncio.to_thread(server.stop_tcp)
    async with await opened(server, tmp_path) as one:
        for name in NAMES:
            await create(one.backend, name)
            await note(one.backend, name)
            await one.backend.edit_task("old", TaskPatch(title=name), actor=ANA)
        assert (await one.backend.sync_state()).pending == 3 * len(NAMES)
    await asyncio.to_thread(server.restart_tcp)

    child = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), server.url, server.key, str(tmp_path)
    )
    try:

        async def begun() -> bool:
            return len(await asked(server, server.backend.events(limit=1000))) > 20

        await until(begun, "some of the changes on the server")
    finally:
        child.send_signal(signal.SIGKILL)
        await child.wait()

    async with await opened(server, tmp_path) as one:
        await together(one)
        assert await one.backend.list_conflicts() == []
    events: list[Event] = await asked(server, server.backend.events(limit=1000))
    made = [event.entity_id for event in events if (event.entity, event.kind) == ("task", "create")]
    assert made == ["old", *NAMES]
    said = Counter(event.entity_id for event in events if event.kind == "post")
    assert said == {f"note-{name}": 1 for name in NAMES}
    edits = [event for event in events if (event.entity_id, event.kind) == ("old", "edit")]
    assert len(edits) == len(NAMES)
    assert (await asked(server, server.backend.get_task("old"))).title == NAMES[-1]


async def test_changes_of_tasks_that_nothing_links_are_on_their_way_together(
    server: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flying: set[str] = set()
    both = asyncio.Event()
    edit = RemoteBackend.edit_task

    async def wait_for_the_other(
        self: RemoteBackend, task_id: str, patch: TaskPatch, *, actor: Actor, version: int | None = None
    ) -> Task:
        assert task_id not in flying
        flying.add(task_id)
        if {"a", "b"} <= flying:
            both.set()
        if task_id in ("a", "b"):
            async with asyncio.timeout(IN_FLIGHT_S):
                await both.wait()
        task = await edit(self, task_id, patch, actor=actor, version=version)
        flying.discard(task_id)
        return task

    async with await first_opened(server, tmp_path) as one:
        await together(one)
        for name in ("a", "b"):
            await create(one.backend, name)
        await together(one)
        await asyncio.to_thread(server.stop_tcp)
        await one.backend.get_pause()
        for name in ("a", "b"):
            await one.backend.edit_task(name, TaskPatch(title=f"new {name}"), actor=ANA)
            await one.backend.edit_task(name, TaskPatch(priority=Priority.P0), actor=ANA)
        monkeypatch.setattr(RemoteBackend, "edit_task", wait_for_the_other)
        await asyncio.to_thread(server.restart_tcp)
        await together(one)
        assert await one.backend.list_conflicts() == []
    for name in ("a", "b"):
        task = await asked(server, server.backend.get_task(name))
        assert (task.title, task.priority) == (f"new {name}", Priority.P0)


async def test_a_waiting_task_and_what_it_waits_for_keep_their_order(server: Live, tmp_path: Path) -> None:
    """Cancelling what a task waits for changes that task too: its own change has to come after."""
    async with await first_opened(server, tmp_path) as one:
        await together(one)
        await create(one.backend, "base")
        for name in ("w1", "w2", "w3"):
            new = NewTask(name, name, "implement", "main", "base", "ana", blocked_by=("base",))
            await one.backend.create_task(new, actor=ANA)
        await together(one)
        await asyncio.to_thread(server.stop_tcp)
        await one.backend.get_pause()
        await one.backend.transition(Transition("base", Action.CANCEL, ANA, reason="not wanted"))
        for name in ("w1", "w2", "w3"):
            await one.backend.transition(Transition(name, Action.CANCEL, ANA, reason="nor this"))
        await asyncio.to_thread(server.restart_tcp)
        await together(one)
        assert await one.backend.list_conflicts() == []
    for name in ("base", "w1", "w2", "w3"):
        assert (await asked(server, server.backend.get_task(name))).queue == "cancelled"
