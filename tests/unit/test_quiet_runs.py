"""How runs are looked at: silent ones cost next to nothing, and those that talk with us are soon heard."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.clock import SystemClock, from_ms
from scheduler import talk
from scheduler.agents.claude.adapter import ClaudeAdapter
from scheduler.agents.command import CommandAdapter
from scheduler.agents.interface import Adapter
from scheduler.attend import LOOK_EVERY_S, LOOK_SOON_S, Attendant
from scheduler.fleet import Fleet
from scheduler.follow import Following
from scheduler.runs import outbox
from scheduler.runs.outbox import STAMP_S, OutboxItem, OutboxWatch
from scheduler.runs.rundir import BadRunFile, RunDir
from scheduler.runs.tail import Tail
from scheduler.talk import REPLIES_WITHIN_S


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run that has said one line."""
    made = RunDir.create(tmp_path / "runs", "run-1")
    made.transcript.write_text("begun\n")
    made.stderr_log.touch()
    return made


class Time:
    """Time that goes by when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        for module in (outbox, talk):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def ask(run: RunDir, name: str) -> None:
    """Leave a request, at another time than that of the last change of the outbox: stamps are coarse."""
    before = run.outbox.stat().st_ctime_ns
    aside = run.outbox / f".{name}.tmp"
    while run.outbox.stat().st_ctime_ns == before:
        aside.write_text('{"kind": "ask", "question": "Which?"}')
        aside.rename(run.outbox / f"{name}.json")


def follow(run: RunDir, adapter: Adapter) -> Following:
    clock = SystemClock()
    record = SimpleNamespace(id="run-1")
    return Following(record, run, adapter, clock, from_ms(clock.now_ms()))  # type: ignore[arg-type]


def test_file_has_changed_until_it_was_read_and_when_it_grows(run: RunDir) -> None:
    tail = Tail(run.transcript)
    assert tail.changed()
    assert [line.data for line in tail.read()] == [b"begun"]
    assert not tail.changed()
    with run.transcript.open("a") as file:
        file.write("half a li")
    assert tail.changed()
    assert tail.read() == []
    assert not tail.changed()
    with run.transcript.open("a") as file:
        file.write("ne\n")
    assert tail.changed()
    assert [line.data for line in tail.read()] == [b"half a line"]


def test_file_that_was_read_in_part_has_changed(run: RunDir) -> None:
    tail = Tail(run.transcript)
    tail.read(3)
    assert tail.changed()


@pytest.mark.parametrize("ruin", ["cut", "fifo", "gone"])
def test_file_that_is_not_what_was_read_has_changed(run: RunDir, ruin: str) -> None:
    tail = Tail(run.transcript)
    tail.read()
    run.transcript.unlink()
    if ruin == "cut":
        run.transcript.touch()
    elif ruin == "fifo":
        os.mkfifo(run.transcript)
    assert tail.changed()
    if ruin != "gone":
        with pytest.raises(BadRunFile):
            tail.read()


def test_outbox_is_read_until_its_last_change_is_old(run: RunDir, time: Time) -> None:
    watch = OutboxWatch(run.outbox)
    for _ in range(3):
        assert watch.changed()
        watch.emptied()
    time.now += 2 * STAMP_S
    assert watch.changed()
    watch.emptied()
    assert not watch.changed()
    ask(run, "first")
    assert watch.changed()
    watch.emptied()
    assert watch.changed(), "another request may have come within the same tick of the file system's clock"


def test_outbox_that_is_gone_has_changed(run: RunDir, time: Time) -> None:
    watch = OutboxWatch(run.outbox)
    watch.changed()
    time.now += 2 * STAMP_S
    watch.emptied()
    assert not watch.changed()
    run.outbox.rmdir()
    assert watch.changed()


def test_whatever_comes_after_a_silence_is_seen(
    run: RunDir, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = follow(run, CommandAdapter())
    following.look()
    time.now += 2 * STAMP_S
    following.look()

    def refuse(*_: object) -> None:
        raise AssertionError("a quiet run was read")

    with monkeypatch.context() as patch:
        patch.setattr(Tail, "read", refuse)
        patch.setattr(RunDir, "read_outbox", refuse)
        quiet = following.look()
    assert (quiet.active, quiet.requests) == (None, ())

    with run.transcript.open("a") as file:
        file.write("something\n")
    ask(run, "first")
    seen = following.look()
    assert seen.active is not None
    assert [item.id for item in seen.requests] == ["first"]
    time.now += 2 * STAMP_S
    again = following.look()
    assert [item.id for item in again.requests] == ["first"], "it was not dealt with yet"
    (request,) = again.requests
    assert isinstance(request, OutboxItem)
    following.handled(request)
    assert following.look().requests == ()
    assert b"something" in run.events_jsonl.read_bytes()


def test_agent_that_was_sent_something_is_looked_at_soon(run: RunDir, time: Time) -> None:
    run.write_inputs({}, "Do it.", {})
    following = follow(run, ClaudeAdapter())
    fleet = Fleet(following={"run-1": following})
    attendant = Attendant(None, None, fleet, SystemClock(), lambda: None)  # type: ignore[arg-type]
    assert not following.look().told, "nobody reads yet"
    assert attendant.look_every_s == LOOK_EVERY_S
    reader = os.open(run.stdin_fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert following.look().told
        assert attendant.look_every_s == LOOK_SOON_S
        time.now += 2 * REPLIES_WITHIN_S
        assert attendant.look_every_s == LOOK_EVERY_S
    finally:
        os.close(reader)


async def test_answer_waits_until_it_is_known_what_the_agent_asks(run: RunDir, time: Time) -> None:
    """Given while no scheduler ran, it must not be taken for one to a question of the past: L-65."""
    run.write_inputs({}, "Do it.", {})
    following = follow(run, ClaudeAdapter())
    attendant = Attendant(None, None, Fleet(), SystemClock(), lambda: None)  # type: ignore[arg-type]
    key = talk.request_key("a-request")
    message = SimpleNamespace(id="m-1", request_id=f"{key}.0", body="May it?", answer="allow")
    reader = os.open(run.stdin_fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        dialogue = attendant._dialogue
        assert await dialogue.bring(following, message) == ()  # type: ignore[arg-type]
        assert following.look().caught_up
        following.caught_up = True
        assert await dialogue.bring(following, message) == ("m-1",)  # type: ignore[arg-type]
        assert b"An answer to your earlier question" in os.read(reader, 1 << 20)
    finally:
        os.close(reader)
