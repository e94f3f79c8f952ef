"""`status`, `pause`, `resume`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from backend.clock import from_iso
from backend.model import Json, Pause
from octopoid_tui.cli.output import (
    BOLD,
    DIM,
    GREEN,
    RED,
    YELLOW,
    Style,
    columns,
    say,
    say_json,
    say_styled,
    span,
    warn,
)
from octopoid_tui.cli.session import Session, run_session
from octopoid_tui.cli.tasks import JsonFlag

if TYPE_CHECKING:
    from scheduler.notices import Notice

AGENT_COLOURS = {"busy": GREEN, "waiting": YELLOW, "error": RED, "offline": RED, "idle": DIM}


def status(as_json: JsonFlag = False) -> None:
    """Show what runs, what waits for you and what is stuck."""

    async def work(session: Session) -> tuple[Json, tuple[Notice, ...]]:
        from scheduler.notices import sync_notices

        desk = session.desk
        away = sync_notices(await desk.backend.sync_state())
        return await desk.status(), (*away, *await desk.notices())

    found, notices = run_session(work)
    for notice in notices:
        warn(f"note: {notice.text}")
    if as_json:
        say_json(found)
    else:
        say_styled(status_text(found, datetime.now(UTC)))


def pause(
    reason: Annotated[str | None, typer.Option(help="Why; everybody sees it.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Start no new work until `octopoid resume`; what runs goes on, and questions can be answered."""

    async def work(session: Session) -> Pause:
        return await session.desk.pause(reason)

    _report(run_session(work, writes=True), as_json)


def resume(as_json: JsonFlag = False) -> None:
    """Start new work again."""

    async def work(session: Session) -> Pause:
        return await session.desk.resume()

    _report(run_session(work, writes=True), as_json)


def _report(now: Pause, as_json: bool) -> None:
    if as_json:
        from backend.wire import pause_json

        say_json(pause_json(now))
    else:
        say("paused: nothing new is started" if now.paused else "not paused: work is started as it comes")


def status_text(found: Json, now: datetime) -> str:
    """The status for reading: one line on the whole, then queues, agents and leases."""
    style = Style()
    parts = [
        _headline(found, style),
        "  ".join(_count(name, n, style) for name, n in found["queues"].items()),
    ]
    if found["questions"]:
        parts.append(style(f"{_number(found['questions'])} open: octopoid questions", YELLOW))
    if found["agents"]:
        parts.append(_agents(found["agents"], style))
    if found["leases"]:
        rows = [
            (lease["task_id"], lease["holder"] or "", lease["run_id"] or "", _left(lease["expires_at"], now))
            for lease in found["leases"]
        ]
        parts.append(style("Leases", BOLD) + "\n" + columns(rows, indent="  "))
    return "\n".join(parts)


def _number(questions: object) -> str:
    count = questions if isinstance(questions, int) else len(questions)  # type: ignore[arg-type]
    return f"{count} question{'' if count == 1 else 's'}"


def _headline(found: Json, style: Style) -> str:
    scheduler, sync = found["scheduler"], found["sync"]
    words = [style(str(found["mode"]), BOLD)]
    if scheduler["running"]:
        age = scheduler["last_cycle_age_s"]
        cycle = f", last cycle {span(age)} ago" if age is not None else ""
        words.append(style(f"scheduler runs (pid {scheduler['pid']}{cycle})", GREEN))
    else:
        words.append(style("no scheduler runs: octopoid run", RED))
    if scheduler["paused"]:
        words.append(style("paused: octopoid resume", YELLOW))
    if sync["state"] == "offline" or sync["pending"] or sync["conflicts"]:
        words.append(
            style(f"{sync['state']}, {sync['pending']} pending, {sync['conflicts']} conflicts", YELLOW)
        )
    if sync.get("progress"):
        words.append(style(f"synchronising {sync['progress']}", YELLOW))
    words.append(f"${found['cost_today_usd'] or 0:.2f} today")
    return "  ".join(words)


def _count(name: str, count: int, style: Style) -> str:
    urgent = {"provisional": YELLOW, "failed": RED, "escalated": RED}
    text = f"{name} {count}"
    return style(text, urgent.get(name, BOLD)) if count else style(text, DIM)


def _agents(agents: list[Json], style: Style) -> str:
    rows = [(a["name"], a["role"], a["status"], a["task_id"] or "", a["reason"] or "") for a in agents]
    lines = columns(rows, indent="  ").splitlines()
    coloured = [style(line, AGENT_COLOURS.get(row[2], "")) for line, row in zip(lines, rows, strict=True)]
    return style("Agents", BOLD) + "\n" + "\n".join(coloured)


def _left(expires_at: str | None, now: datetime) -> str:
    if expires_at is None:
        return ""
    left = (from_iso(expires_at) - now).total_seconds()
    return f"{span(left)} left" if left > 0 else f"expired {span(-left)} ago"
