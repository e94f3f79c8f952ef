"""What a run directory promises, whatever an agent puts into it; and reading by lines."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.errors import BadInput, Duplicate, NotFound
from scheduler.runs import durable, lock
from scheduler.runs.adopt import find_runs
from scheduler.runs.outbox import BadOutboxItem, OutboxItem
from scheduler.runs.rundir import BadRunFile, ExitCause, RunDir, RunDirState
from scheduler.runs.spool import Spool
from scheduler.runs.tail import Line, Tail

EXIT = {
    "code": 0, "signal": None, "at": "2026-01-02T03:04:05.678Z", "cause": "exited", "error": "",
    "bytes_out": 1, "bytes_err": 2, "dropped": 3, "strays_killed": 4, "survivors": 0,
}  # fmt: skip
STARTED = {
    "supervisor_pid": 11, "pid": 12, "starttime": 13, "boot_id": "b", "nonce": "n",
    "at": "2026-01-02T03:04:05Z",
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "runs", "run-1")


@pytest.fixture
def held(run: RunDir) -> Iterator[int]:
    directory = os.open(run.path, os.O_RDONLY)
    fd = lock.take_lock(directory)
    assert fd is not None
    yield fd
    os.close(fd)
    os.close(directory)


def put(run: RunDir, name: str, content: str | bytes) -> Path:
    path = run.outbox / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# The directory


def test_directory_is_for_this_user_only(run: RunDir) -> None:
    for path in (run.path, run.outbox, run.inbox):
        assert path.stat().st_mode & 0o777 == 0o700
    for path in (run.stdin_fifo, run.control_fifo):
        assert path.is_fifo()
        assert path.stat().st_mode & 0o777 == 0o600
    run.write_inputs({"id": "t1"}, "do it ✓", {"KEY": "secret"})
    assert json.loads(run.task_json.read_text()) == {"id": "t1"}
    assert run.prompt_md.read_text() == "do it ✓"
    assert json.loads(run.env_json.read_text()) == {"KEY": "secret"}
    assert run.env_json.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in run.path.iterdir() if ".tmp" in entry.name] == []


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "-rf", "a\0b", "a\nb", "x" * 65, "é"])
def test_id_that_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        RunDir.create(tmp_path / "runs", name)
    assert list(tmp_path.iterdir()) == []


def test_run_is_never_made_twice(run: RunDir) -> None:
    with pytest.raises(Duplicate, match="run-1"):
        RunDir.create(run.path.parent, "run-1")


@pytest.mark.parametrize(
    "limits", [{"grace_s": float("nan")}, {"wall_clock_s": -1.0}, {"grace_s": float("inf")}]
)
def test_limits_that_are_none_are_refused(run: RunDir, tmp_path: Path, limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        run.write_spec(["/bin/true"], cwd=tmp_path, env={}, **limits)  # type: ignore[arg-type]


def test_each_run_has_a_nonce_of_its_own(run: RunDir, tmp_path: Path) -> None:
    first = run.write_spec(["a"], cwd=tmp_path, env={"A": "1"})
    assert run.spec() == first
    assert run.write_spec(["a"], cwd=tmp_path, env={"A": "1"}).marks() != first.marks()


# States


def test_state_of_a_run_that_was_never_started(run: RunDir) -> None:
    assert run.state() is RunDirState.PREPARED
    assert (run.started(), run.exit(), run.is_alive()) == (None, None, False)


def test_states_while_the_lock_is_held(run: RunDir, held: int) -> None:
    assert run.state() is RunDirState.STARTING
    run.started_json.write_text(json.dumps(STARTED))
    assert run.state() is RunDirState.ALIVE
    run.exit_json.write_text(json.dumps(EXIT))
    assert run.state() is RunDirState.ENDED


def test_states_when_the_lock_is_free(run: RunDir) -> None:
    """L-65: a record of having started proves nothing; a run without lock and exit is lost."""
    run.alive_lock.touch()
    run.started_json.write_text(json.dumps(STARTED))
    assert run.state() is RunDirState.LOST
    run.exit_json.write_text(json.dumps(EXIT))
    assert run.state() is RunDirState.ENDED


def test_records_are_typed(run: RunDir) -> None:
    run.started_json.write_text(json.dumps(STARTED))
    run.exit_json.write_text(json.dumps(EXIT))
    started, ended = run.started(), run.exit()
    assert started is not None
    assert (started.supervisor_pid, started.pid, started.starttime) == (11, 12, 13)
    assert ended is not None
    assert (ended.cause, ended.code, ended.dropped, ended.at.utcoffset()) == (
        ExitCause.EXITED, 0, 3, started.at.utcoffset(),
    )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", json.dumps(EXIT)[:40], json.dumps({**EXIT, "code": "0"}), "\0" * 4096,
     json.dumps({**EXIT, "cause": "magic"}), json.dumps({**EXIT, "at": "yesterday"}), "x" * 70_000],
)  # fmt: skip
def test_damaged_exit_is_an_error_and_never_no_exit(run: RunDir, content: str) -> None:
    """F13: half a record says that the run ended, and that we do not know how."""
    run.exit_json.write_text(content)
    assert run.state() is RunDirState.ENDED
    with pytest.raises(BadRunFile, match=r"exit\.json"):
        run.exit()


def test_record_that_is_a_link_is_not_followed(run: RunDir, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    target.write_text(json.dumps(EXIT))
    run.exit_json.symlink_to(target)
    with pytest.raises(BadRunFile):
        run.exit()


def test_missing_directory_is_named(tmp_path: Path) -> None:
    gone = RunDir(tmp_path / "gone")
    with pytest.raises(NotFound, match="gone"):
        gone.state()


def test_asking_about_a_lock_never_keeps_a_supervisor_from_taking_it(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F15: those who ask hold the lock for a moment themselves, which is a long one on a busy machine."""
    monkeypatch.setattr(lock, "PATIENCE_S", 60.0)
    stop_asking = threading.Event()

    def ask() -> None:
        while not stop_asking.wait(0.001):
            run.is_alive()

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    directory = os.open(run.path, os.O_RDONLY)
    try:
        for _ in range(50):
            fd = lock.take_lock(directory)
            assert fd is not None
            os.close(fd)
    finally:
        stop_asking.set()
        for thread in asking:
            thread.join()
        os.close(directory)


def test_lock_taken_twice_or_through_a_link_is_refused(run: RunDir, held: int) -> None:
    directory = os.open(run.path, os.O_RDONLY)
    assert lock.take_lock(directory) is None
    os.close(directory)
    run.alive_lock.unlink()
    run.alive_lock.symlink_to("/dev/null")
    assert not run.is_alive()


def test_lock_file_that_is_a_fifo_does_not_hang(run: RunDir) -> None:
    os.mkfifo(run.alive_lock)
    assert not run.is_alive()


def test_runs_are_found_and_foreign_entries_left_alone(run: RunDir, tmp_path: Path) -> None:
    root = run.path.parent
    (root / "notes.txt").write_text("mine")
    (root / ".cache").mkdir()
    (root / "link").symlink_to(tmp_path)
    other = RunDir.create(root, "run-0")
    other.exit_json.write_text("{")
    assert find_runs(root) == [(other, RunDirState.ENDED), (run, RunDirState.PREPARED)]
    assert find_runs(tmp_path / "none") == []


def test_file_is_replaced_whole_or_not_at_all(run: RunDir) -> None:
    directory = os.open(run.path, os.O_RDONLY)
    try:
        durable.write_file(directory, "x", b"old")
        (run.path / "y").mkdir()
        with pytest.raises(OSError, match="directory"):
            durable.write_file(directory, "y", b"new")
        assert (run.path / "x").read_bytes() == b"old"
        assert sorted(entry.name for entry in run.path.iterdir() if entry.name.endswith(".tmp")) == []
    finally:
        os.close(directory)


# Outbox and inbox


def test_requests_come_typed_oldest_first_and_once(run: RunDir) -> None:
    put(run, "b.json", '{"kind": "ask", "body": "why?"}')
    os.utime(run.outbox / "b.json", ns=(1, 1))
    put(run, "a.json", '{"kind": "progress", "done": 3}')
    put(run, "c.json.tmp", '{"kind": "as')
    put(run, ".d.json", "{")
    first, second = OutboxItem("b", "ask", {"body": "why?"}), OutboxItem("a", "progress", {"done": 3})
    assert run.read_outbox() == [first, second]
    assert run.read_outbox(seen={"b"}) == [second]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Expecting value"),
        ("[1]", "not a JSON object"),
        ("{}", "kind"),
        ('{"kind": 3}', "kind"),
        ('{"kind": "' + "x" * 40 + '"}', "kind"),
        ('{"kind": "ask", "kind": "result"}', "same key twice"),
        ('{"kind": "ask", "n": NaN}', "NaN"),
        ('{"kind": "ask", "n": ' + "9" * 5000 + "}", "digits"),
        ('{"kind": "ask", "t": "\\ud800"}', "surrogates"),
        ('{"kind": "ask", "deep": ' + "[" * 200_000 + "]" * 200_000 + "}", "deep"),
        (b"\xff\xfe\x00garbage", ""),
        (b"\0" * 100, ""),
        (b" " * (1 << 20) + b"{}", "larger than"),
    ],
)
def test_bad_request_says_why_and_stops_no_other(run: RunDir, content: str | bytes, reason: str) -> None:
    """B7: hostile JSON is an item with a reason, never an exception."""
    put(run, "bad.json", content)
    put(run, "good.json", '{"kind": "ask"}')
    by_id = {item.id: item for item in run.read_outbox()}
    bad = by_id["bad"]
    assert isinstance(bad, BadOutboxItem)
    assert reason in bad.reason
    assert by_id["good"] == OutboxItem("good", "ask", {})


def test_request_that_is_no_regular_file_is_refused(run: RunDir, tmp_path: Path) -> None:
    """T20, B5: links, pipes, sockets, directories and second names are never read."""
    secret = tmp_path / "secret.json"
    secret.write_text('{"kind": "ask", "body": "secret"}')
    (run.outbox / "link.json").symlink_to(secret)
    (run.outbox / "hard.json").hardlink_to(secret)
    (run.outbox / "directory.json").mkdir()
    os.mkfifo(run.outbox / "fifo.json")
    items = run.read_outbox()  # a pipe that were opened would never let go
    assert {item.id for item in items} == {"link", "hard", "directory", "fifo"}
    assert all(isinstance(item, BadOutboxItem) for item in items)


@pytest.mark.parametrize("name", ["-rf.json", "a b.json", "x" * 80 + ".json", "a\x1b[2J.json", "note.txt"])
def test_request_with_an_unusable_name_is_refused(run: RunDir, name: str) -> None:
    put(run, name, '{"kind": "ask"}')
    (item,) = run.read_outbox()
    assert isinstance(item, BadOutboxItem)
    assert item.id == ""


def test_name_that_is_no_text_is_refused(run: RunDir) -> None:
    with open(os.path.join(os.fsencode(run.outbox), b"\xff\xfe.json"), "wb") as file:
        file.write(b"{}")
    (item,) = run.read_outbox()
    assert isinstance(item, BadOutboxItem)
    item.name.encode()


def test_outbox_replaced_by_a_link_is_refused(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "a.json").write_text('{"kind": "ask"}')
    run.outbox.rmdir()
    run.outbox.symlink_to(tmp_path / "evil")
    (item,) = run.read_outbox()
    assert isinstance(item, BadOutboxItem)


def test_very_many_requests_are_read_in_portions(run: RunDir) -> None:
    for number in range(1100):
        put(run, f"n{number:04}.json", '{"kind": "progress"}')
    items = run.read_outbox()
    assert len(items) == 1001
    assert "more than 1000" in next(item.reason for item in items if isinstance(item, BadOutboxItem))
    seen = {item.id for item in items}
    assert len(run.read_outbox(seen)) == 100


def test_very_large_requests_are_read_in_portions(run: RunDir) -> None:
    for number in range(12):
        put(run, f"n{number}.json", b'{"kind": "progress", "x": "' + b"x" * 1_000_000 + b'"}')
    first = run.read_outbox()
    assert 8 <= len(first) <= 9
    assert len(run.read_outbox({item.id for item in first})) == 12 - len(first)


def test_reply_is_written_whole_and_can_be_repeated(run: RunDir) -> None:
    for _ in range(2):
        run.write_inbox("q1", {"body": "blue"})
    assert json.loads((run.inbox / "q1.json").read_text()) == {"body": "blue"}
    assert [entry.name for entry in run.inbox.iterdir()] == ["q1.json"]
    with pytest.raises(BadInput):
        run.write_inbox("../q1", {})


def test_reply_never_leaves_the_run_directory(run: RunDir, tmp_path: Path) -> None:
    """T20: an inbox that the agent has replaced by a link is not written through."""
    (tmp_path / "home").mkdir()
    target = tmp_path / "precious"
    target.write_text("mine")
    (run.inbox / "q1.json").symlink_to(target)
    run.write_inbox("q1", {"body": "blue"})
    assert target.read_text() == "mine"
    (run.inbox / "q1.json").unlink()
    run.inbox.rmdir()
    run.inbox.symlink_to(tmp_path / "home")
    with pytest.raises(BadRunFile, match="inbox"):
        run.write_inbox("q1", {"body": "blue"})
    assert list((tmp_path / "home").iterdir()) == []


# Spool


def test_spool_goes_on_with_a_whole_line_when_the_disk_has_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F4: what did not fit is missing and counted; no line is glued to another."""
    full = False
    write = os.write

    def failing(fd: int, data: bytes) -> int:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    monkeypatch.setattr(os, "write", failing)
    directory = os.open(tmp_path, os.O_RDONLY)
    spool = Spool(directory, "t", 1000)
    spool.write(b"one\ntw")
    full = True
    spool.write(b"o\nthree\n")
    spool.write(b"four")
    full = False
    spool.write(b"4\nfive\nsix\n")
    spool.close()
    os.close(directory)
    assert (tmp_path / "t").read_bytes() == b"one\ntw\nfive\nsix\n"
    assert spool.received == 29
    assert spool.dropped == len(b"o\nthree\nfour4\n")
    assert "No space left" in spool.error


@pytest.mark.parametrize("extra", [0, 1, 100, 65536])
def test_spool_loses_nothing_when_little_more_than_the_cap_comes(tmp_path: Path, extra: int) -> None:
    content = (b"line\n" * 20_000)[: 1000 + extra]
    directory = os.open(tmp_path, os.O_RDONLY)
    spool = Spool(directory, "t", 1000)
    for start in range(0, len(content), 777):
        spool.write(content[start : start + 777])
    assert (tmp_path / "t").stat().st_size == 1000
    spool.close()
    os.close(directory)
    assert (tmp_path / "t").read_bytes() == content
    assert spool.dropped == 0


# Tail


def test_tail_returns_each_line_once_and_leaves_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tail = Tail(path)
    assert tail.read() == []
    assert tail.at_end
    path.write_bytes(b"one\ntwo\nthr")
    assert tail.read() == [Line(0, 4, b"one", False), Line(4, 8, b"two", False)]
    assert tail.offset == 8
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(b"ee\n\nlast")
    assert tail.read() == [Line(8, 14, b"three", False), Line(14, 15, b"", False)]
    assert tail.read(final=True) == [Line(15, 19, b"last", False)]
    assert tail.read(final=True) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 64])
def test_tail_goes_on_anywhere_and_gives_the_same_lines(tmp_path: Path, limit: int) -> None:
    """F6: binary, split characters, NULs; read in portions of any size, resumed after each."""
    content = "één\n".encode() + b"\0\n\xff\xfe\n" + b"\n\n" + b"x" * 50 + b"\nend"
    path = tmp_path / "t"
    path.write_bytes(content)
    lines: list[Line] = []
    tail = Tail(path)
    while not lines or lines[-1].end < len(content):
        new = tail.read(limit, final=True)
        if new:
            lines += new
            tail = Tail(path, new[-1].end)
    assert [line.data for line in lines] == content.split(b"\n")
    assert all(content[line.offset : line.end].rstrip(b"\n") == line.data for line in lines)


def test_tail_cuts_a_line_that_is_too_long_and_finds_the_next(tmp_path: Path) -> None:
    """F6: ten megabytes without newline cost neither memory nor the lines after it."""
    path = tmp_path / "t"
    path.write_bytes(b"a\n" + b"x" * 10_000_000 + b"\nb\n")
    tail = Tail(path)
    lines: list[Line] = []
    while not tail.at_end:
        lines += tail.read()
    assert [(line.data[:2], len(line.data), line.truncated) for line in lines] == [
        (b"a", 1, False), (b"xx", 1 << 20, True), (b"b", 1, False),
    ]  # fmt: skip
    assert lines[1].end - lines[1].offset == 10_000_001


def test_tail_tells_a_line_of_the_limit_from_a_longer_one(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"xxxx\nxxxxx\nxxxxx")
    lines = Tail(path, line_limit=4).read(final=True)
    assert [(line.data, line.truncated) for line in lines] == [
        (b"xxxx", False), (b"xxxx", True), (b"xxxx", True),
    ]  # fmt: skip


def test_tail_refuses_what_is_not_the_file_it_read(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"one\ntwo\n")
    tail = Tail(path)
    tail.read()
    path.write_bytes(b"one\n")
    with pytest.raises(BadRunFile, match="4 bytes"):
        tail.read()
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(BadRunFile):
        tail.read()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadRunFile):
        Tail(path).read()
