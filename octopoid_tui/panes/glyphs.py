"""States as a glyph, a word and a tone, in that order of importance. Every glyph is one cell wide."""

from __future__ import annotations

from textual.content import Content

from backend.model import AgentStatus, Evidence, Outcome, Priority, Queue, Run, RunStatus, Task
from octopoid_tui.widgets.grid_model import Tone

Sign = tuple[str, Tone]

QUEUE: dict[Queue, Sign] = {
    Queue.BACKLOG: ("·", "dim"),
    Queue.INCOMING: ("○", ""),
    Queue.BLOCKED: ("◌", "dim"),
    Queue.CLAIMED: ("▸", "info"),
    Queue.PROVISIONAL: ("◆", "warning"),
    Queue.DONE: ("✓", "ok"),
    Queue.FAILED: ("✗", "error"),
    Queue.ESCALATED: ("▲", "error"),
    Queue.CANCELLED: ("−", "dim"),
}
AGENT: dict[AgentStatus, Sign] = {
    AgentStatus.IDLE: ("○", "dim"),
    AgentStatus.BUSY: ("▸", "info"),
    AgentStatus.WAITING: ("?", "warning"),
    AgentStatus.ERROR: ("✗", "error"),
    AgentStatus.OFFLINE: ("−", "dim"),
}
PRIORITY: dict[Priority, Tone] = {
    Priority.P0: "error",
    Priority.P1: "warning",
    Priority.P2: "",
    Priority.P3: "dim",
}
STYLES: dict[Tone, str] = {
    "": "",
    "dim": "$text-muted",
    "accent": "$text-accent",
    "info": "$text-primary",
    "ok": "$text-success",
    "warning": "$text-warning",
    "error": "$text-error",
}


def styled(text: str, tone: Tone) -> Content:
    """A text in the colour of a tone. It is never read as markup."""
    return Content.styled(text, STYLES[tone]) if tone else Content(text)


def queue(state: Queue) -> Sign:
    glyph, tone = QUEUE[state]
    return f"{glyph} {state.value}", tone


def task(shown: Task, busy: str | None = None, *, asks: bool = False) -> Sign:
    """A task's state; an approved one is being merged, and one with a question waits for you."""
    if busy:
        return f"… {busy}", "accent"
    if shown.queue is Queue.PROVISIONAL and shown.approved_by:
        return "◆ merging…", "accent"
    if asks and shown.queue is Queue.CLAIMED:
        return "? asks you", "warning"
    return queue(shown.queue)


def agent(status: AgentStatus) -> Sign:
    glyph, tone = AGENT[status]
    return f"{glyph} {status.value}", tone


def run(shown: Run) -> Sign:
    if shown.outcome is None:
        waiting = shown.status is RunStatus.WAITING
        return f"{'?' if waiting else '▸'} {shown.status.value}", "warning" if waiting else "info"
    good = shown.outcome in (Outcome.SUBMITTED, Outcome.REVIEWED)
    return f"{'✓' if good else '✗'} {shown.outcome.value.replace('_', ' ')}", "ok" if good else "error"


def check(shown: Evidence) -> Sign:
    if shown.exit_code is None:
        return "? not run", "warning"
    return ("✓ passed", "ok") if shown.passed else ("✗ failed", "error")
