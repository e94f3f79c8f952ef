"""Which rule answers a request, and which questions are the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.model import Actor, Message, MessageKind, MessageType, Rule, RuleScope, SenderType
from backend.ranking import rank
from backend.rules import CUT_AT, Asker, choose, denies, fits, pattern_problem

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASKER = Asker("t1", "worker", "implement", "p")


def rule(pattern: str = "May I?", **known: Any) -> Rule:
    plain: dict[str, Any] = {
        "id": "r", "scope": RuleScope.TASK, "scope_id": "t1", "kind": MessageKind.QUESTION, "exact": False,
        "answer": "yes", "author": "human:ana", "message_id": "m", "created_at": NOW, "expires_at": None,
        "uses": 0, "last_used_at": None, "revoked_at": None,
    }  # fmt: skip
    return Rule(pattern=pattern, **(plain | known))


def message(body: str = "May I?", **known: Any) -> Message:
    plain: dict[str, Any] = {
        "id": "m", "conversation_id": "t1", "sender": Actor(SenderType.WORKER, "worker"),
        "type": MessageType.REQUEST, "kind": MessageKind.QUESTION, "options": (), "parent_message_id": None,
        "run_id": None, "request_id": None, "deadline": None, "default_answer": None, "created_at": NOW,
        "delivered_at": None, "answered_at": None, "answer": None, "withdrawn_at": None,
    }  # fmt: skip
    return Message(body=body, **(plain | known))


@pytest.mark.parametrize(
    ("pattern", "body", "fit"),
    [
        ("git status", "git status", True),
        ("git status", "git status ", False),
        ("git *", "git status", True),
        ("git *", "git status\nrm -rf /", False),
        ("git *\n*", "git status\nrm", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("*.py", "x.py", True),
        ("[ab]?", "a1", False),
        ("a**b", "ab", True),
    ],
)
def test_a_pattern_stands_for_parts_of_single_lines(pattern: str, body: str, fit: bool) -> None:
    assert fits(rule(pattern), body) is fit


def test_a_star_in_a_request_is_only_a_star_in_a_rule_word_for_word() -> None:
    assert fits(rule("rm *", exact=True), "rm *")
    assert not fits(rule("rm *", exact=True), "rm -rf /")


def test_what_may_have_been_cut_is_answered_by_no_rule() -> None:
    body = "x" * CUT_AT
    assert not fits(rule(body, exact=True), body)
    assert not fits(rule("xxx*"), body)


def test_many_stars_cost_no_time() -> None:
    assert not fits(rule("a*" * 5000 + "b"), "a" * 15_000)


def test_patterns_that_say_nothing() -> None:
    assert pattern_problem("*") is not None
    assert pattern_problem("** a *") is not None
    assert pattern_problem("ls *") is None or pattern_problem("git *") is None
    assert pattern_problem("x" * 20_000) is not None


def test_the_narrowest_rule_answers_and_of_those_the_newest() -> None:
    everywhere = rule(id="project", scope=RuleScope.PROJECT, scope_id="p")
    agents = rule(id="agent", scope=RuleScope.AGENT, scope_id="worker")
    newer = replace(agents, id="newer", created_at=NOW + timedelta(seconds=1))
    assert choose([everywhere, agents, newer], message(), ASKER) == newer
    assert choose([replace(agents, scope_id="another")], message(), ASKER) is None
    assert choose([], message(), ASKER) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [("deny", True), ("Deny: never", True), ("no", True), ("not like this", True), ("allow", False),
     ("allow always", False), ('allow {"a": 1}', False), ("Yes", False)],
)  # fmt: skip
def test_an_answer_that_does_not_allow_denies(answer: str, said: bool) -> None:
    assert denies(rule(answer=answer, kind=MessageKind.PERMISSION)) is said
    assert not denies(rule(answer=answer))


def test_the_same_question_is_asked_once_and_a_permission_only_within_its_task() -> None:
    asked = [
        message(id="a", created_at=NOW + timedelta(seconds=1)),
        message(id="b", conversation_id="t2"),
        message(id="c", options=("yes", "no")),
        message(id="d", kind=MessageKind.PERMISSION),
        message(id="e", kind=MessageKind.PERMISSION, conversation_id="t2"),
        message(id="f", answered_at=NOW, answer="yes"),
    ]
    found = {question.message.id: question for question in rank(asked, {}, {})}
    assert set(found) == {"b", "c", "d", "e"}
    assert [one.id for one in found["b"].same] == ["a"], "the first to be asked stands for all"
    assert found["b"].conversations == {"t1", "t2"}


def test_one_answer_counts_what_it_unlocks_for_all_who_ask() -> None:
    dependents = {"t1": frozenset({"x", "y"}), "t2": frozenset({"y", "z"})}
    asked = [message(id="a"), message(id="b", conversation_id="t2"), message("Else?", id="c")]
    first, second = rank(asked, {}, dependents)
    assert (first.message.id, first.unlocks, second.unlocks) == ("a", 3, 2)


def test_a_deadline_comes_before_age() -> None:
    asked = [
        message("One?", id="a"),
        message("Two?", id="b", created_at=NOW + timedelta(minutes=1), deadline=NOW),
    ]
    assert [question.message.id for question in rank(asked, {}, {})] == ["b", "a"]
