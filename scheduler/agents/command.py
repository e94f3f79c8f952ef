"""Any program as an agent: it works in its worktree, and its exit status says whether it is done."""

from __future__ import annotations

from collections.abc import Sequence

from backend.config.schema import AgentSpec
from scheduler.agents.interface import (
    AgentUnavailable,
    Assignment,
    Caps,
    Command,
    Conversation,
    Draft,
    Opening,
)
from scheduler.agents.oneway import OneWay
from scheduler.agents.program import find_program


class CommandAdapter:
    """Standard output is a log; all that is more than that goes through the run directory."""

    name = "command"
    caps = Caps()
    two_way = False
    line_limit = 1 << 20

    def command(self, spec: AgentSpec, assignment: Assignment) -> Command:
        if not spec.command:
            raise AgentUnavailable(
                f"agent {spec.name!r} has adapter 'command' but no command",
                "add `command: [program, argument, …]` to its entry in agents.yaml",
            )
        program = find_program(spec.command[0], spec.env, "command")
        remembers = {"OCTOPOID_STATE_DIR": str(assignment.state_dir)}
        return Command((program, *spec.command[1:], *spec.args), remembers)

    def doubts(self, spec: AgentSpec) -> Sequence[str]:
        return ()

    def converse(self, opening: Opening) -> Conversation:
        return OneWay(_log)


def _log(line: bytes) -> Draft:
    return Draft("log", {"stream": "out", "text": line.decode("utf-8", "replace")})
