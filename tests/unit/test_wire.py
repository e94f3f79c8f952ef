"""Records survive the journey over the wire, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.clock import from_ms
from backend.errors import BadInput
from backend.interface import Action, Transition
from backend.model import (
    SYSTEM,
    Actor,
    Agent,
    Claim,
    ClaimRequest,
    Event,
    Evidence,
    HoldRequest,
    Json,
    Message,
    MessageKind,
    MessageType,
    NewMessage,
    NewTask,
    Orchestrator,
    Outcome,
    Pause,
    Renewal,
    Run,
    RunEnd,
    RunPatch,
    SenderType,
    Task,
    TaskPatch,
)
from backend.wire import (
    claim_from_json,
    claim_json,
    decode,
    encode,
    evidence_json,
    from_json,
    message_json,
    parse_actor,
    task_json,
    to_json,
)

NOW = datetime(2026, 3, 29, 0, 59, 59, 123000, tzinfo=UTC)
ANA = Actor(SenderType.HUMAN, "ana")

MESSAGE = Message(
    "m1", "t1", ANA, MessageType.REQUEST, MessageKind.QUESTION, "why?", ("a", "b"), None, "r1", "q1",
    NOW, "a", NOW, None, None, None, None,
)  # fmt: skip

PLAIN: dict[object, st.SearchStrategy[Any]] = {
    str: st.text(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
    datetime: st.integers(0, 7_000_000_000_000).map(from_ms),
    Json: st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.lists(st.integers(0, 9))),
    Actor: st.builds(Actor, st.sampled_from(SenderType), st.text(min_size=1)),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Anything that a field of this type may hold."""
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, types.UnionType):
        return st.one_of([values(part) for part in typing.get_args(hint)])
    if typing.get_origin(hint) is tuple:
        return st.lists(values(typing.get_args(hint)[0]), max_size=3).map(tuple)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    return records(hint)


def records(kind: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in dataclasses.fields(kind)})


RECORDS = (
    Task, Run, Message, Event, Evidence, Agent, Orchestrator, Pause, NewTask, TaskPatch, RunPatch, RunEnd,
    ClaimRequest, HoldRequest, Renewal, NewMessage, Transition,
)  # fmt: skip


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_every_record_comes_back_as_it_went(kind: type, data: st.DataObject) -> None:
    record = data.draw(records(kind))
    assert from_json(kind, decode(encode(to_json(record)))) == record


def test_names_on_the_wire() -> None:
    """L-4A: one set of names for both sides."""
    names = {"conversation_id", "task_id", "sender_type", "sender_id", "message_type", "kind", "run_id"}
    assert names <= message_json(MESSAGE).keys()
    assert to_json(Renewal("t1", 3)) == {"task_id": "t1", "lease_token": 3}
    event = Event(1, NOW, str(SYSTEM), "task", "t1", "hold", "incoming", "backlog", 2, None, {})
    assert to_json(event)["from"] == "incoming"
    assert to_json(event)["to"] == "backlog"
    assert {"lease_token", "blocked_by"} <= {field for field in to_json(TASK)}
    assert to_json(TASK)["created_at"] == "2026-03-29T00:59:59.123Z"


def test_claims_carry_task_and_run() -> None:
    claim = Claim(TASK, RUN)
    data = decode(encode(claim_json(claim)))
    assert data["id"] == TASK.id
    assert data["run"]["id"] == RUN.id
    assert claim_from_json(data) == claim


def test_times_of_other_zones_become_utc() -> None:
    """L-27: one representation."""
    data = {**to_json(MESSAGE), "created_at": "2026-03-29T02:59:59.123+02:00"}
    assert from_json(Message, data).created_at == NOW
    elsewhere = dataclasses.replace(MESSAGE, created_at=NOW.astimezone(timezone(timedelta(hours=-8))))
    assert message_json(elsewhere)["created_at"] == "2026-03-29T00:59:59.123Z"


@pytest.mark.parametrize("text", ["2026-03-29T00:59:59", "soon", 17, "", "9999-12-31T23:59:59-12:00"])
def test_times_without_a_zone_are_refused(text: object) -> None:
    with pytest.raises(BadInput, match="created_at"):
        from_json(Message, {**to_json(MESSAGE), "created_at": text})


def test_unknown_fields_are_named_with_the_nearest() -> None:
    with pytest.raises(BadInput) as caught:
        from_json(Renewal, {"task_id": "t1", "lease_tokn": 3}, strict=True)
    assert caught.value.details == ("lease_tokn: did you mean lease_token?",)


def test_unknown_fields_of_inner_records_are_refused() -> None:
    wish = to_json(Transition("t1", Action.SUBMIT, SYSTEM, run_end=RunEnd(Outcome.SUBMITTED, "done")))
    wish["run_end"]["comits_count"] = 3
    with pytest.raises(BadInput) as caught:
        from_json(Transition, wish, strict=True)
    assert caught.value.details == ("comits_count: did you mean commits_count?",)


def test_a_reader_passes_over_fields_of_a_newer_server() -> None:
    assert from_json(Task, {**task_json(TASK), "colour": "red"}) == TASK


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("lease_token", "3", "lease_token"),
        ("queue", "lost", "queue"),
        ("title", None, "title"),
        ("auto_accept", 1, "auto_accept"),
        ("blocked_by", "t2", "blocked_by"),
    ],
)
def test_wrong_types_name_the_field(field: str, value: object, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        from_json(Task, {**task_json(TASK), field: value})


@pytest.mark.parametrize("text", ["ana", "robot:ana", "human:", ":ana", "", None, 7, ["human", "ana"]])
def test_actors_have_a_known_type_and_a_name(text: object) -> None:
    with pytest.raises(BadInput, match="actor"):
        parse_actor(text)


def test_actors_keep_colons_in_their_names() -> None:
    assert parse_actor("worker:impl:1") == Actor(SenderType.WORKER, "impl:1")


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b'{"a": 1', b"NaN", b'"\\ud800"', b"\xff", b"9223372036854775808", b"[" * 5000 + b"]" * 5000],
)
def test_what_is_no_json_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(raw)


def test_evidence_says_whether_it_passed() -> None:
    evidence = Evidence("e1", "t1", None, "tests", "make test", "c", "b", None, "", "", 12, NOW)
    assert evidence_json(evidence)["passed"] is False


def test_json_is_plain() -> None:
    assert json.loads(json.dumps(task_json(TASK))) == task_json(TASK)


def _blank(kind: type, **given: object) -> Any:
    return kind(**{field.name: given.get(field.name) for field in dataclasses.fields(kind)})


_TASK_FIELDS = {
    "id": "t1",
    "title": "A task",
    "body": "",
    "queue": "incoming",
    "priority": "P1",
    "role": "implement",
    "type": "feature",
    "base_branch": "main",
    "base_sha": "0" * 40,
    "blocked_by": ["t0"],
    "needs": [],
    "auto_accept": False,
    "lease_token": 4,
    "version": 1,
    "created_by": "human:ana",
    "created_at": "2026-03-29T00:59:59.123Z",
    "updated_at": "2026-03-29T00:59:59.123Z",
    "metadata": {"unknown": [1, {"x": None}]},
    **dict.fromkeys(
        ("attempt_count", "attempts_forgiven", "rejection_count", "continuation_count", "conflict_count"), 0
    ),
}

_RUN_FIELDS = {
    "id": "r1",
    "task_id": "t1",
    "attempt": 1,
    "lease_token": 4,
    "role": "implement",
    "agent_name": "impl-1",
    "orchestrator_id": "o1",
    "adapter": "demo",
    "status": "running",
    "started_at": "2026-03-29T00:59:59.123Z",
    "last_activity_at": "2026-03-29T00:59:59.123Z",
    **dict.fromkeys(("tokens_input", "tokens_output", "tokens_cache_read", "tokens_cache_write"), 0),
}

TASK: Task = from_json(Task, to_json(_blank(Task)) | _TASK_FIELDS)
RUN: Run = from_json(Run, to_json(_blank(Run)) | _RUN_FIELDS)
