"""A conversation with a program that only talks: nothing is sent to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from scheduler.agents.interface import Draft, Heard, Request, Send


class OneWay:
    """Its program ends by itself; what it asks, it asks through the run directory."""

    requests: Mapping[str, Request] = {}

    def __init__(self, parse: Callable[[bytes], Draft]) -> None:
        self._parse = parse

    def done(self, said: Collection[str]) -> bool:
        return False

    def begin(self) -> Sequence[Send]:
        return ()

    def read(self, line: bytes) -> Heard:
        return Heard((self._parse(line),))

    def reply(self, request: Request, answers: Sequence[str]) -> Sequence[Send]:
        return ()

    def say(self, message_id: str, text: str) -> Sequence[Send]:
        return ()

    def interrupt(self, message_id: str) -> Sequence[Send]:
        return ()
