"""What is sent to live agents: each message of a conversation once, whichever scheduler sends it.

A message counts as sent when `events.jsonl` says so. After a restart the conversation is made again from
the transcript, and what it would have sent and the record does not hold is sent then.

A message that no pipe holds goes out in parts, and `events.jsonl` says so before the first one. Nothing but
the rest of it may follow, and only the scheduler that began it knows where that rest begins.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from scheduler.agents.interface import Adapter, Conversation, Draft, Opening, Request, Send, reply_id, say_id
from scheduler.runs.adopt import AgentNotReading, end_input, offer
from scheduler.runs.control import CannotControl
from scheduler.runs.rundir import BadRunFile, RunDir
from scheduler.runs.tail import Tail

log = logging.getLogger(__name__)

END = "end of input"
"""The id under which it is recorded that the agent's input was ended."""

PART = "part of "
"""What the id of a message has before it, where it is recorded that a part of it may have gone out."""

STUCK_AFTER_S = 120.0
"""How long an agent may take nothing of a message of which it has a part."""

STUCK = "the agent stopped reading its input in the middle of a message"
CUT_OFF = "the scheduler ended in the middle of a message to the agent, which cannot be completed"

REPLIES_WITHIN_S = 1.0
"""How long after it was sent something an agent is likely to send something back at once."""

Record = Callable[[str, str], None]
"""Keeps that a message of an id went out, with its text where a person wrote it."""


def request_key(request_id: str) -> str:
    """An agent's own name of its request, made harmless. No item of an outbox can be named so."""
    return "talk:" + hashlib.sha256(request_id.encode("utf-8", "replace")).hexdigest()[:24]


class Talk:
    """One run's conversation, and its way to the agent. Safe to use from several threads."""

    def __init__(self, run_dir: RunDir, adapter: Adapter, sent: set[str], record: Record) -> None:
        self._run_dir = run_dir
        self._two_way = adapter.two_way
        self._sent = sent
        self._record = record
        self._queue: dict[str, Send] = {}
        self._texts: dict[str, str] = {}
        self._sent_at = -math.inf
        self._rest = memoryview(b"")
        self._cut_off = any(begun.startswith(PART) and begun.removeprefix(PART) not in sent for begun in sent)
        self._lock = threading.RLock()
        prompt, kept = _kept(run_dir) if adapter.two_way else ("", {})
        told, setup = kept.get("told"), kept.get("setup")
        self.told = frozenset(told if isinstance(told, list) else ())
        """Ids of the notes that its prompt holds."""
        self._conversation: Conversation = adapter.converse(
            Opening(run_dir.id, prompt, setup if isinstance(setup, dict) else {})
        )

    def begin(self, upto: int, line_limit: int) -> None:
        """Queue what opens the conversation, and take in again what was read before. Blocking."""
        if not self._two_way:
            return
        self._enqueue(self._conversation.begin())
        tail = Tail(self._run_dir.transcript, line_limit=line_limit)
        while not tail.at_end and tail.offset < upto:
            for line in tail.read():
                if line.end <= upto:
                    self._enqueue(self._conversation.read(line.data).sends)

    @property
    def brisk(self) -> bool:
        """Whether it was sent something just now: programs exchange several messages before they go on."""
        return time.monotonic() - self._sent_at < REPLIES_WITHIN_S

    @property
    def stuck(self) -> str | None:
        """Why nothing can be sent any more, if that is so: the agent waits for the rest of a message."""
        if self._cut_off:
            return CUT_OFF
        begun = bool(self._rest)  # looked at first: another thread sets it last
        return STUCK if begun and time.monotonic() - self._sent_at > STUCK_AFTER_S else None

    @property
    def requests(self) -> dict[str, Request]:
        """What the agent waits for, by key; without what has been replied to."""
        with self._lock:
            return {
                request_key(request.id): request
                for request in list(self._conversation.requests.values())
                if reply_id(request.id) not in self._sent
            }

    def replied(self, key: str) -> bool:
        """Whether the request of this key has been replied to."""
        prefix = reply_id("")
        with self._lock:
            replies = [sent.removeprefix(prefix) for sent in self._sent if sent.startswith(prefix)]
        return any(request_key(request_id) == key for request_id in replies)

    @property
    def finished(self) -> bool:
        """Whether its input has been ended because its work was done."""
        return END in self._sent

    def read(self, line: bytes) -> Sequence[Draft]:
        with self._lock:
            heard = self._conversation.read(line)
            self._enqueue(heard.sends)
            return heard.drafts

    def reply(self, request: Request, answers: Sequence[str]) -> bool:
        """Answer a request; returns whether the answer has gone out. Blocking, brief."""
        with self._lock:
            self._enqueue(self._conversation.reply(request, answers))
            self.flush()
            return reply_id(request.id) in self._sent

    def say(self, message_id: str, text: str, *, interrupt: bool) -> bool:
        """Give the agent a person's words; returns whether they have gone out. Blocking, brief."""
        with self._lock:
            if self.finished:
                return False
            sends = list(self._conversation.interrupt(message_id)) if interrupt else []
            said = self._conversation.say(message_id, text)
            self._texts.update((send.id, text) for send in said)
            self._enqueue([*sends, *said])
            self.flush()
            return bool(said) and all(send.id in self._sent for send in said)

    def flush(self) -> bool:
        """Send what waits, in order, as far as the agent reads; returns whether something was sent.

        Blocking, brief.
        """
        with self._lock:
            before = len(self._sent)
            if self._cut_off:
                return False
            try:
                while self._queue and self._write(next(iter(self._queue.values()))):
                    pass
                self._end_when_done()
            except (AgentNotReading, CannotControl) as error:
                log.debug("run %s takes no input now: %s", self._run_dir.id, error)
            return len(self._sent) > before

    def _write(self, send: Send) -> bool:
        """Send a message, or more of the one that was begun; returns whether all of it has gone out."""

        def about_to(whole: bool) -> None:
            if not whole:
                self._keep(PART + send.id)
            elif not send.repeatable:
                self._keep(send.id)

        goes_on = bool(self._rest)
        data = self._rest or memoryview(send.data)
        taken = offer(self._run_dir, data, about_to, goes_on=goes_on)
        if taken:
            self._sent_at = time.monotonic()
            self._rest = data[taken:]
        if taken < len(data):
            return False
        self._keep(send.id)
        del self._queue[send.id]
        return True

    def _keep(self, send_id: str) -> None:
        if send_id not in self._sent:
            self._record(send_id, self._texts.pop(send_id, ""))
            self._sent.add(send_id)

    def _end_when_done(self) -> None:
        if self._queue or self.finished:
            return
        if self._conversation.done([sent for sent in self._sent if sent.startswith(say_id(""))]):
            end_input(self._run_dir)
            self._record(END, "")
            self._sent.add(END)

    def _enqueue(self, sends: Sequence[Send]) -> None:
        for send in sends:
            if send.id not in self._sent:
                self._queue.setdefault(send.id, send)


def _kept(run_dir: RunDir) -> tuple[str, dict[str, object]]:
    """The run's prompt, and what its conversation was begun with. An agent may have ruined both, once it had
    read them; its run goes on as far as it can then."""
    try:
        return run_dir.prompt(), run_dir.conversation()
    except BadRunFile as error:
        log.warning("run %s: %s", run_dir.id, error)
        return "", {}
