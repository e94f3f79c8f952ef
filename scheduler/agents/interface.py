"""How one kind of agent program is driven: what to start, how to read it, how to answer it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from backend.config.schema import AgentSpec
from backend.errors import OctopoidError


class AgentUnavailable(OctopoidError):
    """The agent's program or adapter cannot be used on this machine."""

    slug = "agent-unavailable"


@dataclass(frozen=True, slots=True)
class Assignment:
    """Everything an adapter needs to know of a run before it starts."""

    run_id: str
    run_dir: Path
    task_id: str
    worktree: Path
    prompt_file: Path
    resume_session: str | None


@dataclass(frozen=True, slots=True)
class Command:
    """The program to start: its arguments and what it is given beyond the common environment."""

    argv: tuple[str, ...]
    env: dict[str, str]


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as an adapter reads it from one line of output; time and offset are added outside."""

    kind: str
    data: dict[str, Any]


class Adapter(Protocol):
    """One kind of agent program. Adapters are stateless: what they read, they read line by line."""

    name: str

    def command(self, spec: AgentSpec, assignment: Assignment) -> Command:
        """What to start.

        Raises:
            AgentUnavailable: the program is missing, or the agent's entry is incomplete.
        """
        ...

    def parse(self, line: bytes) -> list[Draft]:
        """Read one line of the agent's standard output."""
        ...
