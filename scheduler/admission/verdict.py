"""What a gate says, and all the gates together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's word on starting one task: whether it lets it pass, why, and when that may change."""

    gate: str
    passes: bool
    reason: str
    clears_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a task does or does not run now."""

    task_id: str
    summary: str
    gates: tuple[Verdict, ...]

    @property
    def first_closed(self) -> Verdict | None:
        return next((verdict for verdict in self.gates if not verdict.passes), None)


def passed(gate: str, reason: str) -> Verdict:
    return Verdict(gate, True, reason)


def closed(gate: str, reason: str, clears_at: datetime | None = None) -> Verdict:
    return Verdict(gate, False, reason, clears_at)
