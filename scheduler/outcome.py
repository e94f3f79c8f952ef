"""What a run's end means, decided from facts alone: exit status, structured events, commits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

from backend.model import Outcome, Run
from scheduler.roles import Product

BLAMELESS = frozenset({Outcome.LOST, Outcome.STOPPED, Outcome.SPAWN_FAILED, Outcome.SYSTEM_FAILED})
"""Ends that are nobody's fault. A provider's limit is not here: it closes a gate of its own."""

ALIKE_LIMIT = 3
"""Attempts in a row that end in the very same way, after which more of them are no use."""

NUMBER = re.compile(r"\b(0x[0-9a-f]+|\d+)\b")

BLAMELESS_LIMIT = 5
"""Such ends in a row after which a person is asked: they are hardly chance."""


class StopCause(StrEnum):
    """Why the scheduler itself stopped a run."""

    SILENCE = "silence"
    INPUT = "input"  # it cannot be told anything any more
    TURNS = "turns"
    OWN_BUDGET = "own budget"  # the run's or the task's: only a person can raise it
    SHARED_BUDGET = "shared budget"  # of a day, an agent or a project: no fault of the task


class Next(StrEnum):
    """What becomes of the task."""

    CHECK = "check"  # its work goes on to the checks
    CONTINUE = "continue"  # another run goes on where this one stopped
    RETRY = "retry"  # another attempt, counted
    GIVE_BACK = "give_back"  # another attempt, blameless
    ESCALATE = "escalate"  # a person decides
    NOTHING = "nothing"  # it has moved on already


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a run that has ended."""

    cause: str
    """The supervisor's word: exited, stopped, killed, wall_clock, spawn_failed; or lost."""
    exit_code: int | None
    signal: int | None
    error: str | None
    turn_outcome: str | None
    """What the agent's last `turn.finished` said, if any."""
    rate_limited_until: datetime | None
    stop_reason: str | None
    """Why we stopped it, if we did."""
    taken_away: bool
    """Whether the task's lease is this run's no more."""
    has_work: bool
    """Whether the collected head differs from the task's base."""
    worktree_gone: bool
    turn_reason: str | None = None
    """Why the agent's last turn ended as it did, in its words."""
    refused: str | None = None
    """Why its program may not work at all: a bad key, no login."""
    stop_cause: StopCause = StopCause.SILENCE
    produces: Product = Product.COMMITS
    shortfall: str | None = None
    """For a run that has to leave a verdict or tasks: why what it left is not usable."""
    ended_before: tuple[tuple[Outcome, str], ...] = ()
    """Outcome and reason of the task's earlier runs in the same role, the newest last."""
    blameless_before: int = 0
    """How many of the task's runs before this one ended, in a row, through no fault of theirs."""


@dataclass(frozen=True, slots=True)
class Decision:
    outcome: Outcome
    next: Next
    reason: str


def decide(facts: Facts) -> Decision:
    """The one place where a run's outcome is decided: what was done to it, then how it ended by itself."""
    decision = _from_outside(facts) or _by_itself(facts)
    if decision.next is Next.RETRY and _alike(facts, decision) >= ALIKE_LIMIT:
        reason = f"{_alike(facts, decision)} attempts ended the same way: {decision.reason}"
        return Decision(decision.outcome, Next.ESCALATE, reason)
    times = facts.blameless_before + 1
    if decision.next is Next.GIVE_BACK and decision.outcome in BLAMELESS and times >= BLAMELESS_LIMIT:
        return Decision(decision.outcome, Next.ESCALATE, f"{times} runs in a row: {decision.reason}")
    return decision


def blameless_streak(runs: Sequence[Run], before: str) -> int:
    """How many runs of one task, in order, ended through no fault of theirs right before a certain one."""
    count = 0
    for run in runs:
        if run.id == before:
            break
        count = count + 1 if run.outcome in BLAMELESS else 0
    return count


def _alike(facts: Facts, decision: Decision) -> int:
    """How many attempts in a row have ended like this one, this one included."""
    this = (decision.outcome, _gist(decision.reason))
    ends = ((outcome, _gist(reason)) for outcome, reason in facts.ended_before[::-1])
    return len(list(takewhile(lambda end: end == this, ends))) + 1


def _gist(reason: str) -> tuple[str, str]:
    """How it ended, and a program's words about it, which hold times and addresses."""
    end, _, words = reason.partition(": ")
    return end, NUMBER.sub("0", words)


STOPPED = {
    StopCause.SILENCE: (Outcome.TIMED_OUT, Next.RETRY),
    StopCause.INPUT: (Outcome.CRASHED, Next.RETRY),
    StopCause.TURNS: (Outcome.OUT_OF_TURNS, Next.CONTINUE),
    StopCause.OWN_BUDGET: (Outcome.OVER_BUDGET, Next.ESCALATE),
    StopCause.SHARED_BUDGET: (Outcome.OVER_BUDGET, Next.GIVE_BACK),
}


def _from_outside(facts: Facts) -> Decision | None:
    """Ends that are not the agent's own doing; None when it ended by itself."""
    if facts.taken_away:
        return Decision(Outcome.STOPPED, Next.NOTHING, facts.stop_reason or "the task was taken away")
    if facts.cause == "lost":
        return Decision(
            Outcome.LOST, Next.GIVE_BACK, "its process vanished without an exit status (killed, or a restart)"
        )
    if facts.cause == "spawn_failed":
        return Decision(
            Outcome.SPAWN_FAILED, Next.GIVE_BACK, facts.error or "the agent program did not start"
        )
    if facts.cause == "wall_clock":
        return Decision(Outcome.TIMED_OUT, Next.RETRY, "it ran longer than its timeout and was stopped")
    if facts.stop_reason is not None:
        return Decision(*STOPPED[facts.stop_cause], facts.stop_reason)
    if facts.cause in ("stopped", "killed"):
        return Decision(Outcome.STOPPED, Next.GIVE_BACK, "it was stopped from outside")
    return None


def _by_itself(facts: Facts) -> Decision:
    """What the agent's own end means."""
    if facts.refused is not None:
        return Decision(Outcome.SYSTEM_FAILED, Next.GIVE_BACK, facts.refused)
    if facts.rate_limited_until is not None:
        return Decision(Outcome.RATE_LIMITED, Next.GIVE_BACK, "its provider refused more work for now")
    if facts.worktree_gone:
        return Decision(Outcome.CRASHED, Next.RETRY, "it deleted or replaced its worktree")
    if facts.turn_outcome == "max_turns":
        return Decision(Outcome.OUT_OF_TURNS, Next.CONTINUE, "it ran out of turns")
    if facts.turn_outcome == "budget":
        return Decision(Outcome.OVER_BUDGET, Next.ESCALATE, "its program ended it: the run's budget is spent")
    if facts.signal is not None:
        return Decision(Outcome.CRASHED, Next.RETRY, f"it was ended by signal {facts.signal}")
    if facts.exit_code != 0 or facts.turn_outcome == "error":
        why = f": {facts.turn_reason}" if facts.turn_reason else ""
        return Decision(Outcome.CRASHED, Next.RETRY, f"it ended with exit status {facts.exit_code}{why}")
    if facts.produces is not Product.COMMITS:
        return _delivered(facts)
    if not facts.has_work:
        return Decision(Outcome.EMPTY, Next.ESCALATE, "it ended well but changed nothing")
    return Decision(Outcome.SUBMITTED, Next.CHECK, "it ended with exit status 0")


def _delivered(facts: Facts) -> Decision:
    """Whether a run left what its role has to produce."""
    if facts.shortfall is not None:
        return Decision(Outcome.EMPTY, Next.RETRY, facts.shortfall)
    if facts.produces is Product.VERDICT:
        return Decision(Outcome.REVIEWED, Next.CHECK, "it left its verdict")
    return Decision(Outcome.SUBMITTED, Next.CHECK, "it left its plan")
