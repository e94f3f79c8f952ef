"""Records as JSON and back: the one place that knows the names used on the wire.

Times are ISO 8601 with `Z`, an actor is `type:id`, a fence is called `lease_token`, and a message's sender is
two fields. Reading refuses what it does not know when `strict`, as a server must, and passes over it
otherwise, as the reader of a newer server's answer must.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import msgspec

from backend.clock import from_iso, to_iso
from backend.errors import BadInput
from backend.interface import Transition
from backend.model import (
    Actor,
    Agent,
    Claim,
    Event,
    Evidence,
    Json,
    Message,
    NewMessage,
    Orchestrator,
    Pause,
    Run,
    SenderType,
    Task,
)

T = TypeVar("T")

COMMON_NAMES = {"fence": "lease_token", "from_state": "from", "to_state": "to"}
MESSAGE_NAMES = {"type": "message_type"}
SENDER_NAMES = {"sender.type": "sender_type", "sender.id": "sender_id"}
MESSAGES: tuple[type, ...] = (Message, NewMessage)


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """How one attribute travels; `kind` is datetime, Actor, a record's class, or None for plain data."""

    attribute: str
    name: str
    kind: type | None


# Writing


def to_json(record: Any) -> Json:
    """Any record of `backend.model` or `backend.interface` as JSON-ready data."""
    out: Json = {}
    kind: type = type(record)
    for field in _fields(kind):
        value = getattr(record, field.attribute)
        if field.attribute == "sender":
            out["sender_type"], out["sender_id"] = value.type.value, value.id
        else:
            out[field.name] = _plain(value)
    if isinstance(record, Message):
        out["task_id"] = record.conversation_id
    return out


def changes_json(patch: Any) -> Json:
    """A patch as JSON-ready data: only what it changes."""
    return {name: value for name, value in to_json(patch).items() if value is not None}


def task_json(task: Task) -> Json:
    return to_json(task)


def run_json(run: Run) -> Json:
    return to_json(run)


def message_json(message: Message) -> Json:
    return to_json(message)


def event_json(event: Event) -> Json:
    return to_json(event)


def evidence_json(evidence: Evidence) -> Json:
    return {**to_json(evidence), "passed": evidence.passed}


def agent_json(agent: Agent) -> Json:
    return to_json(agent)


def orchestrator_json(orchestrator: Orchestrator) -> Json:
    return to_json(orchestrator)


def pause_json(pause: Pause) -> Json:
    return to_json(pause)


def claim_json(claim: Claim) -> Json:
    """The claimed task's fields, and its run beside them."""
    return {**to_json(claim.task), "run": to_json(claim.run)}


def transition_json(wish: Transition) -> Json:
    """A transition's body; task and action belong to the address."""
    data = changes_json(wish)
    for name in ("task_id", "action"):
        del data[name]
    return data


def encode(data: Any) -> bytes:
    """JSON-ready data as UTF-8 bytes."""
    return msgspec.json.encode(data)


# Reading


def decode(raw: bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: if the bytes are no JSON, or hold numbers beyond 64 bits.
    """
    try:
        data = msgspec.json.decode(raw)
        _check_numbers(data)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    return data


def from_json(kind: type[T], data: Any, *, strict: bool = False) -> T:
    """JSON data as a record.

    Args:
        strict: refuse unknown fields.

    Raises:
        BadInput: the data does not fit; `details` names each field at fault.
    """
    shaped = _shape(kind, data, strict)
    try:
        return msgspec.convert(shaped, kind)
    except msgspec.ValidationError as error:
        raise BadInput("the data does not fit", _wire_path(str(error))) from error


def claim_from_json(data: Json) -> Claim:
    rest = {name: value for name, value in data.items() if name != "run"}
    return Claim(from_json(Task, rest), from_json(Run, data.get("run")))


def parse_actor(text: object) -> Actor:
    """Parse `human:ana`, `worker:impl-1` or `system:scheduler`.

    Raises:
        BadInput: if it is none of these.
    """
    kind, _, name = text.partition(":") if isinstance(text, str) else ("", "", "")
    if kind not in frozenset(SenderType) or not name:
        raise BadInput(f"actor {text!r} is not usable", "write it as human:NAME, worker:NAME or system:NAME")
    return Actor(SenderType(kind), name)


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise `BadInput` naming each of `given` that is not in `known`, with the nearest valid name."""
    names = sorted(known)
    details = []
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            details.append(f"{name}: did you mean {near[0]}?" if near else f"{name}: not known here")
    if details:
        offer = f"valid are {', '.join(names)}" if names else "none is valid here"
        raise BadInput(f"unknown {what}", offer, tuple(details))


# How


@cache
def _fields(kind: type) -> tuple[_Field, ...]:
    names = COMMON_NAMES | (MESSAGE_NAMES if kind in MESSAGES else {})
    hints = typing.get_type_hints(kind)
    return tuple(
        _Field(field.name, names.get(field.name, field.name), _kind(hints[field.name]))
        for field in dataclasses.fields(kind)
    )


def _kind(hint: Any) -> type | None:
    """The class within `X` or `X | None` when it does not travel as it is."""
    inner = hint
    if isinstance(hint, types.UnionType):
        inner = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if inner is datetime or dataclasses.is_dataclass(inner):
        return typing.cast("type", inner)
    return None


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return to_iso(value)
    if isinstance(value, Actor):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, frozenset | set):
        return sorted(_plain(one) for one in value)
    if dataclasses.is_dataclass(value):
        return to_json(value)
    return value


def _shape(kind: type, data: Any, strict: bool) -> Json:
    """Wire names to attribute names, and what msgspec does not know into what it does."""
    if not isinstance(data, Mapping):
        raise BadInput("the data does not fit", f"expected an object, got {type(data).__name__}")
    fields = _fields(kind)
    out: Json = {}
    known: set[str] = set()
    for field in fields:
        if field.attribute == "sender":
            known |= {"sender_type", "sender_id"}
            out["sender"] = {"type": data.get("sender_type"), "id": data.get("sender_id")}
            continue
        known.add(field.name)
        if field.name in data:
            out[field.attribute] = _value(field, data[field.name], strict)
    if strict:
        refuse_unknown(data, known, "field")
    return out


def _value(field: _Field, value: Any, strict: bool) -> Any:
    if value is None or field.kind is None:
        return value
    if field.kind is datetime:
        return _time(field.name, value)
    if field.kind is Actor:
        actor = parse_actor(value)
        return {"type": actor.type, "id": actor.id}
    return from_json(field.kind, value, strict=strict)


def _time(name: str, value: Any) -> datetime:
    if not isinstance(value, str):
        raise BadInput(f"{name} is no time", "write it as 2026-01-31T12:00:00Z")
    try:
        return from_iso(value)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{name} is no time: {error}", "write it as 2026-01-31T12:00:00Z") from error


def _wire_path(text: str) -> str:
    """msgspec's message with the names of the wire in place of the attributes'."""
    for attribute, name in (COMMON_NAMES | SENDER_NAMES).items():
        text = text.replace(f"$.{attribute}`", f"$.{name}`").replace(
            f"field `{attribute}`", f"field `{name}`"
        )
    return text


def _check_numbers(data: Any) -> None:
    if isinstance(data, dict):
        for value in data.values():
            _check_numbers(value)
    elif isinstance(data, list):
        for value in data:
            _check_numbers(value)
    elif isinstance(data, int) and not -(2**63) <= data < 2**63:
        raise ValueError("a number is beyond 64 bits")
