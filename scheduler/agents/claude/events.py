"""Claude Code's messages as events of the common vocabulary. Pure."""

from __future__ import annotations

from typing import Any

from backend.model import Json
from scheduler.agents.claude.permissions import title_of
from scheduler.agents.claude.tools import SERVER
from scheduler.agents.claude.wire import Limit, Progress, Result, Said, System
from scheduler.agents.interface import Draft
from scheduler.agents.usage import Usage

REFUSALS = frozenset({401, 403})
REFUSED = frozenset({"authentication_failed", "billing_error", "oauth_org_not_allowed"})
"""What the program calls errors that no other task would be spared."""

PROVIDER_DOWN_S = 120.0
RATE_LIMITED_S = 300.0
GOOD_SERVER = ("connected", "pending")


def of_system(message: System) -> list[Draft]:
    if message.subtype == "init":
        return [Draft("turn.started", {"model": message.model}), *_servers(message)]
    if message.subtype == "session_state_changed":
        return [Draft("state", {"state": message.state})]
    if message.subtype == "api_retry":
        delay = round((message.retry_delay_ms or 0) / 1000, 1)
        return [Draft("retry", {"attempt": message.attempt, "delay": delay, "status": message.error_status})]
    if message.subtype == "permission_denied":
        return [_log(f"{message.tool_name} was denied: {message.message}")]
    if message.subtype == "compact_boundary":
        return [_log("the conversation was shortened to fit the model")]
    if message.subtype == "task_started":
        return [_log(f"began: {message.description}")]
    return []


def session_started(message: System) -> Draft:
    data = {"session_ref": message.session_id, "model": message.model, "version": message.claude_code_version}
    return Draft("session.started", data)


def _servers(message: System) -> list[Draft]:
    """An alarm where our own tools are missing."""
    states = {str(one.get("name")): one.get("status") for one in message.mcp_servers}
    if states.get(SERVER) in GOOD_SERVER:
        return []
    return [_log(f"the tools ask_human and report_progress are missing: {SERVER} is {states.get(SERVER)}")]


def of_assistant(message: Said) -> list[Draft]:
    drafts = []
    for block in _blocks(message):
        kind = block.get("type")
        if kind == "text" and message.is_api_error_message:
            drafts.append(_log(str(block.get("text"))))
        elif kind == "text":
            drafts.append(_draft("message", message, role="assistant", text=block.get("text")))
        elif kind == "thinking":
            drafts.append(_draft("thinking", message, text=block.get("thinking")))
        elif kind == "tool_use":
            given = block.get("input")
            given = given if isinstance(given, dict) else {}
            drafts.append(
                _draft("tool.started", message, tool_id=block.get("id"), name=block.get("name"),
                       title=title_of(given), input=given)
            )  # fmt: skip
    return drafts


def of_user(message: Said) -> list[Draft]:
    """Tool results; what was said to it is recorded when it is sent."""
    decisions = {one.get("id"): one.get("permission_decision") for one in message.tool_result_meta or []}
    drafts = []
    for block in _blocks(message):
        if block.get("type") != "tool_result":
            continue
        decision = decisions.get(block.get("tool_use_id"))
        denied = isinstance(decision, dict) and decision.get("decision") == "reject"
        status = "denied" if denied else "error" if block.get("is_error") else "ok"
        drafts.append(
            _draft("tool.finished", message, tool_id=block.get("tool_use_id"), status=status,
                   output=_plain(block.get("content")))
        )  # fmt: skip
    return drafts


def of_progress(message: Progress) -> list[Draft]:
    text = f"{message.elapsed_time_seconds or 0:.0f} s"
    return [Draft("tool.progress", {"tool_id": message.parent_tool_use_id, "text": text})]


def reset_of(message: Limit) -> float | None:
    """When the limit that refuses work ends, in seconds since 1970; None while nothing is refused."""
    info = message.rate_limit_info
    when = info.get("resetsAt")
    return float(when) if info.get("status") == "rejected" and isinstance(when, int | float) else None


def of_limit(message: Limit) -> list[Draft]:
    """A warning. What is refused is known when the turn fails: until then it waits by itself."""
    info = message.rate_limit_info
    if info.get("status") == "allowed":
        return []
    return [Draft("rate_limit", {"status": "warning", "type": info.get("rateLimitType")})]


def total_of(message: Result) -> Usage:
    """What the session has used, subagents included, over all its turns and runs."""
    models = (message.modelUsage or {}).values()
    names = {"input": "inputTokens", "output": "outputTokens",
             "cache_read": "cacheReadInputTokens", "cache_write": "cacheCreationInputTokens"}  # fmt: skip
    parts = [Usage.of({name: model.get(key) for name, key in names.items()}) for model in models]
    return sum(parts, Usage.of({"cost_usd": message.total_cost_usd}))


def outcome_of(message: Result) -> tuple[str, str | None]:
    """How a turn ended, and why where that is not simply its end."""
    why = "; ".join(message.errors or []) or message.result or message.terminal_reason
    if (message.terminal_reason or "").startswith("aborted"):
        return "interrupted", None
    if message.subtype == "error_max_turns":
        return "max_turns", why
    if message.subtype == "error_max_budget_usd":
        return "budget", why
    if message.subtype == "success" and not message.is_error:
        return "completed", None
    if message.subtype in ("success", "error_during_execution"):
        return "error", why or "no reason was given"
    return "error", f"it ended in a way that is not known here: {message.subtype} ({why})"


def blame(message: Result, said: str | None, resets_at: float | None) -> list[Draft]:
    """What a failed turn says of the program or its provider, rather than of the task.

    Args:
        said: what the program called the error, in the message before.
        resets_at: when the provider's limit ends, where it told so, in seconds since 1970.
    """
    status, why = message.api_error_status, outcome_of(message)[1]
    if not message.is_error:
        return []
    if status in REFUSALS or said in REFUSED:
        return [Draft("refused", {"reason": f"Claude Code may not work: {why}"})]
    unreachable = status is None and message.terminal_reason == "api_error"
    if status == 429 or unreachable or (status is not None and status >= 500):
        usual = RATE_LIMITED_S if status == 429 else PROVIDER_DOWN_S
        when = {"resets_in_s": usual} if resets_at is None else {"resets_at": resets_at}
        return [Draft("rate_limit", {"status": "rejected", **when, "http_status": status, "reason": why})]
    return []


def _blocks(message: Said) -> list[Json]:
    content = message.message.content
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(one.get("text", "")) for one in content if isinstance(one, dict))
    return content if isinstance(content, str) else ""


def _draft(kind: str, message: Said, **data: Any) -> Draft:
    """An event, with the call of a subagent that it belongs to."""
    return Draft(kind, {**data, "parent": message.parent_tool_use_id} if message.parent_tool_use_id else data)


def _log(text: str) -> Draft:
    return Draft("log", {"stream": "out", "text": text})
