"""What Codex asks, and what a person's answer is on its wire. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from backend.model import Json
from scheduler.agents.codex import events, wire
from scheduler.agents.codex.wire import Asked
from scheduler.agents.decision import ALLOW, DENY, OPTIONS, Allow, Deny, decide
from scheduler.agents.interface import Ask, Request, RequestKind
from scheduler.agents.shown import diff, fenced
from scheduler.agents.toolbox import ASK_HUMAN, REPORT_PROGRESS

COMMAND = "item/commandExecution/requestApproval"
CHANGE = "item/fileChange/requestApproval"
RIGHTS = "item/permissions/requestApproval"
INPUT = "item/tool/requestUserInput"
CALL = "item/tool/call"
ELICIT = "mcpServer/elicitation/request"
FOR_SESSION = "acceptForSession"
PRIVATE = ".git"
"""A folder in which a changed file can make git start programs."""


@dataclass(frozen=True, slots=True)
class Open:
    """A request as it is asked of people, and what it came in."""

    wire_id: int | str
    method: str
    asked: Asked
    request: Request


def opened(wire_id: int | str, method: str, asked: Asked, item: Json, worktree: str) -> Open | None:
    """The request for people; None where it is not one that people can answer."""
    build = BUILDERS.get(method)
    request = build(str(wire_id), asked, item, worktree) if build is not None else None
    return Open(wire_id, method, asked, request) if request is not None else None


def reply_to(one: Open, answers: Sequence[str], thread: str) -> bytes:
    """One message that answers it. A refusal has no room for words, so they are given to the turn first."""
    if one.method == CALL:
        return called(one.wire_id, "\n".join(answers))
    if one.method == INPUT:
        names = [str(question.get("id")) for question in one.asked.questions or ()]
        given = {name: {"answers": [answer]} for name, answer in zip(names, answers, strict=True)}
        return wire.response(one.wire_id, {"answers": given})
    decision = decide(answers[0])
    result = ANSWERS[one.method](one.asked, decision)
    why = b""
    if isinstance(decision, Deny) and one.asked.turnId is not None:
        name = f"why {one.request.id}"
        params = {"threadId": thread, "expectedTurnId": one.asked.turnId, "clientUserMessageId": name,
                  "input": wire.words(f"{one.request.tool} was denied: {decision.message}")}  # fmt: skip
        why = wire.request(name, "turn/steer", params)
    return why + wire.response(one.wire_id, result)


def called(wire_id: int | str, text: str, *, success: bool = True) -> bytes:
    """What a tool of ours returns to the model."""
    return wire.response(wire_id, {"contentItems": [{"type": "inputText", "text": text}], "success": success})


def accepted(wire_id: int | str) -> bytes:
    """An approval without a person."""
    return wire.response(wire_id, {"decision": "accept"})


def unanswerable(wire_id: int | str, method: str, asked: Asked) -> bytes:
    """The answer to what people cannot be asked."""
    if method == CALL:
        return called(wire_id, f"there is no tool {asked.tool}", success=False)
    if method == ELICIT:
        return wire.response(wire_id, {"action": "decline"})
    return wire.failure(wire_id, f"not supported: {method}")


def stays_inside(asked: Asked, item: Json, worktree: str) -> bool:
    """Whether a patch changes files of the worktree only, and nothing that belongs to git."""
    paths = [PurePosixPath(str(change.get("path"))) for change in events.changes_of(item)]
    inside = all(path.is_relative_to(worktree) and not {"..", PRIVATE} & set(path.parts) for path in paths)
    moved = any(isinstance(kind := change.get("kind"), dict) and kind.get("move_path")
                for change in events.changes_of(item))  # fmt: skip
    return bool(paths) and inside and not moved and asked.grantRoot is None


# Requests as people see them


def _command(request_id: str, asked: Asked, item: Json, worktree: str) -> Request:
    text = events.command_of({"command": asked.command})
    where = "" if asked.cwd in (None, worktree) else f"\n\nin {asked.cwd}"
    body = f"command: {' '.join(text.split())[:200]}\n\n{fenced('sh', text)}{where}{_why(asked)}"
    options = OPTIONS if FOR_SESSION in (asked.availableDecisions or ()) else (ALLOW, DENY)
    return _permission(request_id, "command", body, {"command": text, "cwd": asked.cwd}, options)


def _change(request_id: str, asked: Asked, item: Json, worktree: str) -> Request:
    shown = "\n".join(_shown(change, worktree) for change in events.changes_of(item))
    root = f"\n\nIt wants to write below {asked.grantRoot} from now on." if asked.grantRoot else ""
    body = f"patch: {events.title_of(item, worktree)}\n\n{fenced('diff', shown)}{root}{_why(asked)}"
    body += "\n\nAlways, for the rest of the session: changes of these files"
    return _permission(request_id, "patch", body, events.input_of(item), OPTIONS)


def _rights(request_id: str, asked: Asked, item: Json, worktree: str) -> Request:
    wanted = asked.permissions or {}
    body = (
        f"permissions: it asks for more rights\n\n{fenced('json', json.dumps(wanted, indent=1))}{_why(asked)}"
    )
    return _permission(request_id, "permissions", body, wanted, OPTIONS)


def _elicit(request_id: str, asked: Asked, item: Json, worktree: str) -> Request | None:
    schema = asked.requestedSchema or {}
    if schema.get("properties"):
        return None  # a form: nobody here can fill it in
    name = f"server {asked.serverName}"
    return _permission(request_id, name, f"{name}: {asked.message or ''}", {}, (ALLOW, DENY))


def _call(request_id: str, asked: Asked, item: Json, worktree: str) -> Request | None:
    given = asked.arguments if isinstance(asked.arguments, dict) else {}
    if asked.tool == REPORT_PROGRESS["name"]:
        return Request(request_id, RequestKind.PROGRESS, (Ask(str(given.get("text", ""))),))
    if asked.tool != ASK_HUMAN["name"]:
        return None
    found = given.get("options")
    options = tuple(map(str, found)) if isinstance(found, list) else ()
    return Request(request_id, RequestKind.QUESTION, (Ask(str(given.get("question", "")), options),))


def _input(request_id: str, asked: Asked, item: Json, worktree: str) -> Request | None:
    asks = tuple(map(_ask, asked.questions or ()))
    return Request(request_id, RequestKind.QUESTION, asks) if asks else None


def _ask(question: Json) -> Ask:
    found = question.get("options")
    options = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    described = [f"- {one.get('label')}: {one['description']}" for one in options if one.get("description")]
    text = "\n\n".join([str(question.get("question", "")), "\n".join(described)]).strip()
    return Ask(text, tuple(str(one.get("label", "")) for one in options))


def _permission(request_id: str, tool: str, body: str, given: Json, options: tuple[str, ...]) -> Request:
    return Request(request_id, RequestKind.PERMISSION, (Ask(body, options),), tool, given)


def _why(asked: Asked) -> str:
    return f"\n\nIt says why: {asked.reason}" if asked.reason else ""


def _shown(change: Json, worktree: str) -> str:
    """One file's change: a new file and a removed one come with their text alone, others as a diff."""
    kind = change.get("kind")
    word = kind.get("type") if isinstance(kind, dict) else kind
    moved = kind.get("move_path") if isinstance(kind, dict) else None
    text = str(change.get("diff", ""))
    body = {"add": lambda: diff("", text), "delete": lambda: diff(text, "")}.get(str(word), lambda: text)()
    path = str(change.get("path")).removeprefix(f"{worktree}/")
    return f"{word} {path}{f' -> {moved}' if moved else ''}\n{body}"


BUILDERS: Mapping[str, Callable[[str, Asked, Json, str], Request | None]] = {
    COMMAND: _command,
    CHANGE: _change,
    RIGHTS: _rights,
    ELICIT: _elicit,
    CALL: _call,
    INPUT: _input,
}


# Decisions on its wire


def _approval(asked: Asked, decision: Allow | Deny) -> Json:
    if isinstance(decision, Deny):
        return {"decision": "decline"}
    offered = asked.availableDecisions is None or FOR_SESSION in asked.availableDecisions
    return {"decision": FOR_SESSION if decision.always and offered else "accept"}


def _granted(asked: Asked, decision: Allow | Deny) -> Json:
    if isinstance(decision, Deny):
        return {"permissions": {}, "scope": "turn"}
    return {"permissions": asked.permissions or {}, "scope": "session" if decision.always else "turn"}


def _elicited(asked: Asked, decision: Allow | Deny) -> Json:
    return {"action": "decline"} if isinstance(decision, Deny) else {"action": "accept", "content": {}}


ANSWERS: Mapping[str, Callable[[Asked, Allow | Deny], Json]] = {
    COMMAND: _approval,
    CHANGE: _approval,
    RIGHTS: _granted,
    ELICIT: _elicited,
}
