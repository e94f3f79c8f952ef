"""What a person's words mean for an agent that wants to use a tool; and what runs of a session have used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import BadInput
from scheduler.agents.decision import Allow, Deny, decide, read_decision
from scheduler.agents.usage import NOTHING_USED, Meter, Usage


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("allow", Allow()), (" Allow \n", Allow()), ("yes", Allow()), ("y", Allow()),
        ('allow {"command": "ls"}', Allow({"command": "ls"})), ('Allow: {"a":\n1}', Allow({"a": 1})),
        ("allow always", Allow(always=True)), ("always", Allow(always=True)),
        ("deny", Deny("A person does not allow this.")), ("no", Deny("A person does not allow this.")),
        ("deny: too broad", Deny("too broad")), ("No, use git mv", Deny("No, use git mv")),
        ("allow it only in src", Deny("allow it only in src")),
        ("yes but not there", Deny("yes but not there")),
        ("nothing doing", Deny("nothing doing")), ("allowed", Deny("allowed")),
        ("do not allow", Deny("do not allow")),
    ],
)  # fmt: skip
def test_what_is_unclear_is_no_permission(text: str, expected: Allow | Deny) -> None:
    assert read_decision(text) == expected


@pytest.mark.parametrize("text", ["allow {", "allow [1]", 'allow {"a": }', "allow {} and more", "yes {x}"])
def test_a_change_that_cannot_be_read_is_an_error_first_and_never_a_permission(text: str) -> None:
    decision = decide(text)
    assert isinstance(decision, Deny)
    if text.startswith("allow {") or text.startswith("allow ["):
        with pytest.raises(BadInput) as caught:
            read_decision(text)
        assert caught.value.next_step


@given(st.text(max_size=80))
def test_only_words_that_say_so_allow(text: str) -> None:
    allowed = isinstance(decide(text), Allow)
    assert not allowed or text.strip().lower().startswith(("allow", "yes", "y", "always"))


def use(tokens: int) -> Usage:
    return Usage(tokens, 2 * tokens, 3 * tokens, 4 * tokens, tokens / 1000)


def test_a_run_books_what_it_adds_to_its_session() -> None:
    meter = Meter(use(100))
    assert meter.book(use(100)) == NOTHING_USED
    assert meter.book(use(150)).input == 50
    assert meter.book(use(180)).output == 160


def test_a_program_that_counts_anew_is_booked_from_there() -> None:
    meter = Meter(use(100))
    meter.book(use(150))
    assert meter.book(use(20)).input == 70


@pytest.mark.parametrize("value", [-1, 1e300, "7", True, None, float("nan"), float("inf"), [1]])
def test_what_no_program_can_have_used_counts_nothing(value: object) -> None:
    assert Usage.of({"input": value, "cost_usd": value}) == NOTHING_USED
