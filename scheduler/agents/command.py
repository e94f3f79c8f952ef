"""Any program as an agent: it works in its worktree, and its exit status says whether it is done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from backend.clean import clean
from backend.config.schema import AgentSpec
from scheduler.agents.interface import AgentUnavailable, Assignment, Command, Draft


class CommandAdapter:
    """Standard output is a log; questions come through `octopoid ask`."""

    name = "command"

    def command(self, spec: AgentSpec, assignment: Assignment) -> Command:
        if not spec.command:
            raise AgentUnavailable(
                f"agent {spec.name!r} has adapter 'command' but no command",
                "add `command: [program, argument, …]` to its entry in agents.yaml",
            )
        program = find_program(spec.command[0], spec.env)
        return Command((program, *spec.command[1:], *spec.args), {})

    def parse(self, line: bytes) -> list[Draft]:
        return [Draft("log", {"stream": "out", "text": clean(line.decode("utf-8", "replace"))})]


def find_program(name: str, env: dict[str, str]) -> str:
    """The absolute path of a program, by the search path that the agent will have.

    Raises:
        AgentUnavailable: no such program, or it may not be executed.
    """
    path = env.get("PATH", os.environ.get("PATH", os.defpath))
    found = shutil.which(name, path=path)
    if found is None and Path(name).exists():
        raise AgentUnavailable(f"agent program {name!r} is not executable", f"chmod +x {name}")
    if found is None:
        raise AgentUnavailable(
            f"agent program {name!r} was not found", "install it, or correct `command` in agents.yaml"
        )
    return str(Path(found).absolute())
