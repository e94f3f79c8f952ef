"""Questions of agents: whatever is in the file, a person gets something harmless to answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.questions import (
    LONGEST_DEADLINE_S,
    OPTION_LIMIT,
    OPTIONS_LIMIT,
    TEXT_LIMIT,
    Request,
    read_request,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def read(**payload: object) -> Request:
    return read_request(payload, NOW)


def test_a_question_with_all_its_parts() -> None:
    asked = read(question="Which?", options=["red", "blue"], default="blue", deadline_s=60)
    assert asked == Request("Which?", ("red", "blue"), "blue", NOW + timedelta(seconds=60))


def test_a_question_alone() -> None:
    assert read(question="Which?") == Request("Which?", (), None, None)


@pytest.mark.parametrize("question", [None, "", "  \n", 7, [], {"a": 1}, True])
def test_no_question_is_said_to_be_none(question: object) -> None:
    assert read(question=question).question == "(an empty question)"


def test_control_characters_are_taken_out_everywhere() -> None:
    asked = read(question="a\x1b[2Jb\x00", options=["x\x1b[0m\ny"], default="d\x1b]0;t\x07e\u202e")
    assert asked.question == "ab\ufffd"
    assert asked.options == ("x y",)
    assert asked.default == "de\ufffd"


def test_sizes_are_bounded() -> None:
    asked = read(question="q" * 10**6, options=["o" * 10**6] * 1000, default="d" * 10**6)
    assert len(asked.question) == TEXT_LIMIT
    assert len(asked.options) == OPTIONS_LIMIT
    assert {len(option) for option in asked.options} == {OPTION_LIMIT}
    assert len(asked.default or "") == TEXT_LIMIT


@pytest.mark.parametrize("options", [None, "red", 7, {"a": 1}, [1, None, {"a": 1}, []]])
def test_options_of_a_wrong_kind_are_none(options: object) -> None:
    assert read(question="?", options=options).options == ()


@pytest.mark.parametrize("default", [None, 7, [], "", " \n"])
def test_a_default_of_a_wrong_kind_is_none(default: object) -> None:
    assert read(question="?", default=default).default is None


@pytest.mark.parametrize("seconds", [None, "60", True, [], float("nan"), float("inf"), 1e300, 10**400])
def test_a_deadline_of_a_wrong_kind_is_none(seconds: object) -> None:
    assert read(question="?", deadline_s=seconds).deadline is None


@pytest.mark.parametrize(("seconds", "after"), [(0, 0.0), (-5, 0.0), (-float("inf"), 0.0), (1.5, 1.5)])
def test_a_deadline_that_is_over_is_now(seconds: float, after: float) -> None:
    assert read(question="?", deadline_s=seconds).deadline == NOW + timedelta(seconds=after)


@given(st.dictionaries(st.sampled_from(["question", "options", "default", "deadline_s"]) | st.text(), JSON))
def test_any_payload_is_read(payload: dict[str, Any]) -> None:
    asked = read_request(payload, NOW)
    assert asked.question
    assert asked.deadline is None or NOW <= asked.deadline <= NOW + timedelta(seconds=LONGEST_DEADLINE_S)
