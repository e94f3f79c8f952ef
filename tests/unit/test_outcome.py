"""What a run's end means: every row of the decision, from facts alone (L-12)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from backend.model import Outcome, Run, RunStatus
from scheduler.outcome import (
    ALIKE_LIMIT,
    BLAMELESS_LIMIT,
    Facts,
    Next,
    StopCause,
    blameless_streak,
    decide,
)
from scheduler.roles import Product

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def facts(**known: Any) -> Facts:
    """A run that ended well with work, changed as said."""
    plain: dict[str, Any] = {
        "cause": "exited",
        "exit_code": 0,
        "signal": None,
        "error": None,
        "turn_outcome": None,
        "rate_limited_until": None,
        "stop_reason": None,
        "taken_away": False,
        "has_work": True,
        "worktree_gone": False,
    }
    return Facts(**(plain | known))


ROWS: list[tuple[str, dict[str, Any], Outcome, Next, str]] = [
    ("done", {}, Outcome.SUBMITTED, Next.CHECK, "exit status 0"),
    ("said done", {"turn_outcome": "completed"}, Outcome.SUBMITTED, Next.CHECK, "exit status 0"),
    ("no work", {"has_work": False}, Outcome.EMPTY, Next.ESCALATE, "changed nothing"),
    ("bad status", {"exit_code": 3}, Outcome.CRASHED, Next.RETRY, "exit status 3"),
    ("bad status, no work", {"exit_code": 3, "has_work": False}, Outcome.CRASHED, Next.RETRY, "status 3"),
    ("said error", {"turn_outcome": "error"}, Outcome.CRASHED, Next.RETRY, "exit status 0"),
    ("signal", {"exit_code": None, "signal": 11}, Outcome.CRASHED, Next.RETRY, "signal 11"),
    ("out of turns", {"turn_outcome": "max_turns"}, Outcome.OUT_OF_TURNS, Next.CONTINUE, "out of turns"),
    (
        "out of turns, bad status",
        {"turn_outcome": "max_turns", "exit_code": 1},
        Outcome.OUT_OF_TURNS,
        Next.CONTINUE,
        "out of turns",
    ),
    (
        "unknown word of the agent",
        {"turn_outcome": "max_turns_exceeded", "exit_code": 1},
        Outcome.CRASHED,
        Next.RETRY,
        "exit status 1",
    ),
    (
        "rate limit",
        {"rate_limited_until": NOW, "exit_code": 1},
        Outcome.RATE_LIMITED,
        Next.GIVE_BACK,
        "provider",
    ),
    ("no worktree", {"worktree_gone": True, "has_work": False}, Outcome.CRASHED, Next.RETRY, "worktree"),
    ("vanished", {"cause": "lost", "exit_code": None}, Outcome.LOST, Next.GIVE_BACK, "vanished"),
    (
        "never ran",
        {"cause": "spawn_failed", "exit_code": None, "error": "no such file"},
        Outcome.SPAWN_FAILED,
        Next.GIVE_BACK,
        "no such file",
    ),
    (
        "never ran, no word",
        {"cause": "spawn_failed", "exit_code": None},
        Outcome.SPAWN_FAILED,
        Next.GIVE_BACK,
        "did not start",
    ),
    ("too long", {"cause": "wall_clock", "signal": 15}, Outcome.TIMED_OUT, Next.RETRY, "timeout"),
    (
        "too silent",
        {"cause": "stopped", "signal": 15, "stop_reason": "it was silent for 9 s"},
        Outcome.TIMED_OUT,
        Next.RETRY,
        "silent for 9 s",
    ),
    (
        "too many turns",
        {"cause": "stopped", "stop_reason": "it took 9 turns", "stop_cause": StopCause.TURNS},
        Outcome.OUT_OF_TURNS,
        Next.CONTINUE,
        "9 turns",
    ),
    (
        "its own budget",
        {"cause": "stopped", "stop_reason": "spent", "stop_cause": StopCause.OWN_BUDGET},
        Outcome.OVER_BUDGET,
        Next.ESCALATE,
        "spent",
    ),
    (
        "a shared budget",
        {"cause": "stopped", "stop_reason": "spent", "stop_cause": StopCause.SHARED_BUDGET},
        Outcome.OVER_BUDGET,
        Next.GIVE_BACK,
        "spent",
    ),
    ("said budget", {"turn_outcome": "budget", "exit_code": 1}, Outcome.OVER_BUDGET, Next.ESCALATE, "budget"),
    ("a verdict", {"produces": Product.VERDICT, "has_work": False}, Outcome.REVIEWED, Next.CHECK, "verdict"),
    ("a plan", {"produces": Product.TASKS, "has_work": False}, Outcome.SUBMITTED, Next.CHECK, "plan"),
    (
        "no verdict",
        {"produces": Product.VERDICT, "shortfall": "it left no verdict"},
        Outcome.EMPTY,
        Next.RETRY,
        "left no verdict",
    ),
    (
        "a verdict, and then it died",
        {"produces": Product.VERDICT, "exit_code": 1},
        Outcome.CRASHED,
        Next.RETRY,
        "exit status 1",
    ),
    ("stopped", {"cause": "stopped", "signal": 15}, Outcome.STOPPED, Next.GIVE_BACK, "from outside"),
    ("killed", {"cause": "killed", "signal": 9}, Outcome.STOPPED, Next.GIVE_BACK, "from outside"),
    ("taken away", {"taken_away": True}, Outcome.STOPPED, Next.NOTHING, "taken away"),
    (
        "taken away, and we said why",
        {"taken_away": True, "cause": "stopped", "stop_reason": "the task is cancelled now"},
        Outcome.STOPPED,
        Next.NOTHING,
        "cancelled now",
    ),
]


@pytest.mark.parametrize(
    ("known", "outcome", "then", "why"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS]
)
def test_decision(known: dict[str, Any], outcome: Outcome, then: Next, why: str) -> None:
    decision = decide(facts(**known))
    assert (decision.outcome, decision.next) == (outcome, then)
    assert why in decision.reason


def test_every_next_step_is_decided_somewhere() -> None:
    assert {row[3] for row in ROWS} == set(Next)


@pytest.mark.parametrize("cause", ["lost", "stopped", "killed", "spawn_failed"])
def test_blameless_ends_in_a_row_come_to_a_person(cause: str) -> None:
    """L-24: no way of trying again is without end."""
    almost = decide(facts(cause=cause, blameless_before=BLAMELESS_LIMIT - 2))
    assert almost.next is Next.GIVE_BACK
    last = decide(facts(cause=cause, blameless_before=BLAMELESS_LIMIT - 1))
    assert last.next is Next.ESCALATE
    assert f"{BLAMELESS_LIMIT} runs in a row" in last.reason


def test_what_ends_alike_again_and_again_comes_to_a_person() -> None:
    """L-24"""
    end = (Outcome.CRASHED, "it ended with exit status 3")
    before = ((Outcome.TIMED_OUT, "silent"), *[end] * (ALIKE_LIMIT - 1))
    decision = decide(facts(exit_code=3, ended_before=before))
    assert decision.next is Next.ESCALATE
    assert decision.reason == f"{ALIKE_LIMIT} attempts ended the same way: it ended with exit status 3"
    assert decide(facts(exit_code=3, ended_before=before[:-1])).next is Next.RETRY
    assert decide(facts(exit_code=4, ended_before=before)).next is Next.RETRY
    assert decide(facts(exit_code=3, ended_before=(*before, (Outcome.CRASHED, "else")))).next is Next.RETRY


def test_a_provider_limit_may_come_as_often_as_it_likes() -> None:
    """It closes the quota gate, which is pace enough."""
    decision = decide(facts(rate_limited_until=NOW, blameless_before=100))
    assert decision.next is Next.GIVE_BACK


def test_a_task_that_was_taken_away_is_never_escalated() -> None:
    assert decide(facts(taken_away=True, blameless_before=100)).next is Next.NOTHING


def run(run_id: str, outcome: Outcome | None) -> Run:
    return Run(
        id=run_id, task_id="t", attempt=1, fence=1, role="implement", agent_name="a", orchestrator_id="o",
        adapter="command", model=None, session_id=None, status=RunStatus.ENDED, outcome=outcome, reason=None,
        base_sha=None, head_sha=None, branch=None, exit_code=None, turns=None, tokens_input=0,
        tokens_output=0, tokens_cache_read=0, tokens_cache_write=0, cost_usd=None, commits_count=None,
        summary=None, started_at=NOW, last_activity_at=NOW, ended_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "streak"),
    [
        ([], 0),
        ([Outcome.LOST], 1),
        ([Outcome.LOST, Outcome.STOPPED, Outcome.SPAWN_FAILED], 3),
        ([Outcome.LOST, Outcome.CRASHED], 0),
        ([Outcome.CRASHED, Outcome.LOST], 1),
        ([Outcome.LOST, Outcome.RATE_LIMITED, Outcome.LOST], 1),
    ],
)
def test_the_streak_counts_back_to_the_last_run_that_did_something(
    outcomes: list[Outcome], streak: int
) -> None:
    before = [run(f"r{number}", outcome) for number, outcome in enumerate(outcomes)]
    assert blameless_streak([*before, run("this", None), run("later", Outcome.LOST)], "this") == streak


def test_the_same_words_at_another_time_are_the_same_end() -> None:
    def ended(words: str, before: str) -> Next:
        earlier = ((Outcome.CRASHED, f"it ended with exit status 3: {before}"),) * (ALIKE_LIMIT - 1)
        return decide(facts(exit_code=3, turn_reason=words, ended_before=earlier)).next

    assert ended("at 14:05 no disk is left", "at 14:03 no disk is left") is Next.ESCALATE
    assert ended("at 14:05 no disk is left", "at 14:03 no network") is Next.RETRY
