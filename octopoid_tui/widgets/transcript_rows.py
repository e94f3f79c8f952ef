"""Entries of a transcript as rows of text that fit a width. Pure; nothing in the text is trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from backend.clean import clean, clean_line
from octopoid_tui.formats import cells, count, duration, money
from octopoid_tui.widgets.transcript_model import Entry

if TYPE_CHECKING:
    from octopoid_tui.ports import AgentEvent

Tone = Literal[
    "", "dim", "info", "tool", "you", "ok", "warning", "error", "added", "removed", "hunk", "question"
]
TONES: Final[tuple[Tone, ...]] = (
    "dim", "info", "tool", "you", "ok", "warning", "error", "added", "removed", "hunk", "question",
)  # fmt: skip
"""What kind of row it is, as a colour of the theme."""

TIME_WIDTH: Final = 10
NARROWEST: Final = 20
MOST: Final = 1e15
"""Of tokens or dollars; what an agent says beyond it is nonsense."""
GOOD: Final = ("completed", "ok", "success")
TITLE_LIMIT: Final = 300
LONGEST_LINE: Final = 20_000
"""Characters of one line of a text; nobody reads a longer one to its end here."""

WORKTREE: Final = re.compile(r"/[^\s'\"]{0,400}/\.octopoid/worktrees/[^/\s'\"]{1,200}/")
"""Where an agent works, in front of the names of its files."""

Part = tuple[str, Tone]
Answers = Mapping[str, str]
"""What was answered, by the request's id."""


class Row(NamedTuple):
    """One line of the view. A tuple, because there are many of them."""

    text: str
    tone: Tone


def rows_of(
    entry: Entry, width: int, *, opened: bool, zone: tzinfo | None = None, answers: Answers | None = None
) -> list[Row]:
    """The rows of one entry: the first with its time, the others indented below it."""
    parts = (
        TELL[entry.kind](entry.event.data) if entry.kind in TELL else _special(entry, opened, answers or {})
    )
    indent = TIME_WIDTH + (2 if entry.event.data.get("parent") else 0)
    room = max(NARROWEST, width - indent)
    time = f"{entry.event.at.astimezone(zone):%H:%M:%S}  "
    rows: list[Row] = []
    for text, tone in parts:
        for piece in wrap(text, room):
            rows.append(Row(" " * indent + piece, tone))
    if rows:
        rows[0] = Row(time + rows[0].text[TIME_WIDTH:], rows[0].tone)
    return rows


def wrap(text: str, width: int) -> list[str]:
    """A cleaned line in pieces of at most `width` cells, parted at spaces where there are any."""
    pieces: list[str] = []
    hanging = " " * min(len(text) - len(text.lstrip(" ")), width // 2)
    while len(text) > width or (not text.isascii() and cells(text) > width):
        end = width if text[: width + 1].isascii() else _fitting(text, width)
        space = text.rfind(" ", width // 2, end + 1)
        end = space if space > len(hanging) else end
        pieces.append(text[:end].rstrip(" "))
        text = hanging + text[end:].lstrip(" ")
    return [*pieces, text] if text.strip(" ") or not pieces else pieces


def _fitting(text: str, width: int) -> int:
    """How many characters fit; at least one."""
    from rich.cells import get_character_cell_size

    room = width
    for number, character in enumerate(text):
        room -= get_character_cell_size(character)
        if room < 0:
            return max(1, number)
    return len(text)


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _lines(text: str, tone: Tone, sign: str = "") -> list[Part]:
    """Each line of a text, the first after a sign."""
    lead = f"{sign} " if sign else ""
    blank = " " * len(lead)
    lines = clean(text).expandtabs(4).rstrip().split("\n")
    return [
        ((blank if number else lead) + clean_line(line, LONGEST_LINE), tone)
        for number, line in enumerate(lines)
    ]


# Calls of tools


def _tool(entry: Entry, opened: bool) -> list[Part]:
    """One line; opened, what the tool was called with and what it returned."""
    data = entry.event.data
    if entry.kind == "tool.finished":  # its beginning is not in the pages that are held
        head, outcome = "a call", entry.event
    else:
        title = _text(data.get("title")) or _brief(data.get("input"))
        title = clean_line(WORKTREE.sub("", title[:LONGEST_LINE]), TITLE_LIMIT)
        head = f"{clean_line(_text(data.get('name')), 60)}  {title}".rstrip()
        outcome = entry.outcome  # type: ignore[assignment]  # None while it runs
    status, tone = _status(entry, outcome)
    parts: list[Part] = [(f"{'▾' if opened else '▸'} {head}  {status}".rstrip(), tone)]
    if not opened:
        return parts
    body = [*_input(data)] if entry.kind == "tool.started" else []
    if outcome is not None and _text(outcome.data.get("output")):
        body += _lines(_text(outcome.data["output"]), "error" if tone == "error" else "dim", "→")
    return parts + ([(f"  {text}", t) for text, t in body] or [("  nothing more is recorded", "dim")])


def _status(entry: Entry, outcome: AgentEvent | None) -> tuple[str, Tone]:
    if outcome is None:
        return f"… {clean_line(entry.progress, 80)}".rstrip(), "tool"
    took = _took(outcome.at - entry.event.at) if entry.outcome is not None else ""
    status = _text(outcome.data.get("status"))
    if status in GOOD:
        return f"✓ {took}".rstrip(), "tool"
    return f"✗ {clean_line(status, 40) or 'failed'}{', ' if took else ''}{took}", "error"


def _took(time: timedelta) -> str:
    return duration(max(0.0, time.total_seconds()))


def _brief(given: object) -> str:
    return json.dumps(given, ensure_ascii=False)[:TITLE_LIMIT] if given else ""


def _input(data: dict[str, Any]) -> list[Part]:
    """What a tool was called with: its changes as a diff, a command as it is, the rest by name."""
    given = data.get("input")
    if not isinstance(given, dict):
        return _lines(_text(given), "") if given else []
    parts: list[Part] = []
    for name, value in given.items():
        if name in CHANGES or (name in ("old_string", "oldText") and isinstance(value, str)):
            continue
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts += _lines(shown, "", f"{clean_line(str(name), 40)}:")
    return parts + _changes(given)


CHANGES: Final = frozenset({"new_string", "newText", "content", "edits", "diff", "patch"})
"""Fields of a tool's input that hold a change to a file, by the names that agent programs use."""


def _changes(given: dict[str, Any]) -> list[Part]:
    from scheduler.agents.shown import diff  # with the standard library's, only when somebody looks

    edits = given.get("edits")
    found: list[Part] = []
    for edit in [given, *(edits if isinstance(edits, list) else [])]:
        if not isinstance(edit, dict):
            continue
        new = next(
            (edit[k] for k in ("new_string", "newText", "content") if isinstance(edit.get(k), str)), None
        )
        old = next((edit[k] for k in ("old_string", "oldText") if isinstance(edit.get(k), str)), "")
        if new is not None:
            found += _diff_lines(diff(clean(old), clean(new)))
        ready = next((edit[k] for k in ("diff", "patch") if isinstance(edit.get(k), str)), None)
        if ready is not None:
            found += _diff_lines(ready)
    return found


def _diff_lines(text: str) -> list[Part]:
    tones: dict[str, Tone] = {"+": "added", "-": "removed", "@": "hunk"}
    return [(line, tones.get(line[:1], "")) for line, _ in _lines(text, "") if line]


# Everything else


def _special(entry: Entry, opened: bool, answers: Answers) -> list[Part]:
    """What is more than one event, or can be folded."""
    if entry.kind.startswith("tool."):
        return _tool(entry, opened)
    if entry.kind == "request.opened":
        return _request(entry, opened, answers)
    return _turn(entry) if entry.kind == "turn.finished" else _other(entry.event.data)


def _request(entry: Entry, opened: bool, answers: Answers) -> list[Part]:
    data = entry.event.data
    answer = answers.get(_text(data.get("request_id")))
    if entry.foldable and not opened:
        asked = clean_line(_text(data.get("question")).split("\n")[0], TITLE_LIMIT)
        return [(f"? {asked}  {_reply(entry, answer)[0]}", "question" if entry.outcome is None else "dim")]
    parts = _lines(_text(data.get("question")), "question", "?")
    options = data.get("options")
    if isinstance(options, list):
        parts += [(f"  {n}. {clean_line(_text(one), 200)}", "dim") for n, one in enumerate(options, 1)]
    text, tone = _reply(entry, answer)
    return parts + (_lines(answer, "you", "↳") if answer is not None else [(text, tone)])


def _reply(entry: Entry, answer: str | None) -> Part:
    """What became of a request, in a line."""
    if answer is not None:
        return f"↳ {clean_line(answer, TITLE_LIMIT)}", "you"
    if entry.outcome is None:
        return "  waits for an answer", "warning"
    by = _text(entry.outcome.data.get("by"))
    return "↳ it no longer asks" if by == "agent" else f"↳ answered ({clean_line(by, 40)})", "dim"


def _turn(entry: Entry) -> list[Part]:
    data = entry.event.data
    outcome = _text(data.get("outcome"))
    good = outcome == "completed"
    parts: list[Part] = [
        (f"{'✓' if good else '✗'} turn {clean_line(outcome, 40).replace('_', ' ')}{_used(entry)}",
         "ok" if good else "warning" if outcome == "interrupted" else "error")
    ]  # fmt: skip
    reason = _text(data.get("reason"))
    return parts + (_lines(reason, "error", " ") if reason and not good else [])


def _used(entry: Entry) -> str:
    """What a turn used, and the run by then."""
    if entry.used is None:
        return ""
    total = _amounts(entry.used)
    if entry.used_before is None:
        return f"   {_amount(*total)} so far"
    before = _amounts(entry.used_before)
    turn = (max(0, total[0] - before[0]), max(0.0, total[1] - before[1]))
    return f"   {_amount(*turn)}; {_amount(*total)} so far"


def _amounts(used: dict[str, Any]) -> tuple[int, float]:
    def number(name: str) -> float:
        value = used.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return 0.0
        return float(min(max(value, 0), MOST))  # an agent may say anything

    return int(number("input") + number("output") + number("cache_write")), number("cost_usd")


def _amount(spent: int, cost: float) -> str:
    return f"{count(spent)} tokens" + (f", {money(cost)}" if cost else "")


def _message(data: dict[str, Any]) -> list[Part]:
    mine = data.get("role") == "user"
    return _lines(_text(data.get("text")), "you" if mine else "", "›" if mine else "»")


def _limit(data: dict[str, Any]) -> list[Part]:
    rejected = data.get("status") == "rejected"
    wait = data.get("resets_in_s")
    again = f", again in {duration(float(wait))}" if isinstance(wait, int | float) else ""
    reason = f": {clean_line(_text(data['reason']), 300)}" if data.get("reason") else ""
    text = f"! rate limit {clean_line(_text(data.get('status')), 40)}{again}{reason}"
    return [(text, "error" if rejected else "warning")]


def _retry(data: dict[str, Any]) -> list[Part]:
    status = f" after HTTP {_text(data['status'])}" if data.get("status") else ""
    text = f"! attempt {_text(data.get('attempt'))}{status}, in {_text(data.get('delay'))} s"
    return [(clean_line(text, 100), "warning")]


def _exited(data: dict[str, Any]) -> list[Part]:
    code, signal = data.get("code"), data.get("signal")
    how = f"ended by signal {signal}" if signal else f"ended with exit status {code}"
    cause = f": {data['cause']}" if data.get("cause") not in (None, "", "exited") else ""
    return [(clean_line(f"{'✓' if code == 0 else '✗'} {how}{cause}", 400), "ok" if code == 0 else "error")]


def _session(data: dict[str, Any]) -> list[Part]:
    words = [_text(data.get(name)) for name in ("session_ref", "model", "version")]
    return [(clean_line(f"· session {'  '.join(filter(None, words))}", 300), "dim")]


def _log(data: dict[str, Any]) -> list[Part]:
    return _lines(_text(data.get("text")), "warning" if data.get("stream") == "err" else "dim", "·")


def _other(data: dict[str, Any]) -> list[Part]:
    raw = data.get("raw")
    return [(f"· {clean_line(_text(raw) if raw else _brief(data), 300)}", "dim")]


TELL: Final[Mapping[str, Callable[[dict[str, Any]], list[Part]]]] = {
    "session.started": _session,
    "message": _message,
    "thinking": lambda data: _lines(_text(data.get("text")), "dim", "~"),
    "sent": lambda data: _lines(_text(data.get("text")), "you", "›"),
    "retry": _retry,
    "rate_limit": _limit,
    "refused": lambda data: _lines(_text(data.get("reason")), "error", "!"),
    "log": _log,
    "exited": _exited,
}
