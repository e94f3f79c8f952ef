"""What an agent may tell by its outbox, read as what it is: hostile."""

from __future__ import annotations

import pytest

from backend.errors import BadInput
from scheduler.reports import REPORTS


def test_use_is_read_as_totals_of_the_run() -> None:
    draft = REPORTS["usage"]({"input": 3, "cost_usd": 0.5})
    assert (draft.kind, draft.data) == ("usage", {"input": 3, "cost_usd": 0.5})


@pytest.mark.parametrize(
    ("outcome", "kind", "data"),
    [
        ("completed", "turn.finished", {"outcome": "completed", "reason": None}),
        ("out_of_turns", "turn.finished", {"outcome": "max_turns", "reason": None}),
        ("error", "turn.finished", {"outcome": "error", "reason": None}),
        ("rate_limited", "rate_limit", {"status": "rejected", "reason": None}),
    ],
)
def test_how_the_work_ended_is_read_as_an_event(outcome: str, kind: str, data: dict[str, object]) -> None:
    draft = REPORTS["result"]({"outcome": outcome})
    assert (draft.kind, draft.data) == (kind, data)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("usage", {}),
        ("usage", {"input": "many"}),
        ("usage", {"input": True}),
        ("usage", {"output": -1}),
        ("usage", {"input": 1, "tokens": 2}),
        ("result", {}),
        ("result", {"outcome": "max_turns"}),
        ("result", {"outcome": ["completed"]}),
        ("result", {"outcome": "error", "reason": 7}),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_next_step(kind: str, payload: dict[str, object]) -> None:
    with pytest.raises(BadInput) as caught:
        REPORTS[kind](payload)
    assert caught.value.next_step
