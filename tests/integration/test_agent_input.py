"""Messages to an agent's input: whole, in order, each once, whoever sends and however slowly it reads."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduler import talk as talk_module
from scheduler.agents.demo import DemoAdapter
from scheduler.agents.interface import Conversation, Draft, Heard, Opening, Request, Send
from scheduler.runs.adopt import AgentNotReading, offer
from scheduler.runs.rundir import RunDir
from scheduler.talk import CUT_OFF, STUCK, STUCK_AFTER_S, Talk


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    made = RunDir.create(tmp_path / "runs", "r1")
    made.write_inputs({}, "Do it.", {}, {"setup": {"word": "blue"}, "told": ["m0"]})
    return made


@pytest.fixture
def reader(run_dir: RunDir) -> Iterator[int]:
    """The agent's end of its input, which it may or may not read."""
    descriptor = os.open(run_dir.stdin_fifo, os.O_RDONLY | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


def nothing(whole: bool) -> None:
    return


def read_all(reader: int) -> bytes:
    """What waits in the pipe now."""
    try:
        return os.read(reader, 4 << 20)
    except BlockingIOError:
        return b""


def test_nobody_reads(run_dir: RunDir) -> None:
    with pytest.raises(AgentNotReading):
        offer(run_dir, b"x\n", nothing)


def test_what_does_not_fit_is_not_begun(run_dir: RunDir, reader: int) -> None:
    begun: list[str] = []
    assert offer(run_dir, b"a" * 3000 + b"\n", lambda whole: begun.append(f"first {whole}")) == 3001
    assert not offer(run_dir, b"b" * 3000 + b"\n", lambda whole: begun.append("second"))
    assert not offer(run_dir, b"c" * 200_000 + b"\n", lambda whole: begun.append("third"))
    assert begun == ["first True"]
    assert os.read(reader, 1 << 20) == b"a" * 3000 + b"\n"
    assert offer(run_dir, b"b" * 3000 + b"\n", nothing)


def test_a_message_that_a_pipe_can_be_made_to_hold_goes_out_whole(run_dir: RunDir, reader: int) -> None:
    said: list[bool] = []
    assert offer(run_dir, b"a" * 500_000, said.append) == 500_000
    assert said == [True]
    assert len(read_all(reader)) == 500_000


def test_a_message_larger_than_any_pipe_is_begun_and_gone_on_with(run_dir: RunDir, reader: int) -> None:
    data, read, said = bytes(range(256)) * (12 << 10), b"", []
    taken = offer(run_dir, data, said.append)
    assert 0 < taken < len(data)
    assert offer(run_dir, data[taken:], said.append, goes_on=True) == 0, "there is no room"
    while taken < len(data):
        read += read_all(reader)
        taken += offer(run_dir, data[taken:], said.append, goes_on=True)
    assert read + read_all(reader) == data
    assert said == [False]


class Echo(Conversation):
    """A protocol with a handshake: `hello` is answered by the prompt, `ask ID` asks."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.asked: dict[str, Request] = {}
        self.over = False

    @property
    def requests(self) -> dict[str, Request]:
        return self.asked

    def done(self, said: Collection[str]) -> bool:
        return self.over

    def begin(self) -> Sequence[Send]:
        return (Send("hello", b"hello\n", repeatable=False),)

    def read(self, line: bytes) -> Heard:
        if line == b"welcome":
            return Heard(
                (Draft("session.started", {}),), (Send("prompt", self.opening.prompt.encode() + b"\n"),)
            )
        self.over = line == b"bye"
        return Heard()

    def reply(self, request: Request, answers: Sequence[str]) -> Sequence[Send]:
        return ()

    def say(self, message_id: str, text: str) -> Sequence[Send]:
        return (Send(f"say {message_id}", text.encode() + b"\n"),)

    def interrupt(self, message_id: str) -> Sequence[Send]:
        return (Send(f"interrupt {message_id}", b"stop\n"),)


class EchoAdapter(DemoAdapter):
    two_way = True

    def converse(self, opening: Opening) -> Conversation:
        return Echo(opening)


class Recorded:
    """What a run's record says was sent, as it outlives schedulers."""

    def __init__(self, run_dir: RunDir) -> None:
        self.run_dir = run_dir
        self.sent: list[str] = []

    def talk(self, upto: int = 0) -> Talk:
        """The conversation as another scheduler makes it."""
        made = Talk(self.run_dir, EchoAdapter(), set(self.sent), lambda name, text: self.sent.append(name))
        made.begin(upto, 1 << 20)
        return made


def test_a_handshake_is_sent_step_by_step_and_by_each_scheduler_only_what_is_left(
    run_dir: RunDir, reader: int
) -> None:
    record = Recorded(run_dir)
    first = record.talk()
    first.flush()
    assert os.read(reader, 100) == b"hello\n"
    run_dir.transcript.write_bytes(b"welcome\n")
    second = record.talk(upto=8)
    second.flush()
    assert os.read(reader, 100) == b"Do it.\n"
    third = record.talk(upto=8)
    third.flush()
    assert record.sent == ["hello", "prompt"]
    assert third.told == {"m0"}


def test_what_may_not_be_repeated_is_recorded_first_and_what_may_be_after(
    run_dir: RunDir, reader: int
) -> None:
    order: list[str] = []

    def keep(name: str, text: str) -> None:
        held = os.read(reader, 100) if name == "prompt" else b""
        order.append(f"{name} recorded with {held!r} written")

    talk = Talk(run_dir, EchoAdapter(), set(), keep)
    talk.begin(0, 1 << 20)
    talk.flush()
    os.read(reader, 100)
    talk.read(b"welcome")
    talk.flush()
    assert order == ["hello recorded with b'' written", "prompt recorded with b'Do it.\\n' written"]


def test_words_are_said_once_and_after_what_they_interrupt(run_dir: RunDir, reader: int) -> None:
    record = Recorded(run_dir)
    talk = record.talk()
    talk.flush()
    assert talk.say("m1", "This way.", interrupt=True)
    assert talk.say("m1", "This way.", interrupt=True)
    assert os.read(reader, 100) == b"hello\nstop\nThis way.\n"
    assert record.talk().say("m1", "This way.", interrupt=False)
    assert record.sent == ["hello", "interrupt m1", "say m1"]


def test_what_waits_for_room_is_sent_in_order_later(run_dir: RunDir, reader: int) -> None:
    talk = Recorded(run_dir).talk()
    talk.flush()
    assert talk.say("m1", "x" * 5000, interrupt=False) is False, "a page holds no more behind the greeting"
    assert talk.say("m2", "short", interrupt=False) is False, "it may not overtake"
    assert os.read(reader, 1 << 16) == b"hello\n"
    talk.flush()
    assert os.read(reader, 1 << 16) == b"x" * 5000 + b"\n"
    talk.flush()
    assert os.read(reader, 1 << 16) == b"short\n"


LONG = "y" * (3 << 20)
"""Words that no pipe holds."""


def test_nothing_follows_a_part_of_a_message_but_its_rest(run_dir: RunDir, reader: int) -> None:
    record = Recorded(run_dir)
    talk = record.talk()
    talk.flush()
    assert read_all(reader) == b"hello\n"
    assert not talk.say("m1", LONG, interrupt=False)
    assert not talk.say("m2", "Stop.", interrupt=True)
    assert record.sent == ["hello", "part of say m1"]
    assert talk.stuck is None
    read = b""
    while "say m2" not in record.sent:
        part = read_all(reader)
        assert part, "it goes on as soon as there is room"
        read += part
        talk.flush()
    assert read + read_all(reader) == f"{LONG}\nstop\nStop.\n".encode()
    assert record.sent == ["hello", "part of say m1", "say m1", "interrupt m2", "say m2"]
    assert record.talk().stuck is None


def test_nobody_knows_the_rest_of_a_message_that_an_earlier_scheduler_began(
    run_dir: RunDir, reader: int
) -> None:
    record = Recorded(run_dir)
    first = record.talk()
    first.flush()
    read_all(reader)
    first.say("m1", LONG, interrupt=False)
    read_all(reader)
    second = record.talk()
    assert second.stuck == CUT_OFF
    assert not second.say("m1", LONG, interrupt=False)
    assert not second.say("m2", "Go on.", interrupt=True)
    second.flush()
    assert read_all(reader) == b""
    assert record.sent == ["hello", "part of say m1"]


def test_an_agent_that_takes_no_more_of_a_message_is_stuck_after_a_while(
    run_dir: RunDir, reader: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(talk_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    talk = Recorded(run_dir).talk()
    talk.flush()
    read_all(reader)
    talk.say("m1", LONG, interrupt=False)
    now[0] += STUCK_AFTER_S
    talk.flush()
    assert talk.stuck is None
    now[0] += 1
    assert talk.stuck == STUCK
    read_all(reader)
    talk.flush()
    assert talk.stuck is None, "it has taken more of it"


def test_an_agent_may_ruin_what_its_conversation_was_begun_with(run_dir: RunDir, reader: int) -> None:
    run_dir.prompt_md.unlink()
    run_dir.conversation_json.write_text("[")
    talk = Recorded(run_dir).talk()
    talk.flush()
    assert os.read(reader, 100) == b"hello\n"
