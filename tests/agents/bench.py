"""What an adapter brings to the contract suite: its real program, and a way to tell it what to do.

A bench is a context: what it serves (a scripted model) lives as long as it is used. Each adapter has its own
in `bench_<name>.py`, and a place in `BENCHES` of `test_adapter_contract.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from scheduler.agents.interface import Adapter


class Lacking(Exception):
    """This kind of agent cannot be made to do a step, for the reason given."""


# What an agent is told to do, whatever program it is


@dataclass(frozen=True)
class Say:
    """Say something; `{last}` is the result of the step before."""

    text: str


@dataclass(frozen=True)
class Write:
    """Write a file of the worktree; asks for permission where the program does. `{last}` as above."""

    path: str
    text: str


@dataclass(frozen=True)
class Shell:
    """Run a command in the worktree; asks for permission where the program does."""

    command: str


@dataclass(frozen=True)
class Question:
    """Ask a person; the answer is the result."""

    text: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wait:
    """Think until the test calls `release`."""


@dataclass(frozen=True)
class Flood:
    """Print so many lines."""

    lines: int


@dataclass(frozen=True)
class LongLine:
    """Cause a line of at least so many bytes on the program's standard output."""

    size: int


@dataclass(frozen=True)
class Refused:
    """The provider answers with this HTTP status instead: 429 too many requests, 401 a bad key."""

    status: int


@dataclass(frozen=True)
class OutOfTurns:
    """Stop because the turns are used up; with a fresh run the next steps are done."""


Step = Say | Write | Shell | Question | Wait | Flood | LongLine | Refused | OutOfTurns


@dataclass(frozen=True)
class Script:
    """A task's part that makes the agent do its steps."""

    task_id: str
    body: str
    metadata: dict[str, Any]


class Bench(Protocol):
    """One adapter on trial."""

    adapter: Adapter
    missing: str | None
    """Why it cannot be tried on this machine."""

    def __enter__(self) -> Bench: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def agent(self, place: Path) -> dict[str, Any]:
        """The keys of agents.yaml, besides name and role. `place` is a folder for what it needs."""
        ...

    def script(self, place: Path, *steps: Step) -> Script:
        """
        Raises:
            Lacking: this kind of agent cannot be made to do one of the steps.
        """
        ...

    def waits(self, script: Script) -> bool:
        """Whether the agent is in its `Wait` now."""
        ...

    def release(self, script: Script) -> None:
        """Let it go on."""
        ...
