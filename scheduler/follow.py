"""Following live runs: their output becomes events, their requests become messages, their end is noticed.

Everything is read from the run directory, from an offset that is stored with each event, so that a
scheduler that starts later goes on exactly where the last one stopped.
"""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backend.clean import clean
from backend.clock import Clock, from_ms
from backend.errors import BadInput, OctopoidError
from backend.model import Run
from scheduler.agents.events import AgentEvent, decode, encode
from scheduler.agents.interface import Adapter
from scheduler.runs.durable import write_all
from scheduler.runs.outbox import BadOutboxItem, OutboxItem
from scheduler.runs.rundir import RunDir, RunDirState
from scheduler.runs.tail import Line, Tail

LIVENESS_EVERY = 20
"""Polls between two looks at the lock of a run: a vanished supervisor is rare."""

TEXT_LIMIT = 64 << 10
"""Characters of one text in an event; the transcript has it whole."""

BLOCK = 64 << 10
BLOCKS = 16
"""What one look reads of a stream, block by block: one block's events are in memory at a time."""

EVENTS_CAP = 64 << 20
"""Bytes of `events.jsonl`: short lines grow on their way into it."""

REQUESTS_CAP = 2000
"""Requests taken of one run; more are no conversation."""

SHORTEST_LIMIT_S = 10.0
LONGEST_LIMIT_S = 7 * 86_400.0
"""What is believed of a provider's limit, whatever the agent says."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Observed:
    """What one look at a run found."""

    active: datetime | None = None
    """When it last wrote something, if it did."""
    news: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The newest data of its session and its use, by kind of event."""
    requests: tuple[OutboxItem | BadOutboxItem, ...] = ()
    ended: bool = False

    def take(self, event: AgentEvent) -> None:
        self.active = event.at
        if event.kind in ("usage", "session.started"):
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
    stop_reason: str | None = None
    """Why we stopped it, once we have."""
    turn_outcome: str | None = None
    rate_limited_until: datetime | None = None
    ended: bool = False
    pid: int | None = None
    """The agent's process, as its supervisor recorded it."""
    trouble: str | None = None
    """Why it could not be read when it was last looked at."""
    _out: Tail = field(init=False)
    _err: Tail = field(init=False)
    _handled: set[str] = field(default_factory=set)
    _looks: int = 0

    def __post_init__(self) -> None:
        offsets = self._restore()
        self._out = Tail(self.run_dir.transcript, offsets["out"])
        self._err = Tail(self.run_dir.stderr_log, offsets["err"])

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
            for _ in range(BLOCKS):
                self._read(tail, source, observed, final=over)
                if tail.at_end:
                    break
        if len(self._handled) < REQUESTS_CAP:
            found = self.run_dir.read_outbox(self._handled)
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

    def handled(self, item: OutboxItem | BadOutboxItem) -> None:
        """Do not show this request again. Until it is said, every look finds it."""
        self._handled.add(request_key(item))

    def note(self, kind: str, **data: object) -> None:
        """Add an event of the scheduler's own to the run's record, if that can still be written."""
        try:
            self._store([AgentEvent(self._now(), kind, dict(data), "scheduler", 0)])
        except OSError as error:
            log.warning("the record of run %s cannot be written (%s): %s %s", self.run.id, error, kind, data)

    def _now(self) -> datetime:
        return from_ms(self.clock.now_ms())

    def _read(self, tail: Tail, source: str, observed: Observed, *, final: bool) -> None:
        events = [
            AgentEvent(self._now(), kind, data, source, line.end)
            for line in tail.read(BLOCK, final=final)
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
        drafts = self.adapter.parse(line.data)
        return [(draft.kind, shorten(draft.data)) for draft in drafts]

    def _store(self, events: list[AgentEvent]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.run_dir.events_jsonl, flags, 0o600)
        try:
            if os.fstat(fd).st_size < EVENTS_CAP:
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
        if event.source == "scheduler" and isinstance(event.data.get("request_id"), str):
            self._handled.add(event.data["request_id"])
        elif event.kind == "turn.finished":
            self.turn_outcome = str(event.data.get("outcome"))
        elif event.kind == "rate_limit" and event.data.get("status") == "rejected":
            self.rate_limited_until = resets_at(event)


def resets_at(event: AgentEvent) -> datetime:
    """When a provider's limit ends, as far as it says; in five minutes otherwise."""
    seconds = event.data.get("resets_in_s")
    wait = 300.0
    if isinstance(seconds, int | float) and not math.isnan(seconds):
        wait = min(max(seconds, SHORTEST_LIMIT_S), LONGEST_LIMIT_S)
    return from_ms(round(event.at.timestamp() * 1000 + wait * 1000))


def request_key(item: OutboxItem | BadOutboxItem) -> str:
    """By what a request is known again: its id, or what makes it unusable."""
    if isinstance(item, OutboxItem) or item.id:
        return item.id
    return item.name if item.name != "outbox" else f"outbox: {item.reason}"


def shorten(data: dict[str, Any]) -> dict[str, Any]:
    """Clean every text of an event, however deep, and bound its length."""
    return {str(name): _shortened(value) for name, value in data.items()}


def _shortened(value: object) -> object:
    if isinstance(value, str):
        return clean(value)[:TEXT_LIMIT]
    if isinstance(value, dict):
        return {clean(str(name), newlines=False)[:200]: _shortened(inner) for name, inner in value.items()}
    return [_shortened(inner) for inner in value] if isinstance(value, list) else value
