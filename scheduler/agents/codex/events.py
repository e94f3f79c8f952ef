"""The app server's messages as events of the common vocabulary. Pure."""

from __future__ import annotations

import shlex
from typing import Any

from backend.model import Json
from scheduler.agents.codex.wire import Failure, Limits, Total, Turn
from scheduler.agents.interface import Draft
from scheduler.agents.usage import Usage

REFUSALS = frozenset({401, 403})
REFUSED = frozenset({"unauthorized", "modelNotFound"})
"""What the program calls errors that no other task would be spared."""

LIMITED = frozenset({"usageLimitExceeded", "rateLimitExceeded"})
DOWN = frozenset({"serverOverloaded", "internalServerError", "flexUnavailable", "policyCapacityUnavailable"})
CONNECTION = frozenset(
    {
        "httpConnectionFailed",
        "responseStreamConnectionFailed",
        "responseStreamDisconnected",
        "responseTooManyFailedAttempts",
    }
)
"""Errors of the way to the model; they hold the HTTP status, if there was one."""

PROVIDER_DOWN_S = 120.0
RATE_LIMITED_S = 300.0
OFFLINE_S = 30.0
NO_KEY = "Missing environment variable"
"""How its error begins when it has no login; it has no word for that."""

FULL, NEARLY = 100, 90
"""Per cent of a limit that are used."""

OUTCOMES = {"completed": "completed", "interrupted": "interrupted", "failed": "error"}
STATUSES = {"completed": "ok", "declined": "denied"}


def begun(item: Json, worktree: str) -> list[Draft]:
    """An item that begins: only tools are worth telling then."""
    name = tool_name(item)
    if name is None:
        return []
    given = input_of(item)
    title = title_of(item, worktree)
    return [Draft("tool.started", {"tool_id": item.get("id"), "name": name, "title": title, "input": given})]


def ended(item: Json) -> list[Draft]:
    """An item that is complete."""
    kind = item.get("type")
    if kind == "agentMessage":
        return [Draft("message", {"role": "assistant", "text": item.get("text")})]
    if kind == "reasoning":
        text = "\n".join(str(part) for part in item.get("summary") or item.get("content") or ())
        return [Draft("thinking", {"text": text})] if text else []
    if kind == "contextCompaction":
        return [log("the conversation was shortened to fit the model")]
    if tool_name(item) is None:
        return []
    data = {"tool_id": item.get("id"), "status": _status(item), "output": _output(item)}
    return [Draft("tool.finished", data)]


def tool_name(item: Json) -> str | None:
    """What is used by this item; None where it is no tool."""
    kind = item.get("type")
    if kind == "mcpToolCall":
        return f"{item.get('server')}.{item.get('tool')}"
    if kind == "dynamicToolCall":
        return str(item.get("tool"))
    return {"commandExecution": "command", "fileChange": "patch", "webSearch": "web_search"}.get(str(kind))


def input_of(item: Json) -> Json:
    """What a tool is called with."""
    if item.get("type") == "commandExecution":
        return {"command": command_of(item), "cwd": item.get("cwd")}
    if item.get("type") == "fileChange":
        return {"changes": changes_of(item)}
    given = item.get("arguments", item.get("query"))
    return given if isinstance(given, dict) else {"query": given}


def title_of(item: Json, worktree: str) -> str:
    """A tool's input in a few words of one line; paths of the worktree are named from there."""
    if item.get("type") == "fileChange":
        paths = (str(change.get("path")).removeprefix(f"{worktree}/") for change in changes_of(item))
        return ", ".join(paths)[:200]
    text = command_of(item) if item.get("type") == "commandExecution" else str(item.get("query") or "")
    return " ".join(text.split())[:200]


def command_of(item: Json) -> str:
    """A command as the model wrote it, without the shell that it is given to. What the program says of its
    meaning (`commandActions`) is not the whole of it."""
    command = item.get("command")
    if not isinstance(command, str):
        return ""
    try:
        parts = shlex.split(command)
    except ValueError:
        return command
    return parts[2] if len(parts) == 3 and parts[1] in ("-c", "-lc") else command


def changes_of(item: Json) -> list[Json]:
    found = item.get("changes")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def usage_of(total: Total) -> Usage:
    """What a thread has used, over all its turns and runs: its input counts what came from a cache too."""
    cached = Usage.of({"cache_read": total.cachedInputTokens, "cache_write": total.cacheWriteInputTokens})
    whole = Usage.of({"input": total.inputTokens, "output": total.outputTokens})
    fresh = max(whole.input - cached.cache_read - cached.cache_write, 0)
    return Usage(fresh, whole.output, cached.cache_read, cached.cache_write)


def reset_of(limits: Limits) -> float | None:
    """When the limit that is used up ends, in seconds since 1970; None while none is, or it is not told."""
    windows = [window for window in (limits.primary, limits.secondary) if window is not None]
    ends = [one.resetsAt for one in windows if one.usedPercent >= FULL and one.resetsAt is not None]
    return max(ends, default=None)


def nearly_used_up(limits: Limits) -> bool:
    return any(one is not None and one.usedPercent >= NEARLY for one in (limits.primary, limits.secondary))


def finished(turn: Turn) -> Draft:
    """How a turn ended, and why where that is not simply its end."""
    outcome = OUTCOMES.get(turn.status, "error")
    why = None
    if outcome == "error":
        why = reason_of(turn.error) or f"it ended in a way that is not known here: {turn.status}"
    return Draft("turn.finished", {"outcome": outcome, "reason": why})


def reason_of(error: Failure | None) -> str:
    return (
        "" if error is None else ": ".join(part for part in (error.message, error.additionalDetails) if part)
    )


def blame(error: Failure | None, resets_at: float | None) -> list[Draft]:
    """What a failed turn says of the program or its provider, rather than of the task.

    Args:
        resets_at: when the provider's limit ends, where it told so, in seconds since 1970.
    """
    word, status = kind_of(error)
    why = reason_of(error)
    if status in REFUSALS or word in REFUSED or why.startswith(NO_KEY):
        return [Draft("refused", {"reason": f"Codex may not work: {why}"})]
    limited = word in LIMITED or status == 429
    unreachable = word in CONNECTION and (status is None or status >= 500)
    if not (limited or unreachable or word in DOWN):
        return []
    usual = RATE_LIMITED_S if limited else PROVIDER_DOWN_S
    when = {"resets_in_s": usual} if resets_at is None else {"resets_at": resets_at}
    return [Draft("rate_limit", {"status": "rejected", **when, "http_status": status, "reason": why})]


def retry(error: Failure, attempt: int) -> Draft:
    """A request to the model that is tried again. The program waits for as long as there is no network, and
    does not say for how long."""
    word, status = kind_of(error)
    delay = OFFLINE_S if word in CONNECTION and status is None else None
    data = {"attempt": attempt, "delay": delay, "status": status, "reason": reason_of(error)}
    return Draft("retry", data)


def kind_of(error: Failure | None) -> tuple[str, int | None]:
    """What the program calls an error, and the HTTP status that it came with."""
    info = None if error is None else error.codexErrorInfo
    if not isinstance(info, dict):
        return info or "", None
    word, detail = next(iter(info.items()), ("", None))
    status = detail.get("httpStatusCode") if isinstance(detail, dict) else None
    return str(word), status if isinstance(status, int) else None


def log(text: str) -> Draft:
    return Draft("log", {"stream": "out", "text": text})


def _status(item: Json) -> str:
    failed = item.get("exitCode") not in (None, 0) or item.get("success") is False
    return "error" if failed else STATUSES.get(str(item.get("status")), "error")


def _output(item: Json) -> str:
    if item.get("error"):
        return _plain(item["error"])
    return _plain(item.get("aggregatedOutput") or item.get("contentItems") or item.get("result"))


def _plain(value: Any) -> str:
    """The texts in a result, however it is nested."""
    if isinstance(value, dict):
        inner = value.get("text") or value.get("message") or value.get("content")
        return _plain(inner)
    if isinstance(value, list):
        return "\n".join(map(_plain, value))
    return value if isinstance(value, str) else ""
