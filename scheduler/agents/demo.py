"""The scripted agent of `octopoid demo`: a real process that follows the task's own script. No model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from backend.config.schema import AgentSpec
from scheduler.agents.events import KINDS
from scheduler.agents.interface import Assignment, Caps, Command, Conversation, Draft, Opening
from scheduler.agents.oneway import OneWay

PROGRAM = Path(__file__).with_name("demo_agent.py")


class DemoAdapter:
    """Standard output is one event a line, already in our vocabulary."""

    name = "demo"
    caps = Caps(usage=True, cost=True)
    two_way = False
    line_limit = 32 << 20

    def command(self, spec: AgentSpec, assignment: Assignment) -> Command:
        return Command((sys.executable, "-I", str(PROGRAM), *spec.args), {})

    def doubts(self, spec: AgentSpec) -> Sequence[str]:
        return ()

    def converse(self, opening: Opening) -> Conversation:
        return OneWay(_event)


def _event(line: bytes) -> Draft:
    try:
        event = msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return Draft("log", {"stream": "out", "text": line.decode("utf-8", "replace")})
    kind, data = event.get("kind"), event.get("data")
    if kind not in KINDS or not isinstance(data, dict):
        return Draft("unknown", {"raw": line.decode("utf-8", "replace")[:4096]})
    return Draft(str(kind), data)
