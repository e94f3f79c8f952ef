"""What an agent asks by the protocol, as requests for people; and their answers on its wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from backend.model import Json
from scheduler.agents.acp.story import diffs_of, one_line
from scheduler.agents.acp.wire import Elicitation, Permission, ToolCall
from scheduler.agents.decision import ALLOW, DENY, OPTIONS, Allow, Deny, decide
from scheduler.agents.interface import Ask, Request, RequestKind
from scheduler.agents.shown import diff, fenced

CANCELLED: Json = {"outcome": {"outcome": "cancelled"}}
DECLINED: Json = {"action": "decline"}
OWN_WORDS = "_custom"
"""Ends the name of a field for words that none of the options of the field before says."""


def permission_of(request_id: str, asked: Permission, worktree: str) -> Request:
    """The request that a `session/request_permission` makes."""
    call = asked.toolCall
    name = call.name or call.kind or "tool"
    title = one_line(call.title or "").replace(f"{worktree}/", "")
    options = OPTIONS if _option(asked, "allow_always") else (ALLOW, DENY)
    text = "\n\n".join(filter(None, (f"{name}: {title}", _shown(call))))
    given = call.rawInput if isinstance(call.rawInput, dict) else {}
    plan = call.kind == "switch_mode"
    kind = RequestKind.PLAN if plan else RequestKind.PERMISSION
    return Request(request_id, kind, (Ask(text, options),), name, given or _changes(call))


def chosen(asked: Permission, answer: str) -> Json:
    """The option that a person's words choose. One of an agent that offers no such option: cancelled."""
    decision = decide(answer)
    wanted = ("reject_once", "reject_always")
    if isinstance(decision, Allow) and decision.input is None:
        wanted = ("allow_always", "allow_once") if decision.always else ("allow_once", "allow_always")
    found = next(filter(None, (_option(asked, kind) for kind in wanted)), None)
    return CANCELLED if found is None else {"outcome": {"outcome": "selected", "optionId": found}}


def objection(answer: str) -> str | None:
    """What the agent is told besides a denial: the protocol has no place for words in it."""
    decision = decide(answer)
    if isinstance(decision, Deny):
        return None if answer.strip().lower() in (DENY, "no", "n") else decision.message
    if decision.input is not None:
        wanted = json.dumps(decision.input, ensure_ascii=False)
        return f"A person allows this only with these changes: {wanted}. Call the tool again with them."
    return None


def question_of(request_id: str, asked: Elicitation) -> Request:
    """The request that a form makes: one question for each field."""
    fields = _fields(asked)
    asks = tuple(_ask(asked.message, name, field, alone=len(fields) == 1) for name, field in fields.items())
    return Request(request_id, RequestKind.QUESTION, asks or (Ask(asked.message, ("ok",)),))


def filled_in(asked: Elicitation, answers: Sequence[str]) -> Json:
    """The form with a person's answers; declined when one does not fit its field."""
    content: Json = {}
    try:
        for (name, field), answer in zip(_fields(asked).items(), answers, strict=False):
            own = f"{name}{OWN_WORDS}"
            if own in asked.requestedSchema.properties and answer.strip() not in _choices(field):
                content[own] = answer
            else:
                content[name] = _value(field, answer)
    except ValueError:
        return DECLINED
    return {"action": "accept", "content": content}


def _fields(asked: Elicitation) -> dict[str, Json]:
    """The fields that are questions, without those for one's own words to another."""
    every = asked.requestedSchema.properties
    return {
        name: field
        for name, field in every.items()
        if not name.endswith(OWN_WORDS) or name.removesuffix(OWN_WORDS) not in every
    }


def _ask(message: str, name: str, field: Json, *, alone: bool) -> Ask:
    about = str(field.get("description") or field.get("title") or name)
    lines = [message] if alone or not message else [message, about]
    if field.get("type") == "array":
        lines.append("(Several may be chosen: separate them by commas.)")
    described = [one for one in _listed(field) if one.get("description")]
    listed = [f"- {one.get('title')}: {one['description']}" for one in described]
    return Ask("\n\n".join([*lines, "\n".join(listed)]).strip(), tuple(_choices(field)))


def _listed(field: Json) -> list[Json]:
    """The choices of a field that have a title or more."""
    inner = field.get("items")
    for place in (field, inner if isinstance(inner, dict) else {}):
        for key in ("oneOf", "anyOf"):
            if isinstance(place.get(key), list):
                return [one for one in place[key] if isinstance(one, dict)]
    return []


def _choices(field: Json) -> dict[str, Any]:
    """What may be chosen, by the words that people see."""
    listed = _listed(field)
    if listed:
        return {str(one.get("title") or one.get("const")): one.get("const") for one in listed}
    inner = field.get("items")
    plain = field.get("enum") or (inner.get("enum") if isinstance(inner, dict) else None)
    if isinstance(plain, list):
        return {str(one): one for one in plain}
    return {"yes": True, "no": False} if field.get("type") == "boolean" else {}


def _value(field: Json, answer: str) -> Any:
    """
    Raises:
        ValueError: the answer is none for this field.
    """
    choices, said, kind = _choices(field), answer.strip(), field.get("type")
    if kind == "array":
        parts = [part.strip() for part in said.split(",")]
        return [choices.get(part, part) for part in parts if part]
    if said in choices:
        return choices[said]
    if kind in ("integer", "number"):
        return int(said) if kind == "integer" else float(said)
    if kind == "boolean":
        raise ValueError(f"neither yes nor no: {said}")
    return answer


def _option(asked: Permission, kind: str) -> str | None:
    """The id of the first option of a kind: ids differ from program to program."""
    return next((option.optionId for option in asked.options if option.kind == kind), None)


def _shown(call: ToolCall) -> str:
    changes = diffs_of(call.content)
    if changes:
        return "\n\n".join(fenced("diff", diff(old, new)) for _, old, new in changes)
    given = call.rawInput if isinstance(call.rawInput, dict) else {}
    if isinstance(given.get("command"), str):
        return fenced("sh", given["command"])
    return fenced("json", json.dumps(given, indent=1, ensure_ascii=False)) if given else ""


def _changes(call: ToolCall) -> Json:
    """What a tool is called with, of an agent that shows only what would change."""
    return {path: new for path, _, new in diffs_of(call.content)}
