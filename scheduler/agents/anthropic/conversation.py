"""One run's conversation with our own agent program."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from scheduler.agents.anthropic.wire import CLOSED, REQUEST, Asked, Line, Order
from scheduler.agents.events import KINDS
from scheduler.agents.interface import (
    Ask,
    Draft,
    Heard,
    Opening,
    Request,
    RequestKind,
    Send,
    reply_id,
    say_id,
)

RAW_SHOWN = 4096
PROMPT = "prompt"
AGAIN = "You go on in a new checkout of the work. Files may have changed; read them again.\n\n"
SCHEDULERS_OWN = frozenset({"sent", "exited", "unknown"})


class AnthropicConversation:
    """The program speaks our vocabulary: what is left to keep is what it asks, and whether it is done."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._open: dict[str, Request] = {}
        self._idle = False
        self._dealt_with: set[str] = set()

    @property
    def requests(self) -> Mapping[str, Request]:
        return self._open

    def done(self, said: Collection[str]) -> bool:
        return self._idle and self._dealt_with.issuperset(said)

    def begin(self) -> Sequence[Send]:
        again = AGAIN if self._opening.setup.get("resumed") else ""
        return (_send(PROMPT, Order("say", PROMPT, again + self._opening.prompt)),)

    def say(self, message_id: str, text: str) -> Sequence[Send]:
        return (_send(say_id(message_id), Order("say", say_id(message_id), text)),)

    def interrupt(self, message_id: str) -> Sequence[Send]:
        send_id = f"interrupt {message_id}"
        return (_send(send_id, Order("interrupt", send_id)),)

    def reply(self, request: Request, answers: Sequence[str]) -> Sequence[Send]:
        if request.id not in self._open:
            return ()
        return (_send(reply_id(request.id), Order("reply", request.id, answers=tuple(answers))),)

    def read(self, line: bytes) -> Heard:
        try:
            said = msgspec.json.decode(line, type=Line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Heard((Draft("log", {"stream": "out", "text": line.decode("utf-8", "replace")}),))
        if said.kind == REQUEST:
            return self._asked(said, line)
        if said.kind == CLOSED:
            self._open.pop(str(said.data.get("id")), None)
            return Heard()
        if said.kind not in KINDS or said.kind in SCHEDULERS_OWN:
            return _unknown(line)
        if said.kind == "turn.started":
            self._idle = False
        elif said.kind == "turn.finished":
            self._end_turn(said.data.get("said"))
        return Heard((Draft(said.kind, said.data),))

    def _asked(self, said: Line, line: bytes) -> Heard:
        try:
            asked = msgspec.convert(said.data, Asked)
        except msgspec.ValidationError:
            return _unknown(line)
        ask = Ask(asked.ask.text, asked.ask.options)
        self._open[asked.id] = Request(asked.id, RequestKind(asked.kind), (ask,), asked.tool, asked.input)
        return Heard()

    def _end_turn(self, said: object) -> None:
        self._idle = True
        self._open.clear()
        self._dealt_with.update(one for one in said if isinstance(one, str)) if isinstance(
            said, list
        ) else None


def _send(send_id: str, order: Order) -> Send:
    return Send(send_id, msgspec.json.encode(order) + b"\n")


def _unknown(line: bytes) -> Heard:
    return Heard((Draft("unknown", {"raw": line[:RAW_SHOWN].decode("utf-8", "replace")}),))
