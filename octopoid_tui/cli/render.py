"""Records as JSON fields and as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backend.clock import to_iso
from backend.interface import Backend
from backend.model import Event, Evidence, Json, Message, Queue, Rule, Run, Task
from backend.ranking import Question
from backend.wire import event_json, evidence_json, message_json, run_json, task_json
from octopoid_tui.cli.output import BOLD, DIM, GREEN, RED, YELLOW, Style, age, columns

if TYPE_CHECKING:
    from scheduler.admission.verdict import Explanation

EVENTS_SHOWN = 30
PAGE = 500
QUEUE_COLOURS = {
    Queue.DONE: GREEN,
    Queue.PROVISIONAL: YELLOW,
    Queue.FAILED: RED,
    Queue.ESCALATED: RED,
    Queue.CLAIMED: BOLD,
}


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything the store knows about one task."""

    task: Task
    runs: Sequence[Run]
    messages: Sequence[Message]
    events: Sequence[Event]
    evidence: Sequence[Evidence]


async def dossier(backend: Backend, task_id: str) -> Dossier:
    """Read everything about a task.

    Raises:
        NotFound: there is no such task.
    """
    task = await backend.get_task(task_id)
    return Dossier(
        task,
        await backend.list_runs(task_id=task_id),
        await backend.list_messages(task_id),
        await _history(backend, task_id),
        await backend.list_evidence(task_id),
    )


async def _history(backend: Backend, task_id: str) -> list[Event]:
    found: list[Event] = []
    while True:
        page = await backend.events(after=found[-1].seq if found else 0, limit=PAGE, entity_id=task_id)
        found += page
        if len(page) < PAGE:
            return found


def dossier_fields(found: Dossier) -> Json:
    return {
        "task": task_json(found.task),
        "runs": [run_json(run) for run in found.runs],
        "messages": [message_json(message) for message in found.messages],
        "events": [event_json(event) for event in found.events],
        "evidence": [evidence_json(item) for item in found.evidence],
    }


def question_fields(question: Question) -> Json:
    message = question.message
    return {
        "id": message.id,
        "task_id": message.conversation_id,
        "run_id": message.run_id,
        "kind": message.kind.value,
        "body": message.body,
        "options": list(message.options),
        "created_at": to_iso(message.created_at),
        "unlocks": question.unlocks,
        "same": [one.id for one in question.same],
    }


def explanation_fields(why: Explanation) -> Json:
    return {
        "task_id": why.task_id,
        "summary": why.summary,
        "gates": [
            {
                "gate": gate.gate,
                "passes": gate.passes,
                "reason": gate.reason,
                "clears_at": to_iso(gate.clears_at) if gate.clears_at else None,
            }
            for gate in why.gates
        ],
    }


def explanation_text(why: Explanation) -> str:
    """Each gate with ✓ or ✗ and its reason, under one sentence."""
    style = Style()
    pad = max((len(gate.gate) for gate in why.gates), default=0)
    lines = [style(f"{why.task_id}: {why.summary}", BOLD)]
    for gate in why.gates:
        mark = style("✓", GREEN) if gate.passes else style("✗", RED)
        until = f" (until {_time(gate.clears_at)})" if gate.clears_at else ""
        lines.append(f"  {mark} {style(gate.gate.ljust(pad), DIM)}  {style(gate.reason + until)}")
    return "\n".join(lines)


def task_table(tasks: Iterable[Task]) -> str:
    """Tasks as aligned lines under a heading."""
    rows = [("ID", "P", "QUEUE", "ROLE", "AGENT", "TITLE")]
    rows += [(t.id, t.priority, t.queue, t.role, t.claimed_by or "", t.title) for t in tasks]
    return columns(rows)


def question_text(question: Question, style: Style, now: datetime) -> str:
    message = question.message
    head = f"{message.id}  {message.kind}  {message.sender.id} on {message.conversation_id}"
    if question.same:
        head += f" and {len(question.same)} more"
    if question.unlocks:
        head += f", unlocks {question.unlocks} task{'' if question.unlocks == 1 else 's'}"
    lines = [
        f"{style(head, BOLD)}  {style(age(message.created_at, now) + ' ago', DIM)}",
        indented(message.body, style),
    ]
    lines += [f"  {n}. {style(option)}" for n, option in enumerate(message.options, 1)]
    return "\n".join(lines)


def indented(text: str, style: Style, by: str = "  ") -> str:
    return "\n".join(by + style(line) for line in text.strip().splitlines())


def dossier_text(found: Dossier) -> str:
    """A task for reading, in sections; sections without content are left out."""
    style, now, task = Style(), datetime.now(UTC), found.task
    sections = [
        ("", _task_lines(task, style, now)),
        ("Description", indented(task.body, style)),
        ("Runs", _table([_run_row(run, now) for run in found.runs])),
        ("Evidence", _table([_evidence_row(item) for item in found.evidence])),
        ("Conversation", "\n".join(_message_lines(message, style, now) for message in found.messages)),
        ("History", _table([_event_row(event) for event in found.events[-EVENTS_SHOWN:]])),
    ]
    return "\n\n".join(
        f"{style(title, BOLD)}\n{text}" if title else text for title, text in sections if text.strip()
    )


def rule_row(rule: Rule, now: datetime) -> tuple[str, ...]:
    if rule.revoked_at is not None:
        state = "revoked"
    elif rule.expires_at is None:
        state = "in force"
    else:
        state = "over" if rule.expires_at <= now else f"until {_time(rule.expires_at)}"
    scope = f"{rule.scope} {rule.scope_id}".rstrip()
    return rule.id, scope, state, str(rule.uses), rule.author, _short(rule.pattern), _short(rule.answer)


def _short(text: str, limit: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return columns(rows, indent="  ") if rows else ""


def _task_lines(task: Task, style: Style, now: datetime) -> str:
    queue = style(task.queue, QUEUE_COLOURS.get(task.queue, ""))
    head = f"{style(task.id, BOLD)}  {queue}  {style(task.title, BOLD)}"
    rows = [
        ("priority", task.priority),
        ("role", task.role),
        ("type", task.type + (f", {task.complexity}" if task.complexity else "")),
        ("project", task.project_id or ""),
        ("file", task.file_path or ""),
        ("base", f"{task.base_branch} at {task.base_sha[:12]}"),
        ("blocked by", ", ".join(task.blocked_by)),
        ("needs", ", ".join(task.needs)),
        ("held by", _holder(task, now)),
        (
            "attempts",
            f"{task.attempts_counted} counted of {task.attempt_count}" if task.attempt_count else "",
        ),
        ("rejected", f"{task.rejection_count} times" if task.rejection_count else ""),
        ("approved", f"by {task.approved_by}" if task.approved_by else ""),
        ("reason", task.reason or ""),
        ("merged", task.merged_sha or ""),
        ("pull request", task.pr_url or ""),
        ("created", f"{_time(task.created_at)} by {task.created_by}"),
        ("completed", _time(task.completed_at) if task.completed_at else ""),
    ]
    return head + "\n" + columns([row for row in rows if row[1]], indent="  ")


def _holder(task: Task, now: datetime) -> str:
    if task.claimed_by is None:
        return ""
    left = f", lease {age(now, task.lease_expires_at)} left" if task.lease_expires_at else ""
    return f"{task.claimed_by}, run {task.run_id}{left}"


def _run_row(run: Run, now: datetime) -> tuple[str, ...]:
    lasted = age(run.started_at, run.ended_at or now)
    cost = f"${run.cost_usd:.2f}" if run.cost_usd is not None else ""
    return (
        f"#{run.attempt}",
        run.id,
        run.role,
        run.agent_name,
        run.outcome or run.status,
        lasted,
        cost,
        run.reason or "",
    )


def _evidence_row(item: Evidence) -> tuple[str, ...]:
    word = (
        "passed"
        if item.passed
        else "could not run"
        if item.exit_code is None
        else f"failed ({item.exit_code})"
    )
    return (
        "✓" if item.passed else "✗",
        item.check,
        word,
        item.commit_sha[:12],
        f"{item.duration_ms / 1000:.1f}s",
    )


def _message_lines(message: Message, style: Style, now: datetime) -> str:
    head = f"  {message.sender.id}, {message.kind}, {age(message.created_at, now)} ago"
    if message.open:
        head += f", open as {message.id}"
    lines = [style(head, DIM), indented(message.body, style, "    ")]
    if message.answer is not None:
        lines.append("    → " + style(message.answer))
    return "\n".join(lines)


def _event_row(event: Event) -> tuple[str, ...]:
    move = f"{event.from_state or ''} → {event.to_state}" if event.to_state else ""
    return (_time(event.at), event.kind, move, event.actor, event.reason or "")


def _time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


message_fields = message_json
task_fields = task_json
