"""Following live runs: their output becomes events, their requests become messages, their end is noticed.

Everything is read from the run directory, from an offset that is stored with each event, so that a
scheduler that starts later goes on exactly where the last one stopped.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backend.clean import clean
from backend.clock import Clock, from_ms
from backend.errors import BadInput, OctopoidError
from backend.model import Run
from scheduler.agents.events import AgentEvent, decode, encode
from scheduler.agents.interface import Adapter, Draft, Request
from scheduler.outcome import StopCause
from scheduler.quota import window_end
from scheduler.runs.durable import write_all
from scheduler.runs.outbox import BadOutboxItem, OutboxItem, OutboxWatch
from scheduler.runs.rundir import RunDir, RunDirState
from scheduler.runs.tail import LINE_LIMIT, Line, Tail
from scheduler.talk import END, Talk

LASTING = ("session.started", "usage")
"""What of an agent's events the store has to know in the end."""
LIVENESS_EVERY = 20
"""Polls between two looks at the lock of a run: a vanished supervisor is rare."""

TEXT_LIMIT = 64 << 10
"""Characters of one text in an event; the transcript has it whole."""

DEPTH_LIMIT = 50
"""How deep the data of an event may be nested; what is deeper is left out."""

BLOCK = 64 << 10
BLOCKS = 16
"""What one look reads of a stream, block by block: one block's events are in memory at a time."""

EVENTS_CAP = 64 << 20
"""Bytes of `events.jsonl`: short lines grow on their way into it."""

REQUESTS_CAP = 2000
"""Requests taken of one run; more are no conversation."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Observed:
    """What one look at a run found."""

    active: datetime | None = None
    """When it last wrote something, if it did."""
    news: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The newest data of its session and its use, by kind of event."""
    requests: tuple[OutboxItem | BadOutboxItem, ...] = ()
    asked: dict[str, Request] = field(default_factory=dict)
    """What the agent waits for by its own protocol and no message was made of yet, by key."""
    closed: tuple[str, ...] = ()
    """Keys of what it no longer waits for, without having been replied to."""
    caught_up: bool = False
    """Whether its output has been read to the end."""
    told: bool = False
    """Whether it has been sent something that had to wait."""
    ended: bool = False

    def take(self, event: AgentEvent) -> None:
        if event.kind in ("usage", "session.started", "rate_limit", "retry"):
            self.news[event.kind] = event.data


@dataclass(slots=True)
class Following:
    """One live run of this machine, as its scheduler follows it."""

    run: Run
    run_dir: RunDir
    adapter: Adapter
    clock: Clock
    last_activity: datetime
    waiting_for: set[str] = field(default_factory=set)
    """Ids of the open questions it has asked."""
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of the messages made of what it asked by its own protocol, by key of the request."""
    stop_reason: str | None = None
    """Why we stopped it, once we have."""
    stop_cause: StopCause = StopCause.SILENCE
    stuck: str | None = None
    """Why it cannot be told anything any more, once that is so."""
    turn_outcome: str | None = None
    turn_reason: str | None = None
    """Why its last turn ended as it did, in its words."""
    refused: str | None = None
    """Why the program may not work at all, if it may not."""
    rate_limited_until: datetime | None = None
    caught_up: bool = False
    """Whether what it wrote before it was followed is known; until then it may ask more than we know of."""
    listens: bool = True
    """Whether people may have written something that it has not been told."""
    finished_at: datetime | None = None
    """When its input was ended because its work was done."""
    unsaid: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What its session and its use were last, as long as the store does not know."""
    unreadable: int = 0
    """Lines of its output that its adapter could not use."""
    ended: bool = False
    pid: int | None = None
    """The agent's process, as its supervisor recorded it."""
    trouble: str | None = None
    """Why it could not be read when it was last looked at."""
    talk: Talk = field(init=False)
    _out: Tail = field(init=False)
    _err: Tail = field(init=False)
    _outbox: OutboxWatch = field(init=False)
    _handled: set[str] = field(default_factory=set)
    _sent: set[str] = field(default_factory=set)
    _looks: int = 0

    def __post_init__(self) -> None:
        offsets = self._restore()
        limit = max(self.adapter.line_limit, LINE_LIMIT)
        self._out = Tail(self.run_dir.transcript, offsets["out"], line_limit=limit)
        self._err = Tail(self.run_dir.stderr_log, offsets["err"])
        self._outbox = OutboxWatch(self.run_dir.outbox)
        self.talk = Talk(self.run_dir, self.adapter, self._sent, self._record_sent)
        self.talk.begin(offsets["out"], limit)

    @property
    def waiting(self) -> bool:
        return bool(self.waiting_for)

    @property
    def rests(self) -> bool:
        """Whether it can only go on by a person's word."""
        return self.waiting and not self.ended and self.stop_reason is None

    def look(self) -> Observed:
        """Read what is new. Blocking, brief; for a thread."""
        if self.pid is None:
            started = self.run_dir.started()
            self.pid = started.pid if started else None
        over = self.over()
        observed = Observed()
        for tail, source in ((self._out, "out"), (self._err, "err")):
            if over or tail.changed():
                self._read_on(tail, source, observed, final=over)
        observed.caught_up = self._out.at_end
        observed.told = self.talk.flush()
        waits, asked = self.talk.requests, dict(self.asked)  # answers are delivered meanwhile
        observed.asked = {key: request for key, request in waits.items() if key not in asked}
        gone = [key for key in asked if key not in waits]
        observed.closed = tuple(key for key in gone if not self.talk.replied(key))
        if len(self._handled) < REQUESTS_CAP and (over or self._outbox.changed()):
            found = self.run_dir.read_outbox(self._handled)
            if not found:
                self._outbox.emptied()
            observed.requests = tuple(item for item in found if request_key(item) not in self._handled)
        observed.ended = over and self._out.at_end and self._err.at_end and not observed.requests
        return observed

    def over(self) -> bool:
        """Whether nothing of it runs any more. Blocking, brief.

        A record of its end alone proves nothing: the agent could have written it. A vanished supervisor
        leaves none, so that is looked for too, now and then.
        """
        self._looks += 1
        if not self.run_dir.exit_json.exists() and self._looks % LIVENESS_EVERY:
            return False
        return self.run_dir.state() in (RunDirState.LOST, RunDirState.ENDED) and not self.alive()

    def alive(self) -> bool:
        """Whether it has a supervisor now; a run whose directory is gone or unusable counts as ended."""
        try:
            return self.run_dir.is_alive()
        except OctopoidError:
            return False

    def known(self, request_id: str) -> bool:
        """Whether the record of the run says that this request was taken."""
        return request_id in self._handled

    def handled(self, item: OutboxItem | BadOutboxItem) -> None:
        """Do not show this request again. Until it is said, every look finds it."""
        self._handled.add(request_key(item))

    def note(self, kind: str, /, **data: object) -> None:
        """Add an event of the scheduler's own to the run's record, if that can still be written."""
        try:
            self._store([AgentEvent(self._now(), kind, dict(data), "scheduler", 0)])
        except OSError as error:
            log.warning("the record of run %s cannot be written (%s): %s %s", self.run.id, error, kind, data)

    def tell(self, draft: Draft, request_id: str) -> Observed:
        """Take in an event that the agent left in its outbox, as if it had said it itself."""
        data = shorten({**draft.data, "request_id": request_id})
        event = AgentEvent(self._now(), draft.kind, data, "scheduler", 0)
        self._store([event])
        self.absorb(event)
        observed = Observed()
        observed.take(event)
        return observed

    def _record_sent(self, send_id: str, text: str) -> None:
        self.note("sent", send_id=send_id, **({"text": text[:TEXT_LIMIT]} if text else {}))
        if send_id == END:
            self.finished_at = self._now()

    def _now(self) -> datetime:
        return from_ms(self.clock.now_ms())

    def _read_on(self, tail: Tail, source: str, observed: Observed, *, final: bool) -> None:
        for _ in range(BLOCKS):
            self._read(tail, source, observed, final=final)
            if tail.at_end:
                return

    def _read(self, tail: Tail, source: str, observed: Observed, *, final: bool) -> None:
        lines = tail.read(BLOCK, final=final)
        if lines:
            observed.active = self._now()
        events = [
            AgentEvent(self._now(), kind, data, source, line.end)
            for line in lines
            for kind, data in self._parse(line, source)
        ]
        for event in events:
            self.absorb(event)
            observed.take(event)
        if events:
            self._store(events)

    def _parse(self, line: Line, source: str) -> list[tuple[str, dict[str, object]]]:
        if source == "err":
            return [("log", shorten({"stream": "err", "text": line.data.decode("utf-8", "replace")}))]
        return [(draft.kind, shorten(draft.data)) for draft in self.talk.read(line.data)]

    def _store(self, events: list[AgentEvent]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.run_dir.events_jsonl, flags, 0o600)
        try:
            if os.fstat(fd).st_size < EVENTS_CAP or events[0].source == "scheduler":
                write_all(fd, b"".join(encode(event) for event in events))
        finally:
            os.close(fd)

    def _restore(self) -> dict[str, int]:
        """Where reading goes on, and what earlier events already said of the run's end."""
        offsets = {"out": 0, "err": 0, "scheduler": 0}
        tail = Tail(self.run_dir.events_jsonl)
        try:
            while not tail.at_end:
                for line in tail.read():
                    self._recall(line, offsets)
            if self.run_dir.events_jsonl.exists():
                # Half a line is what a killed scheduler was writing.
                os.truncate(self.run_dir.events_jsonl, tail.offset)
        except (OctopoidError, OSError) as error:
            log.warning("the record of run %s cannot be read: %s", self.run.id, error)
        return offsets

    def _recall(self, line: Line, offsets: dict[str, int]) -> None:
        try:
            event = decode(line.data)
        except BadInput as error:
            log.warning("the record of run %s is damaged at byte %d: %s", self.run.id, line.offset, error)
            return
        if event.source in offsets:
            offsets[event.source] = max(offsets[event.source], event.offset)
            self.absorb(event)

    def absorb(self, event: AgentEvent) -> None:
        """Keep what an event says that matters later: requests dealt with, and what decides the outcome."""
        if event.source == "scheduler":
            self._absorb_own(event)
        if event.kind in LASTING:
            self.unsaid[event.kind] = event.data
        if event.kind == "turn.finished":
            self.turn_outcome = str(event.data.get("outcome"))
            reason = event.data.get("reason")
            self.turn_reason = reason if isinstance(reason, str) else None
            if self.turn_outcome == "completed":
                self.rate_limited_until = self.refused = None  # it got over them
        elif event.kind == "refused":
            self.refused = str(event.data.get("reason"))
        elif event.kind == "unknown":
            self.unreadable += 1
        elif event.kind == "rate_limit" and event.data.get("status") == "rejected":
            self.rate_limited_until = window_end(event.data, event.at)

    def _absorb_own(self, event: AgentEvent) -> None:
        """Keep what the record says of requests dealt with, and of messages sent."""
        request_id, send_id = event.data.get("request_id"), event.data.get("send_id")
        if isinstance(request_id, str):
            self._handled.add(request_id)
        cause = event.data.get("stop_cause")
        if isinstance(cause, str) and cause in frozenset(StopCause):
            self.stop_cause, self.stop_reason = StopCause(cause), str(event.data.get("text"))
        if event.kind == "sent" and isinstance(send_id, str):
            self._sent.add(send_id)
            if send_id == END:
                self.finished_at = event.at


def request_key(item: OutboxItem | BadOutboxItem) -> str:
    """By what a request is known again: its id, or what makes it unusable."""
    if isinstance(item, OutboxItem) or item.id:
        return item.id
    return item.name if item.name != "outbox" else f"outbox: {item.reason}"


def shorten(data: dict[str, Any]) -> dict[str, Any]:
    """Clean every text of an event, however deep, and bound its length."""
    return {str(name): _shortened(value) for name, value in data.items()}


def _shortened(value: object, depth: int = 0) -> object:
    if isinstance(value, str):
        return clean(value)[:TEXT_LIMIT]
    if depth > DEPTH_LIMIT:
        return "…"
    if isinstance(value, dict):
        return {
            clean(str(name), newlines=False)[:200]: _shortened(inner, depth + 1)
            for name, inner in value.items()
        }
    return [_shortened(inner, depth + 1) for inner in value] if isinstance(value, list) else value
