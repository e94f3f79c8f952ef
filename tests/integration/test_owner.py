"""One process owns the store; the others go through it, or own it for their moment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.errors import StoreBroken, StoreBusy
from backend.local import LocalBackend
from backend.model import Actor, NewTask, SenderType, TaskFilter
from backend.open import Opened, open_backend
from backend.owner import OwnerLock
from backend.remote import RemoteBackend

ANA = Actor(SenderType.HUMAN, "ana")
DEADLINE_S = 60.0

OWNER = """
import asyncio, sys
from pathlib import Path
from backend.open import open_backend

async def main(root, serve):
    opened = await open_backend(
        root / "octopoid.db", root / "owner.lock", root / "o.sock", what="run", serve=serve
    )
    print("owned" if opened.owned else "connected", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await opened.close()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2] == "serve"))
"""

COMMAND = """
import asyncio, sys
from pathlib import Path
from backend.model import Actor, NewTask, SenderType
from backend.open import open_backend

async def main(root, task_id):
    new = NewTask(task_id, "A task", "implement", "main", "1" * 40, "human:ana")
    async with await open_backend(
        root / "octopoid.db", root / "owner.lock", root / "o.sock", what="command", wait_s=60
    ) as opened:
        await opened.backend.create_task(new, actor=Actor(SenderType.HUMAN, "ana"))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Folder:
    """The paths of one store."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "owner.lock"

    @property
    def socket(self) -> Path:
        return self.root / "o.sock"

    async def open(self, *, what: str = "command", serve: bool = False, wait_s: float = 10) -> Opened:
        db = self.root / "octopoid.db"
        return await open_backend(db, self.lock, self.socket, what=what, serve=serve, wait_s=wait_s)

    @contextmanager
    def owner(self, mode: str = "serve") -> Iterator[subprocess.Popen[str]]:
        """Another process that owns the store."""
        process = self.start(OWNER, mode, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "owned\n"
            yield process
        finally:
            process.kill()
            process.communicate()

    def start(self, program: str, *arguments: str, **streams: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", program, str(self.root), *arguments]
        return subprocess.Popen(command, text=True, **streams)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def runtime_folder() -> Iterator[Path]:
    """A short path: a socket has to fit below it."""
    with tempfile.TemporaryDirectory(prefix="octo") as name:
        yield Path(name)


def new_task(task_id: str) -> NewTask:
    return NewTask(task_id, f"Task {task_id}", "implement", "main", "1" * 40, "human:ana")


# The lock


def test_one_holder_at_a_time_and_it_is_named(folder: Folder) -> None:
    first, second = OwnerLock(folder.lock), OwnerLock(folder.lock)
    assert first.try_acquire("screen")
    assert not second.try_acquire("command")
    holder = second.holder()
    assert holder is not None
    assert (holder.pid, holder.what, holder.socket) == (os.getpid(), "screen", None)
    first.release()
    assert second.holder() is None
    assert second.try_acquire("command")
    second.release()


def test_taking_and_giving_up_again_is_no_error(folder: Folder) -> None:
    with OwnerLock(folder.lock) as lock:
        assert lock.try_acquire("run")
        assert lock.try_acquire("run")
    lock.release()
    assert not lock.held


def test_only_the_holder_says_where_it_serves(folder: Folder) -> None:
    lock = OwnerLock(folder.lock)
    with pytest.raises(RuntimeError):
        lock.serve_at(folder.socket)


@pytest.mark.parametrize("record", ["", "{", "[]", '{"pid": "x"}', "x" * 100_000])
def test_a_record_that_says_nothing_is_no_holder(folder: Folder, record: str) -> None:
    folder.lock.write_text(record)
    lock = OwnerLock(folder.lock)
    assert lock.holder() is None
    assert lock.try_acquire("run")
    assert lock.holder() is not None
    lock.release()


def test_the_lock_file_is_private_and_no_link_is_followed(folder: Folder) -> None:
    lock = OwnerLock(folder.lock)
    assert lock.try_acquire("run")
    assert folder.lock.stat().st_mode & 0o777 == 0o600
    lock.release()
    folder.lock.unlink()
    folder.lock.symlink_to(folder.root / "elsewhere")
    with pytest.raises(StoreBroken, match=r"owner\.lock"):
        lock.try_acquire("run")
    assert not (folder.root / "elsewhere").exists()


def test_a_lock_in_no_folder_is_an_error(folder: Folder) -> None:
    with pytest.raises(StoreBroken, match="No such file"):
        OwnerLock(folder.root / "none" / "owner.lock").try_acquire("run")


def test_programs_that_the_holder_started_do_not_hold_on(folder: Folder) -> None:
    """L-31: an agent that outlives the scheduler does not keep the store."""
    lock = OwnerLock(folder.lock)
    assert lock.try_acquire("run")
    program = "import sys; sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, close_fds=False)
    lock.release()
    try:
        assert OwnerLock(folder.lock).try_acquire("run")
    finally:
        child.communicate()


# Opening


async def test_the_first_owns_and_the_second_connects(folder: Folder) -> None:
    async with await folder.open(what="screen", serve=True) as first, await folder.open() as second:
        assert (first.owned, second.owned) == (True, False)
        assert isinstance(first.backend, LocalBackend)
        assert isinstance(second.backend, RemoteBackend)
        made = await second.backend.create_task(new_task("t1"), actor=ANA)
        assert await first.backend.get_task("t1") == made
    async with await folder.open() as third:
        assert third.owned
        assert [task.id for task in await third.backend.list_tasks(TaskFilter())] == ["t1"]


async def test_closing_leaves_nothing_behind(folder: Folder) -> None:
    opened = await folder.open(serve=True)
    assert folder.socket.exists()
    await opened.close()
    assert not folder.socket.exists()
    assert OwnerLock(folder.lock).holder() is None
    await opened.close()


async def test_an_owner_that_does_not_serve_is_named(folder: Folder) -> None:
    with folder.owner("silent") as owner:
        with pytest.raises(StoreBusy) as caught:
            await folder.open(wait_s=0.3)
        assert f"process {owner.pid}" in caught.value.problem
        assert f"kill {owner.pid}" in caught.value.next_step


async def test_a_suspended_owner_is_named(folder: Folder) -> None:
    with folder.owner() as owner:
        owner.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreBusy, match="suspended") as caught:
            await folder.open(wait_s=0.3)
        assert str(owner.pid) in caught.value.problem
        owner.send_signal(signal.SIGCONT)
        async with await folder.open() as opened:
            assert not opened.owned


async def test_the_server_may_start_later(folder: Folder) -> None:
    """A screen paints first and serves then."""
    owner = await folder.open(what="screen")
    waiting = asyncio.create_task(folder.open())
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    await owner.start_serving()
    await owner.start_serving()
    opened = await waiting
    assert not opened.owned
    await opened.close()
    await owner.close()


async def test_closing_while_the_server_starts_leaves_nothing_behind(folder: Folder) -> None:
    opened = await folder.open(what="screen")
    starting = asyncio.create_task(opened.start_serving())
    await asyncio.sleep(0)
    await opened.close()
    await starting
    await opened.start_serving()
    assert not folder.socket.exists()
    assert OwnerLock(folder.lock).try_acquire("run")


async def test_the_owner_may_leave_meanwhile(folder: Folder) -> None:
    owner = await folder.open(what="command")
    waiting = asyncio.create_task(folder.open())
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    await owner.close()
    opened = await waiting
    assert opened.owned
    await opened.close()


async def test_a_killed_owner_is_followed_by_the_next(folder: Folder) -> None:
    """Neither its socket nor its record stands in the way, and what it wrote is there."""
    with folder.owner() as owner:
        async with await folder.open() as through:
            await through.backend.create_task(new_task("t1"), actor=ANA)
        owner.kill()
        owner.wait()
        assert folder.socket.exists()
        assert OwnerLock(folder.lock).holder() is not None
    async with await folder.open(serve=True) as opened, await folder.open() as second:
        assert (opened.owned, second.owned) == (True, False)
        assert [task.id for task in await second.backend.list_tasks(TaskFilter())] == ["t1"]


async def test_a_client_of_a_killed_owner_is_told(folder: Folder) -> None:
    with folder.owner() as owner:
        async with await folder.open() as through:
            await through.backend.last_seq()
            owner.kill()
            owner.wait()
            with pytest.raises(StoreBusy, match="nobody answers"):
                await through.backend.last_seq()


async def test_a_socket_that_refuses_is_not_taken_for_the_owner(folder: Folder) -> None:
    lock = OwnerLock(folder.lock)
    assert lock.try_acquire("run")
    folder.socket.write_text("no socket")
    lock.serve_at(folder.socket)
    with pytest.raises(StoreBusy, match="is no socket"):
        await folder.open(wait_s=0.1)
    lock.release()


async def test_a_store_that_does_not_open_leaves_the_lock_free(folder: Folder) -> None:
    (folder.root / "octopoid.db").write_bytes(b"not a database, and longer than a header of one" * 100)
    with pytest.raises(StoreBroken):
        await folder.open()
    assert OwnerLock(folder.lock).try_acquire("run")


async def test_a_server_that_does_not_start_gives_everything_back(folder: Folder) -> None:
    folder.socket.write_text("precious")
    with pytest.raises(StoreBroken, match="in the way"):
        await folder.open(serve=True)
    async with await folder.open() as opened:
        assert opened.owned


@pytest.mark.parametrize("owned", [False, True], ids=["for a moment each", "through an owner"])
async def test_six_commands_at_once_all_succeed(folder: Folder, owned: bool) -> None:
    async with maybe_owner(folder, owned):
        commands = [folder.start(COMMAND, f"t{number}", stderr=subprocess.PIPE) for number in range(6)]
        for command in commands:
            _, errors = await asyncio.to_thread(command.communicate, timeout=DEADLINE_S)
            assert (command.returncode, errors) == (0, "")
    async with await folder.open() as opened:
        tasks = await opened.backend.list_tasks(TaskFilter())
        assert sorted(task.id for task in tasks) == [f"t{number}" for number in range(6)]


@asynccontextmanager
async def maybe_owner(folder: Folder, owned: bool) -> AsyncIterator[None]:
    if not owned:
        yield
        return
    async with await folder.open(what="screen", serve=True):
        yield


async def test_a_path_too_long_for_a_socket_is_found_without_the_same_environment(
    tmp_path: Path, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner records where it serves; the client need not derive it."""
    deep = Folder(tmp_path / ("d" * 60) / ("e" * 60))
    deep.root.mkdir(parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_folder))
    async with await deep.open(what="screen", serve=True) as first:
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
        async with await deep.open() as second:
            assert not second.owned
            assert await second.backend.last_seq() == await first.backend.last_seq()


# Import hygiene

LOADED = "import json, sys; import {}; print(json.dumps(sorted(sys.modules)))"


@pytest.mark.parametrize("module", ["backend.open", "backend.remote", "backend.server.serve", "backend.wire"])
def test_importing_loads_no_framework(module: str) -> None:
    program = LOADED.format(module)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"fastapi", "starlette", "pydantic", "uvicorn", "httpx", "httpcore", "rich", "textual", "click"}
    assert heavy.isdisjoint(json.loads(done.stdout))


def test_httpx_comes_without_its_command_line() -> None:
    program = (
        "import sys; from backend.rest.connection import load_httpx; load_httpx();"
        "import httpx; assert httpx.AsyncClient;"
        "print(*sorted({'rich', 'click', 'pygments', 'httpx._main'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_first_requests_at_the_same_time_share_one_import(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from backend.remote import RemoteBackend\n"
        "async def main():\n"
        "    far = [RemoteBackend(socket_path=Path(sys.argv[1])) for _ in range(8)]\n"
        "    calls = [one.last_seq() for one in far]\n"
        "    ended = await asyncio.gather(*calls, return_exceptions=True)\n"
        "    print({type(error).__name__ for error in ended})\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "none.sock")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'Away'}"
