"""What an import takes for a history is what the lifecycle can write, and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from backend.errors import Refused
from backend.guards import Facts
from backend.interface import Action, Transition
from backend.lifecycle import TABLE, Limits, apply
from backend.model import Actor, Event, Priority, Queue, SenderType, Task, TaskType
from backend.transfer.history import REACHES, ends_at, trouble_with, waits_for_itself

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANA = Actor(SenderType.HUMAN, "ana")
TASK = Task(
    id="t", title="T", body="", queue=Queue.INCOMING, priority=Priority.P2, role="implement",
    type=TaskType.FEATURE, complexity=None, project_id=None, file_path=None, repo_url=None,
    base_branch="main", base_sha="", blocked_by=(), needs=(), auto_accept=False, claimed_by=None,
    claimed_at=None, orchestrator_id=None, run_id=None, fence=3, lease_expires_at=None,
    version=5, attempt_count=1,
    attempts_forgiven=0, rejection_count=0, continuation_count=0, conflict_count=0, head_sha="work",
    resume_run_id=None, approved_by=None, approved_at=None, approved_sha=None, reason=None, pr_url=None,
    merged_sha=None, created_by="ana", created_at=NOW, updated_at=NOW, submitted_at=None, completed_at=None,
    metadata={},
)  # fmt: skip
HELD = {"claimed_by": "w", "claimed_at": NOW, "orchestrator_id": "m", "run_id": "r", "lease_expires_at": NOW}
APPROVED = {"approved_by": "human:ana", "approved_at": NOW, "approved_sha": "work"}
COUNTS = [{"attempt_count": n, "rejection_count": n, "continuation_count": n, "conflict_count": n, "fence": 9}
          for n in (0, 1, 9)]  # fmt: skip


def reached(action: Action) -> set[Queue]:
    """Every state that the table itself leads to from many tasks and wishes."""
    found: set[Queue] = set()
    states = [TASK, replace(TASK, **HELD), replace(TASK, **APPROVED), replace(TASK, **HELD, **APPROVED)]
    cases = product(Queue, states, COUNTS, (0, 1), (False, True), (None, *Queue), (None, 9), (None, "r"))
    for queue, state, counts, open_blockers, systemic, to, fence, last in cases:
        if to is not None and action is not Action.FORCE:
            continue
        wish = Transition(
            "t", action, ANA, reason="because", fence=fence, run_id="r", head_sha="work", merged_sha="m",
            systemic=systemic, to=to,
        )  # fmt: skip
        changed: dict[str, Any] = {"queue": queue, **counts}
        try:
            after = apply(replace(state, **changed), wish, Facts(NOW, Limits(), open_blockers, last))
        except Refused:
            continue
        found.add(after.queue)
    return found


@pytest.mark.parametrize("action", [one for one in TABLE if one not in (Action.CREATE, Action.RENEW)])
def test_each_action_reaches_exactly_what_the_table_leads_to(action: Action) -> None:
    assert reached(action) == REACHES[action]


def test_every_action_is_there() -> None:
    assert REACHES.keys() == TABLE.keys()


def an_event(kind: str, before: str | None, after: str, version: int, **given: Any) -> Event:
    actor, reason = given.get("actor", "system:scheduler"), given.get("reason")
    return Event(1, NOW, actor, "task", "t", kind, before, after, version, reason, {})


def test_a_history_that_may_be() -> None:
    steps = [
        an_event("create", None, "blocked", 1),
        an_event("block", "blocked", "blocked", 2, reason="waits for a, which failed"),
        an_event("edit", "blocked", "incoming", 3),
        an_event("claim", "incoming", "claimed", 4),
        an_event("lease_expired", "claimed", "incoming", 5),
        an_event("submit", "incoming", "provisional", 6),
        an_event("edit", "provisional", "provisional", 7),
        an_event("forced", "provisional", "done", 8, actor="human:ana", reason="done by hand"),
    ]
    before = None
    for step in steps:
        assert trouble_with(step, before) is None
        before = step
    assert ends_at(replace(TASK, queue=Queue.DONE, version=8), before) is None


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (an_event("claim", "incoming", "claimed", 3), "version is 3, and 2"),
        (an_event("claim", "backlog", "claimed", 2), "from is backlog"),
        (an_event("create", "incoming", "incoming", 2), "has it once"),
        (an_event("edit", "incoming", "done", 2), "edit changes no state"),
        (an_event("accept", "incoming", "done", 2), "not allowed from incoming"),
        (an_event("claim", "incoming", "done", 2), "does not lead to done"),
        (an_event("forced", "incoming", "done", 2, reason="x"), "only a person"),
        (an_event("forced", "incoming", "done", 2, actor="human:ana", reason=" "), "only a person"),
        (an_event("bless", "incoming", "done", 2), "nothing that is done"),
    ],
)
def test_a_step_that_may_not_be(event: Event, said: str) -> None:
    trouble = trouble_with(event, an_event("create", None, "incoming", 1))
    assert trouble is not None
    assert said in trouble


def test_a_history_begins_with_create() -> None:
    assert trouble_with(an_event("claim", None, "claimed", 1), None) is not None
    assert ends_at(TASK, None) is not None


@pytest.mark.parametrize(
    ("blockers", "found"),
    [
        ({}, None),
        ({"a": ["b", "c"], "b": ["c"], "c": []}, None),
        ({"a": ["a"]}, "a"),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, "b"),
        ({str(n): [str(n + 1)] for n in range(5000)}, None),
    ],
)
def test_a_circle_is_found_however_long_the_chain(blockers: dict[str, list[str]], found: str | None) -> None:
    assert waits_for_itself(blockers) == found
