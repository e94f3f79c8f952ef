"""How the server on a socket starts and stops, and whom it lets in."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from serving import ANA, Follower, Served, new_task, serve, soon

from backend.errors import (
    StoreBroken,
    StoreBusy,
)
from backend.local import LocalBackend
from backend.model import (
    Task,
    TaskFilter,
)
from backend.remote import RemoteBackend
from backend.server.address import choose_address, listen
from backend.server.protocol import is_own_user
from backend.server.serve import SocketServer


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path) as one:
        yield one


@pytest.fixture
def runtime_folder() -> Iterator[Path]:
    """A short path: a socket has to fit below it."""
    with tempfile.TemporaryDirectory(prefix="octo") as name:
        yield Path(name)


async def test_the_socket_is_this_users_alone(served: Served) -> None:
    """T12: other users can not connect."""
    assert stat.S_IMODE(served.path.lstat().st_mode) == 0o600


@pytest.mark.parametrize(("uid", "allowed"), [(os.geteuid(), True), (0, True), (os.geteuid() + 1, False)])
def test_peers_of_other_users_are_turned_away(uid: int, allowed: bool) -> None:
    """T12: even if they could reach the socket."""

    class Peer:
        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            assert (level, option) == (socket.SOL_SOCKET, socket.SO_PEERCRED)
            return struct.pack("3i", 1, uid, 1)

    assert is_own_user(Peer()) is allowed


def test_the_socket_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        sock = listen(tmp_path / "o.sock")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "o.sock").lstat().st_mode) == 0o600
    sock.close()


async def test_stopping_removes_the_socket(served: Served) -> None:
    await served.server.stop()
    assert not served.path.exists()
    await served.server.stop()


async def test_stopping_leaves_the_socket_of_another_owner(served: Served) -> None:
    served.path.unlink()
    other = listen(served.path)
    await served.server.stop()
    assert served.path.exists()
    other.close()


def test_a_dead_owners_socket_is_replaced(tmp_path: Path) -> None:
    listen(tmp_path / "o.sock").close()
    assert (tmp_path / "o.sock").exists()
    listen(tmp_path / "o.sock").close()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "o.sock").write_text("precious")
    with pytest.raises(StoreBroken, match="in the way"):
        listen(tmp_path / "o.sock")
    assert (tmp_path / "o.sock").read_text() == "precious"


async def test_a_path_too_long_for_a_socket_moves_to_the_runtime_folder(
    tmp_path: Path, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_folder))
    backend = await LocalBackend.open(deep / "octopoid.db")
    server = SocketServer(backend, deep / "octopoid.sock")
    assert server.address.parent == runtime_folder / "octopoid"
    await server.start()
    far = RemoteBackend(socket_path=server.address)
    assert await far.last_seq() == 0
    await far.close()
    await server.stop()
    await backend.close()


def test_two_stores_with_long_paths_do_not_meet(tmp_path: Path, runtime_folder: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(runtime_folder)}
    deep = tmp_path / ("d" * 100)
    first, second = (choose_address(deep / name / "o.sock", environ) for name in ("a", "b"))
    assert first != second
    assert first.parent == second.parent == runtime_folder / "octopoid"
    assert choose_address(deep / "a" / "o.sock", {}).parent == Path(f"/tmp/octopoid-{os.getuid()}")
    assert choose_address(tmp_path / "o.sock", environ) == tmp_path / "o.sock"


@pytest.mark.parametrize("squatter", ["symlink", "open folder"])
def test_a_folder_that_others_may_have_made_is_refused(tmp_path: Path, squatter: str) -> None:
    """T12: in a shared folder the first to come may be somebody else."""
    shared, elsewhere = tmp_path / "tmp", tmp_path / "elsewhere"
    shared.mkdir()
    elsewhere.mkdir(mode=0o700)
    shared.chmod(0o1777)
    if squatter == "symlink":
        (shared / "octopoid-0").symlink_to(elsewhere)
    else:
        (shared / "octopoid-0").mkdir()
        (shared / "octopoid-0").chmod(0o755)
    with pytest.raises(StoreBroken, match="this user alone"):
        listen(shared / "octopoid-0" / "o.sock")


async def test_stopping_does_not_wait_for_those_who_listen(served: Served) -> None:
    """Streams, long-polls, idle connections and a client that never reads."""
    follower = Follower(served.remote)
    poll = asyncio.create_task(served.http.get("/api/v1/events?after=100000&wait=25"))
    for number in range(300):
        await served.backend.create_task(new_task(f"t{number}", title="x" * 4000), actor=ANA)
    deaf = socket.socket(socket.AF_UNIX)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.connect(str(served.path))
    deaf.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: o\r\nAccept: text/event-stream\r\n\r\n")
    streams = served.server._streams
    assert streams is not None
    await soon(lambda: streams.count == 2 and bool(follower.seqs))
    async with asyncio.timeout(20):  # the long-poll alone would take 25
        await served.server.stop()
    deaf.close()
    await follower.stop()
    assert (await poll).json() == {"events": []}


async def test_requests_under_way_end_before_the_server_stops(served: Served) -> None:
    await served.remote.health()
    calls = [served.remote.create_task(new_task(f"t{number}"), actor=ANA) for number in range(20)]
    running = [asyncio.ensure_future(call) for call in calls]
    await soon(lambda: any(one.done() for one in running))
    await served.server.stop()
    results: list[Task | BaseException] = await asyncio.gather(*running, return_exceptions=True)
    made = {task.id for task in await served.backend.list_tasks(TaskFilter())}
    told = {result.id for result in results if isinstance(result, Task)}
    assert told <= made
    assert all(isinstance(result, Task | StoreBusy) for result in results)
