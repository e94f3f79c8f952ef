"""What a person has missed, in the order of what needs a person first. Pure, but for styled text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import partial
from types import MappingProxyType

from textual.content import Content

from backend.clean import clean, clean_line
from backend.clock import from_ms
from backend.model import Event, Queue, Task, Usage
from backend.ranking import Question
from octopoid_tui.formats import age, clock, count, money
from octopoid_tui.panes import glyphs
from octopoid_tui.panes.glyphs import Sign, styled
from octopoid_tui.panes.task_rows import reason
from octopoid_tui.snapshot import Snapshot
from octopoid_tui.widgets.grid_model import Column, Row
from octopoid_tui.widgets.lazy_rows import LazyRows

SHA = 10
COLUMNS = (
    Column("state", "State", 13, sortable=False),
    Column("at", "When", 12, sortable=False),
    Column("title", "Task or alert", 22, flex=3, sortable=False),
    Column("what", "What happened", 18, flex=3, priority=2, sortable=False),
    Column("id", "Id", 14, priority=3, sortable=False),
)


class Span(StrEnum):
    """Since when a person wants to know."""

    LEFT = "Since you left"
    EVENING = "Since last evening"
    DAY = "In the last 24 hours"
    WEEK = "In the last 7 days"


class Kind(StrEnum):
    """What an entry asks of a person."""

    ALL = "all"
    WAITS = "waits"
    FAILED = "failed"
    ALERTS = "alerts"
    FINISHED = "finished"


NAMES = {
    Kind.ALL: "All",
    Kind.WAITS: "Waits for you",
    Kind.FAILED: "Failed",
    Kind.ALERTS: "Alerts",
    Kind.FINISHED: "Finished",
}
QUEUES = {
    Queue.ESCALATED: Kind.WAITS,
    Queue.PROVISIONAL: Kind.WAITS,
    Queue.FAILED: Kind.FAILED,
    Queue.DONE: Kind.FINISHED,
    Queue.CANCELLED: Kind.FINISHED,
}
"""Queues that are told of; work that waits for its turn or is under way is on the control screen."""
ORDER = (
    "question",
    Queue.ESCALATED,
    Queue.PROVISIONAL,
    Queue.FAILED,
    "alert",
    "merging",
    Queue.DONE,
    Queue.CANCELLED,
)
PLACE = {what: place for place, what in enumerate(ORDER)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    id: str
    kind: Kind
    place: int
    """Where it stands among others, the smallest first."""
    sign: Sign
    at: datetime
    title: str
    what: str
    task_id: str = ""
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """What happened in a time, ready to be shown."""

    since: datetime
    span: Span = Span.LEFT
    known: bool = True
    """Whether it is known when the person left."""
    entries: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    rows: Mapping[Kind, Sequence[Row]] = field(default_factory=lambda: MappingProxyType({}))
    events: Mapping[str, Sequence[Event]] = field(default_factory=lambda: MappingProxyType({}))
    """What happened to each task."""
    by_rule: int = 0
    whole_from: datetime | None = None
    used: Sequence[Usage] = ()


def begins(span: Span, left_at: datetime | None, now: datetime, zone: tzinfo | None) -> datetime:
    """When a span begins; that of the last day stands for a leaving that is not known."""
    if span is Span.EVENING:
        yesterday = now.astimezone(zone).date() - timedelta(days=1)
        return datetime.combine(yesterday, time(18), zone).astimezone(UTC)
    if span is Span.WEEK:
        return now - timedelta(days=7)
    if span is Span.LEFT and left_at is not None:
        return min(left_at, now)
    return now - timedelta(days=1)


def entries(events: Iterable[Event], snapshot: Snapshot, since: datetime, now: datetime) -> list[Entry]:
    """What needs a person first, and of each kind the newest first."""
    moved: dict[str, Event] = {}
    raised: dict[str, Event] = {}
    over: set[str] = set()
    for event in events:
        if event.entity == "task" and event.from_state != event.to_state:
            moved[event.entity_id] = event
        elif event.entity == "alert":
            over.discard(event.entity_id)
            if event.kind == "raise":
                raised[event.entity_id] = event
            else:
                over.add(event.entity_id)
    found = [_asked(one) for one in snapshot.questions if one.message.created_at >= since]
    asking = {entry.task_id for entry in found}
    for task_id, event in moved.items():
        task = snapshot.tasks.get(task_id)
        if task is not None and task.queue in QUEUES and task_id not in asking:
            found.append(_task(task, event, snapshot))
    found += [_alert(event, now, over=key in over) for key, event in raised.items()]
    return sorted(found, key=lambda entry: (entry.place, -entry.at.timestamp(), entry.id))


def _asked(question: Question) -> Entry:
    message, task = question.message, question.task
    return Entry(
        f"question:{message.id}",
        Kind.WAITS,
        PLACE["question"],
        ("? asks you", "warning"),
        message.created_at,
        task.title if task else message.conversation_id,
        message.body,
        message.conversation_id,
        question,
    )


def _task(task: Task, event: Event, snapshot: Snapshot) -> Entry:
    kind, place = QUEUES[task.queue], PLACE[task.queue]
    if task.queue is Queue.PROVISIONAL and task.approved_by:
        kind, place = Kind.FINISHED, PLACE["merging"]
    return Entry(
        f"task:{task.id}",
        kind,
        place,
        glyphs.task(task),
        event.at,
        task.title,
        _outcome(task, snapshot),
        task.id,
    )


def _outcome(task: Task, snapshot: Snapshot) -> str:
    if task.queue is not Queue.DONE:
        return reason(task, snapshot)
    by = f"accepted by {task.approved_by.removeprefix('human:')}" if task.approved_by else "done"
    return f"{by}, commit {task.merged_sha[:SHA]}" if task.merged_sha else task.reason or by


def _alert(event: Event, now: datetime, *, over: bool) -> Entry:
    ends = event.data.get("until")
    over = over or (isinstance(ends, int) and from_ms(ends) <= now)
    sign: Sign = ("− was alert", "dim") if over else ("! alert", "warning")
    return Entry(
        f"alert:{event.entity_id}",
        Kind.ALERTS,
        PLACE["alert"],
        sign,
        event.at,
        event.reason or "",
        event.entity_id,
    )


def row(entry: Entry, now: datetime, zone: tzinfo | None) -> Row:
    past = entry.kind is Kind.FINISHED or entry.sign[1] == "dim"
    return Row(
        entry.id,
        (
            entry.sign[0],
            clock(entry.at, now, zone),
            clean_line(entry.title, 300),
            clean_line(entry.what, 300),
            clean_line(entry.task_id, 64),
        ),
        cell_tones=(entry.sign[1], "dim", "", "dim" if past else entry.sign[1], "dim"),
    )


def gather(
    events: Sequence[Event], snapshot: Snapshot, missed: Missed, now: datetime, zone: tzinfo | None
) -> Missed:
    """Complete what is known of a time with what happened in it."""
    found = entries(events, snapshot, missed.since, now)
    of_kind: dict[Kind, list[Entry]] = {kind: [] for kind in Kind}
    for entry in found:
        of_kind[Kind.ALL].append(entry)
        of_kind[entry.kind].append(entry)
    told = {entry.task_id for entry in found}
    of_task: dict[str, list[Event]] = {}
    for event in events:
        if event.entity_id in told and event.entity == "task":
            of_task.setdefault(event.entity_id, []).append(event)
    return replace(
        missed,
        entries={entry.id: entry for entry in found},
        rows={kind: LazyRows(shown, partial(row, now=now, zone=zone)) for kind, shown in of_kind.items()},
        events=of_task,
        by_rule=sum(event.entity == "rule" for event in events),
    )


def heading(missed: Missed, now: datetime, zone: tzinfo | None) -> Content:
    """Since when, and what it has cost, in one line."""
    span, since = (
        missed.span,
        f"{clock(missed.since, now, zone)}, {age((now - missed.since).total_seconds())} ago",
    )
    if span is Span.LEFT and not missed.known:
        span, since = Span.DAY, "you have not been away yet"
    runs = sum(one.runs for one in missed.used)
    spent = (
        f"   {money(sum(one.cost_usd for one in missed.used))}, "
        f"{count(sum(one.tokens for one in missed.used))} tokens, {runs} run{'' if runs == 1 else 's'}"
    )
    return Content.assemble(
        (span.value, "bold"), (f" ({since})", "$text-muted"), spent, _more(missed, now, zone)
    )


def _more(missed: Missed, now: datetime, zone: tzinfo | None) -> Content:
    if missed.whole_from is not None:
        return styled(f"   ! too much to read: only from {clock(missed.whole_from, now, zone)} on", "warning")
    if missed.by_rule:
        times = "1 question" if missed.by_rule == 1 else f"{missed.by_rule} questions"
        return Content.styled(f"   {times} answered by rules", "$text-muted")
    return Content("")


def entry_text(entry: Entry, events: Sequence[Event], now: datetime, zone: tzinfo | None) -> Content:
    """One entry for reading: what it is about, and how it came to it, the newest first."""
    lines = [
        Content.styled(clean_line(entry.title, 300), "bold"),
        Content.assemble(
            styled(*entry.sign),
            (f"   {clock(entry.at, now, zone)}   {clean_line(entry.task_id, 64)}", "$text-muted"),
        ),
        Content(clean(entry.what).expandtabs(4).strip()),
    ]
    if entry.question is not None and entry.question.message.options:
        lines += [
            Content(f"  {n} {clean_line(text, 200)}")
            for n, text in enumerate(entry.question.message.options, 1)
        ]
    if events:
        lines += [Content(""), Content.styled("What happened to it", "$text-muted")]
    return Content("\n").join([*lines, *(_event_line(event, now, zone) for event in reversed(events))])


def _event_line(event: Event, now: datetime, zone: tzinfo | None) -> Content:
    what = clean_line(event.kind.replace("_", " "), 40)
    moved = f" → {clean_line(event.to_state or '', 40)}" if event.from_state != event.to_state else ""
    by = clean_line(event.actor, 60)
    why = f"\n             {clean_line(event.reason, 300)}" if event.reason else ""
    return Content.assemble(
        (f"{clock(event.at, now, zone):<12} ", "$text-muted"),
        f"{what}{moved}",
        (f"  {by}", "$text-muted"),
        why,
    )
