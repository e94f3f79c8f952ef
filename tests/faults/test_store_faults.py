"""What the store does when the disk, the file or the process fails."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from backend.errors import StoreBroken, StoreBusy
from backend.local import LocalBackend, open_store
from backend.model import Actor, NewTask, SenderType, TaskFilter
from backend.store import sqlite as sqlite_store
from backend.store.audit import audit
from backend.store.sqlite import connect

ANA = Actor(SenderType.HUMAN, "ana")
WRITER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from backend.local import LocalBackend
    from backend.model import Actor, ClaimRequest, NewTask, SenderType

    ANA = Actor(SenderType.HUMAN, "ana")

    async def work(backend, which, round_):
        for index in range(10_000):
            name = f"t{round_}-{which}-{index}"
            await backend.create_task(NewTask(name, name, "implement", "main", "base", "ana"), actor=ANA)
            print("created", name, flush=True)
            claim = await backend.claim(ClaimRequest("c-m", "a", "demo", f"r{name}", 300))
            print("claimed", claim.task.id, claim.task.fence, flush=True)

    async def main():
        backend = await LocalBackend.open(Path(sys.argv[1]))
        await backend.register("c", "m", pid=None)
        await asyncio.gather(*(work(backend, which, sys.argv[2]) for which in range(4)))

    asyncio.run(main())
""")


def new(task_id: str, body: str = "") -> NewTask:
    return NewTask(task_id, task_id, "implement", "main", "base", "ana", body=body)


def test_a_killed_writer_loses_nothing_it_was_told_is_written(tmp_path: Path) -> None:
    path = tmp_path / "octopoid.db"
    chance = random.Random(20)
    created: set[str] = set()
    claimed: dict[str, int] = {}
    for round_ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(round_)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(chance.randint(20, 200))]
        child.kill()
        lines += child.stdout.read().splitlines(keepends=True)
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        # A killed writer may leave the head of a line: it told nobody anything.
        for word, name, *fence in (line.split() for line in lines if line.endswith("\n")):
            if word == "created":
                created.add(name)
            else:
                claimed[name] = int(fence[0])
        with closing(connect(path)) as connection:
            assert audit(connection) == []
            stored = {row["id"]: row["fence"] for row in connection.execute("SELECT id, fence FROM tasks")}
        assert created <= stored.keys()
        assert all(stored[name] == fence for name, fence in claimed.items())
    assert len(created) > 30


async def test_a_full_disk_is_told_and_nothing_is_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "octopoid.db"
    configure = sqlite_store.configure
    small: list[sqlite3.Connection] = []

    def limited(connection: sqlite3.Connection, *, read_only: bool, synchronous: str) -> None:
        configure(connection, read_only=read_only, synchronous=synchronous)
        small.append(connection)

    monkeypatch.setattr(sqlite_store, "configure", limited)
    backend = await LocalBackend.open(path)
    pages = small[0].execute("PRAGMA page_count").fetchone()[0]
    small[0].execute(f"PRAGMA max_page_count = {pages + 20}")
    written: list[str] = []

    async def fill() -> None:
        for index in range(200):
            await backend.create_task(new(f"t{index}", "x" * 2000), actor=ANA)
            written.append(f"t{index}")

    with pytest.raises(StoreBroken, match=r"disk is full.*free some space"):
        await fill()
    assert written
    together = await asyncio.gather(
        *(backend.create_task(new(f"u{index}", "x" * 20_000), actor=ANA) for index in range(4)),
        return_exceptions=True,
    )
    assert all(isinstance(one, StoreBroken) for one in together)
    assert [task.id for task in await backend.list_tasks(TaskFilter())] == written
    small[0].execute("PRAGMA max_page_count = 1000000")
    assert (await backend.create_task(new("after"), actor=ANA)).id == "after"
    await backend.close()
    with closing(connect(path)) as connection:
        assert audit(connection) == []


@pytest.mark.parametrize("content", [b"not a database, " * 1000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "octopoid.db"
    path.write_bytes(content)
    with pytest.raises(StoreBroken, match=r"octopoid\.db is damaged.*left as it is.*backup"):
        open_store(path, 0)
    assert path.read_bytes() == content


async def test_a_damaged_page_is_found_when_opened_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "octopoid.db"
    backend = await LocalBackend.open(path)
    for index in range(100):
        await backend.create_task(new(f"t{index}", "x" * 500), actor=ANA)
    await backend.close()
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'tasks'").fetchone()[0]
    size = int.from_bytes(content[16:18], "big")
    content[(root - 1) * size : root * size] = bytes(size)
    path.write_bytes(content)
    with pytest.raises(StoreBroken, match="is damaged"):
        await LocalBackend.open(path)
    assert path.read_bytes() == bytes(content)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreBroken, match=r"closed/octopoid\.db can not be opened"):
        open_store(folder / "octopoid.db", 0)


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "octopoid.db"
    path.mkdir()
    with pytest.raises(StoreBroken, match=r"octopoid\.db can not be"):
        open_store(path, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreBroken, match="can not be opened"):
        open_store(tmp_path / "file" / "octopoid.db", 0)


async def test_a_store_in_use_by_another_program_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "BUSY_MS", 50)
    path = tmp_path / "octopoid.db"
    backend = await LocalBackend.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="in use by another program"):
            await backend.create_task(new("t"), actor=ANA)
        assert await backend.list_tasks(TaskFilter()) == []
        other.execute("ROLLBACK")
    assert (await backend.create_task(new("t"), actor=ANA)).id == "t"
    await backend.close()


async def test_a_fault_of_our_own_is_told_as_such_and_undone(tmp_path: Path) -> None:
    """A broken rule of the schema is not dressed up as a broken disk."""
    backend = await LocalBackend.open(tmp_path / "octopoid.db")
    with pytest.raises(sqlite3.IntegrityError):
        await backend.create_task(NewTask("t", "T", "r", "main", "base", None), actor=ANA)  # type: ignore[arg-type]
    assert await backend.list_tasks(TaskFilter()) == []
    assert await backend.last_seq() == 0
    await backend.close()
