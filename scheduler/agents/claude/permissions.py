"""What Claude Code asks before it uses a tool, and what a person's answer is on its wire."""

from __future__ import annotations

import json
from collections.abc import Sequence

from backend.model import Json
from scheduler.agents.claude.wire import Asked
from scheduler.agents.decision import ALLOW, DENY, OPTIONS, Allow, decide
from scheduler.agents.interface import Ask, Request, RequestKind
from scheduler.agents.shown import diff, fenced

QUESTION_TOOL, PLAN_TOOL = "AskUserQuestion", "ExitPlanMode"
TITLE_KEYS = ("command", "file_path", "notebook_path", "path", "pattern", "url", "query", "description")


def request_of(request_id: str, asked: Asked, worktree: str) -> Request:
    """The request for people that a `can_use_tool` makes; paths of the worktree are named from there."""
    if asked.tool_name == QUESTION_TOOL and _questions(asked.input):
        return Request(request_id, RequestKind.QUESTION, tuple(map(_ask, _questions(asked.input))))
    if asked.tool_name == PLAN_TOOL:
        text = f"May it go on with this plan?\n\n{asked.input.get('plan', '')}"
        return Request(
            request_id, RequestKind.PLAN, (Ask(text, (ALLOW, DENY)),), asked.tool_name, asked.input
        )
    title = title_of(asked.input).removeprefix(f"{worktree}/")
    text = f"{asked.tool_name}: {title}\n\n{_shown(asked.tool_name, asked.input)}"
    rules = _rules(asked)
    if rules:
        text += f"\n\nAlways, for the rest of the session: {', '.join(map(_named, rules))}"
    options = OPTIONS if rules else (ALLOW, DENY)
    return Request(request_id, RequestKind.PERMISSION, (Ask(text, options),), asked.tool_name, asked.input)


def response_to(asked: Asked, request: Request, answers: Sequence[str]) -> Json:
    """What the program is answered."""
    if request.kind is RequestKind.QUESTION:
        texts = [str(question.get("question", "")) for question in _questions(asked.input)]
        given = {**asked.input, "answers": dict(zip(texts, answers, strict=True))}
        return {"behavior": "allow", "updatedInput": given}
    decision = decide(answers[0])
    if not isinstance(decision, Allow):
        return {"behavior": "deny", "message": decision.message}
    allowed: Json = {"behavior": "allow", "updatedInput": {**asked.input, **(decision.input or {})}}
    if decision.always and _rules(asked):
        # As suggested, they would be written into the user's own checkout, for every agent.
        allowed["updatedPermissions"] = [{**rule, "destination": "session"} for rule in _rules(asked)]
    return allowed


def _rules(asked: Asked) -> list[Json]:
    """What may be allowed for the session. Other suggestions (another mode, whole folders) allow far more
    than what is asked here, and are left out."""
    suggested = asked.permission_suggestions or []
    return [one for one in suggested if one.get("type") == "addRules" and one.get("behavior") == "allow"]


def _named(suggestion: Json) -> str:
    rules = suggestion.get("rules")
    named = [one for one in rules if isinstance(one, dict)] if isinstance(rules, list) else []
    return ", ".join(
        f"{one.get('toolName')}({one['ruleContent']})" if one.get("ruleContent") else str(one.get("toolName"))
        for one in named
    )


def title_of(given: Json) -> str:
    """A tool's input in a few words of one line."""
    for key in TITLE_KEYS:
        value = given.get(key)
        if isinstance(value, str) and value.strip():
            return " ".join(value.split())[:200]
    return ""


def _questions(given: Json) -> list[Json]:
    questions = given.get("questions")
    return [one for one in questions if isinstance(one, dict)] if isinstance(questions, list) else []


def _ask(question: Json) -> Ask:
    found = question.get("options")
    options = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    lines = [str(question.get("question", ""))]
    if question.get("multiSelect"):
        lines.append("(Several may be chosen: separate them by commas.)")
    lines += [f"- {one.get('label', '')}: {one['description']}" for one in options if one.get("description")]
    return Ask("\n\n".join([lines[0], "\n".join(lines[1:])]).strip(),
               tuple(str(one.get("label", "")) for one in options))  # fmt: skip


def _shown(tool: str, given: Json) -> str:
    """A tool's input as markdown: a command, a diff, or JSON."""
    if tool == "Bash" and isinstance(given.get("command"), str):
        return fenced("sh", given["command"])
    if isinstance(given.get("old_string"), str) and isinstance(given.get("new_string"), str):
        return fenced("diff", diff(given["old_string"], given["new_string"]))
    if tool == "Write" and isinstance(given.get("content"), str):
        return fenced("diff", diff("", given["content"]))
    return fenced("json", json.dumps(given, indent=1, ensure_ascii=False))
