"""An agent's events as lines of the transcript. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from backend.clean import clean_line
from octopoid_tui.formats import count, money
from octopoid_tui.widgets.log_buffer import LogTone

if TYPE_CHECKING:
    from octopoid_tui.ports import AgentEvent

Line = tuple[str, LogTone]
TIME_WIDTH = 10
LINES_SHOWN = 40  # of one tool's output; the file has the rest


def lines_of(event: AgentEvent, zone: tzinfo | None = None) -> list[Line]:
    """The lines of one event: the first with its time, the others indented below it."""
    told = TELL.get(event.kind, _unknown)(event.data)
    if not told:
        return []
    (first, tone), *rest = told
    return [
        (f"{_time(event.at, zone)}  {first}", tone),
        *((f"{'':{TIME_WIDTH}}{text}", t) for text, t in rest),
    ]


def _time(at: datetime, zone: tzinfo | None) -> str:
    return f"{at.astimezone(zone):%H:%M:%S}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _block(text: str, tone: LogTone, sign: str) -> list[Line]:
    lines = text.rstrip("\n").split("\n")
    shown: list[Line] = [
        (f"{sign if number == 0 else ' '} {line}", tone) for number, line in enumerate(lines)
    ]
    if len(shown) > LINES_SHOWN:
        left = len(shown) - LINES_SHOWN
        shown = [*shown[:LINES_SHOWN], (f"  … {left} more lines", "dim")]
    return shown


def _message(data: dict[str, Any]) -> list[Line]:
    return _block(_text(data.get("text")), "you" if data.get("role") == "user" else "", "»")


def _thinking(data: dict[str, Any]) -> list[Line]:
    return _block(_text(data.get("text")), "dim", "~")


def _tool_started(data: dict[str, Any]) -> list[Line]:
    title = _text(data.get("title")) or clean_line(_text(data.get("input")), 200)
    return [(f"▸ {_text(data.get('name'))}  {title}".rstrip(), "tool")]


def _tool_progress(data: dict[str, Any]) -> list[Line]:
    return _block(_text(data.get("text")), "dim", " ")


def _tool_finished(data: dict[str, Any]) -> list[Line]:
    good = data.get("status") in ("completed", "ok", "success")
    output = _text(data.get("output"))
    head: Line = (
        "✓ done" if good else f"✗ {_text(data.get('status')) or 'failed'}",
        "ok" if good else "error",
    )
    return [head, *(_block(output, "dim", " ") if output else [])]


def _request_opened(data: dict[str, Any]) -> list[Line]:
    return _block(_text(data.get("question")), "warning", "?")


def _request_closed(data: dict[str, Any]) -> list[Line]:
    return [(f"✓ answered by {_text(data.get('by')) or 'nobody'}", "ok")]


def _usage(data: dict[str, Any]) -> list[Line]:
    spent = sum(int(data.get(key) or 0) for key in ("input", "output", "cache_write"))
    cost = data.get("cost_usd")
    parts = [f"{count(spent)} tokens"]
    if isinstance(cost, int | float):
        parts.append(money(float(cost)))
    if data.get("turns") is not None:
        parts.append(f"{data['turns']} turns")
    return [(f"· {', '.join(parts)}", "dim")]


def _turn_finished(data: dict[str, Any]) -> list[Line]:
    outcome = _text(data.get("outcome"))
    return [(f"{'✓' if outcome == 'completed' else '✗'} turn {outcome.replace('_', ' ')}",
             "ok" if outcome == "completed" else "warning")]  # fmt: skip


def _exited(data: dict[str, Any]) -> list[Line]:
    code, signal = data.get("code"), data.get("signal")
    how = f"ended by signal {signal}" if signal else f"ended with exit status {code}"
    cause = f": {data['cause']}" if data.get("cause") else ""
    return [(f"{'✓' if code == 0 else '✗'} {how}{cause}", "ok" if code == 0 else "error")]


def _unknown(data: dict[str, Any]) -> list[Line]:
    return [(f"· {clean_line(_text(data.get('raw') or data), 300)}", "dim")]


TELL: dict[str, Callable[[dict[str, Any]], list[Line]]] = {
    "session.started": lambda data: [
        (f"· session {_text(data.get('session_ref'))} {_text(data.get('model'))}".rstrip(), "dim")
    ],
    "state": lambda data: [],
    "turn.started": lambda data: [("· turn started", "dim")],
    "message": _message,
    "thinking": _thinking,
    "tool.started": _tool_started,
    "tool.progress": _tool_progress,
    "tool.finished": _tool_finished,
    "request.opened": _request_opened,
    "request.closed": _request_closed,
    "usage": _usage,
    "retry": lambda data: [
        (f"! retry {_text(data.get('attempt'))} in {_text(data.get('delay'))} s", "warning")
    ],
    "rate_limit": lambda data: [(f"! rate limit: {_text(data.get('status'))}", "warning")],
    "turn.finished": _turn_finished,
    "log": lambda data: _block(_text(data.get("text")), "dim", "·"),
    "exited": _exited,
    "unknown": _unknown,
}
