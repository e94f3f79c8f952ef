"""Attending to live runs: what they say, what they ask, whether they may go on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from backend.clean import clean
from backend.clock import Clock, from_ms
from backend.errors import BadInput, NotFound, OctopoidError, Refused, StoreBroken, StoreBusy
from backend.interface import Backend
from backend.model import (
    Actor,
    Event,
    Message,
    Queue,
    Run,
    RunPatch,
    RunStatus,
    SenderType,
)
from scheduler.admission.world import slots_of
from scheduler.dialogue import Dialogue
from scheduler.fleet import Fleet
from scheduler.follow import Following, Observed, request_key
from scheduler.outcome import StopCause
from scheduler.pipeline.deliverable import KINDS, read_item
from scheduler.project import Project
from scheduler.purse import Purse, Stop
from scheduler.questions import post_progress, post_request
from scheduler.quota import APART, close_provider, retry_end
from scheduler.reports import REPORTS
from scheduler.runs.adopt import stop
from scheduler.runs.control import CannotControl
from scheduler.runs.outbox import BadOutboxItem, OutboxItem

log = logging.getLogger(__name__)

AT_WORK = (Queue.CLAIMED, Queue.PROVISIONAL, Queue.INCOMING)
DEADLINE = Actor(SenderType.SYSTEM, "deadline")
ACTIVITY_EVERY = timedelta(seconds=2)
"""How often a run's last activity is written to the store while it is busy."""

LOOK_EVERY_S = 0.1
LOOK_SOON_S = 0.02
"""Between two looks at the runs; soon while one of them exchanges messages with us."""

ASLEEP = timedelta(seconds=30)
"""Runs are looked at many times a second; when they were not for so long, the whole machine slept."""

LEAVING_S = 60.0
"""How long an agent may take to end after its input has; then it is stopped, and its work counts."""

LARGEST_COUNT = 2**53
SESSION_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A run that could not be looked at, and whether anything of it still runs."""

    error: Exception
    alive: bool


class Attendant:
    """Looks after the runs of this machine."""

    def __init__(
        self, backend: Backend, project: Project, fleet: Fleet, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._backend = backend
        self._project = project
        self._fleet = fleet
        self._clock = clock
        self._wake = wake
        self._dialogue = Dialogue(backend, self._set_status, wake)
        self._looking = asyncio.Lock()
        self._looked_at: datetime | None = None
        self._purse = Purse(backend, project, clock)
        self.due: datetime | None = None
        """When a default answer is to be used, or a silent run stopped."""

    @property
    def look_every_s(self) -> float:
        """Seconds until the runs should be looked at again."""
        brisk = any(following.talk.brisk for following in self._fleet.following.values())
        return LOOK_SOON_S if brisk else LOOK_EVERY_S

    async def look(self) -> None:
        """Read what every live run has produced since the last look; one look at a time."""
        async with self._looking:
            self._notice_sleep()
            live = [following for following in self._fleet.following.values() if not following.ended]
            if not live:
                return
            seen = await asyncio.to_thread(lambda: [(following, _look(following)) for following in live])
            for following, observed in seen:
                await self._take_in(following, observed)
                if following.stuck is None and following.talk.stuck is not None:
                    following.stuck = following.talk.stuck
                    self._wake()

    def _notice_sleep(self) -> None:
        """While the machine slept its agents did too: that was no silence of theirs."""
        now = from_ms(self._clock.now_ms())
        if self._looked_at is not None and now - self._looked_at > ASLEEP:
            for following in self._fleet.following.values():
                following.last_activity = now
        self._looked_at = now

    async def _take_in(self, following: Following, observed: Observed | Unreadable) -> None:
        """Act on what was seen of one run; an error of one must not hide the others."""
        if isinstance(observed, Unreadable):
            self._trouble(following, observed.error)
            if not observed.alive:
                following.ended = True
                self._wake()
            return
        try:
            for request in observed.requests:
                await self._handle(following, request)
            for key, asked in observed.asked.items():
                await self._dialogue.take(following, key, asked)
            for key in observed.closed:
                await self._dialogue.withdraw(following, key)
            if observed.active is not None or following.unsaid:
                await self._progress(following, observed.active or following.last_activity, observed.news)
            await self._watch_use(following, observed.news)
            following.trouble = None
            if observed.caught_up and not following.caught_up:
                following.caught_up = True
                self._wake()
            if observed.told and following.asked:
                self._wake()  # an answer may have gone out
        except (OctopoidError, OSError) as error:
            self._trouble(following, error)
            if isinstance(error, StoreBusy | StoreBroken):
                return
        if observed.ended:
            following.ended = True
            self._wake()

    async def _handle(self, following: Following, request: OutboxItem | BadOutboxItem) -> None:
        """Deal with one request; one that the store cannot take is refused, one it cannot take now waits."""
        try:
            await self._request(following, request)
        except (StoreBusy, StoreBroken):
            raise
        except Exception as error:
            log.exception("request %s of run %s is refused", request.id, following.run.id)
            text = f"request {request.id} was refused: {clean(str(error))}"
            following.note("log", stream="scheduler", text=text, request_id=request.id)
        following.handled(request)

    def _trouble(self, following: Following, error: Exception) -> None:
        if following.trouble != str(error):
            log.error("run %s cannot be followed: %s", following.run.id, error)
            following.trouble = str(error)

    async def _request(self, following: Following, item: OutboxItem | BadOutboxItem) -> None:
        run = following.run
        if isinstance(item, BadOutboxItem):
            text = f"request {item.id or item.name!r} was refused: {item.reason}"
            following.note("log", stream="scheduler", text=clean(text), request_id=request_key(item))
            return
        if item.kind == "ask":
            message = await post_request(self._backend, run, item, from_ms(self._clock.now_ms()))
            if message.open:
                following.waiting_for.add(message.id)
                await self._set_status(following, RunStatus.WAITING)
            following.note("request.opened", request_id=item.id, question=message.body)
            if message.answer is not None and message.delivered_at is None:
                self._wake()
        elif item.kind in KINDS.values():
            await asyncio.to_thread(self._receive, following, item)
        elif item.kind in REPORTS:
            draft = REPORTS[item.kind](item.payload)
            news = following.tell(draft, item.id).news
            await self._progress(following, from_ms(self._clock.now_ms()), news)
            await self._watch_use(following, news)
        elif item.kind == "progress":
            text = str(item.payload.get("text", ""))
            await post_progress(self._backend, run, text, item.id)
        else:
            text = f"request {item.id} has no known kind"
            following.note("log", stream="scheduler", text=text, request_id=item.id)

    def _receive(self, following: Following, item: OutboxItem) -> None:
        """Tell an agent at once whether its verdict or plan can be used; it counts when the run has ended."""
        roles = self._project.layout.roles
        product = next(product for product, kind in KINDS.items() if kind == item.kind)
        faults: tuple[str, ...] = ()
        try:
            read_item(item, product, None, roles)
        except BadInput as error:
            faults = error.details or (str(error),)
        following.run_dir.write_inbox(item.id, {"id": item.id, "usable": not faults, "faults": list(faults)})
        following.note("log", stream="scheduler", text=f"{item.kind} was received", request_id=item.id)

    async def _progress(self, following: Following, at: datetime, news: dict[str, dict[str, Any]]) -> None:
        """Note activity, and what the agent says of its session and its use, in the store."""
        following.last_activity = at
        news = {**following.unsaid, **news}
        if "session.started" in news and following.run.status is RunStatus.STARTING:
            await self._set_status(following, RunStatus.RUNNING)
        if not news and following.last_activity - following.run.last_activity_at < ACTIVITY_EVERY:
            return
        following.run = await self._backend.update_run(
            following.run.id, run_patch(news, following.last_activity)
        )
        following.unsaid = {kind: data for kind, data in following.unsaid.items() if data is not news[kind]}

    async def _watch_use(self, following: Following, news: dict[str, dict[str, Any]]) -> None:
        """A provider that refuses one agent gets no new one; an agent that waits for it may go on waiting.

        What a run has used more of is looked at by the next cycle, where a budget is set.
        """
        until = following.rate_limited_until if "rate_limit" in news else None
        if until is None and "retry" in news:
            until = retry_end(news["retry"], from_ms(self._clock.now_ms()))
        if until is not None:
            await self.close_provider(following, until)
        if "usage" in news and self._purse.watches:
            self._wake()

    async def close_provider(self, following: Following, until: datetime) -> None:
        """Start no agent of this kind until then."""
        now, adapter = from_ms(self._clock.now_ms()), following.run.adapter
        alike = sum(slot.spec.adapter == adapter for slot in slots_of(self._project.agents))
        last = until + APART * max(alike - 1, 0)
        await close_provider(self._backend, self._project.orchestrator_id, adapter, last, now)

    async def _set_status(self, following: Following, status: RunStatus) -> None:
        if following.run.status is not status:
            following.run = await self._backend.update_run(following.run.id, RunPatch(status=status))
            self._wake()

    def hear(self, events: Iterable[Event]) -> None:
        """Notice what people have written to tasks whose agents listen while they work."""
        self._dialogue.hear(events, self._fleet.following.values())

    async def deliver(self) -> None:
        """Bring answers to the runs that wait for them, and use defaults whose time has come."""
        self.due = None
        await self._apply_defaults()
        runs = {run_id: one for run_id, one in self._fleet.following.items() if not one.ended}
        brought: set[str] = set()
        for message in await self._backend.undelivered(list(runs)):
            assert message.run_id is not None
            following = runs[message.run_id]
            if message.id in brought:
                continue
            try:
                arrived = await self._dialogue.bring(following, message)
            except (OctopoidError, OSError) as error:
                self._trouble(following, error)
                continue
            for message_id in arrived:
                await self._backend.mark_delivered(message_id)
                following.waiting_for.discard(message_id)
                brought.add(message_id)
            if arrived:
                following.last_activity = from_ms(self._clock.now_ms())
                await self._dialogue.goes_on(following)
        await self._dialogue.pass_on(runs)

    async def _apply_defaults(self) -> None:
        now = from_ms(self._clock.now_ms())
        for following in list(self._fleet.following.values()):
            for message_id in tuple(following.waiting_for):
                message = await self._backend.get_message(message_id)
                deadline = _default_at(message)
                if deadline is None:
                    continue
                if deadline > now:
                    self._note_due(deadline)
                    continue
                assert message.default_answer is not None
                with contextlib.suppress(Refused):  # a person was quicker
                    await self._backend.answer(message_id, message.default_answer, actor=DEADLINE)

    def _note_due(self, at: datetime) -> None:
        self.due = min(self.due or at, at)

    async def end_what_must_end(self) -> None:
        """Stop runs whose task was taken away, and runs that have been silent for too long."""
        self._notice_sleep()
        now = from_ms(self._clock.now_ms())
        stops = await self._purse.look([f.run for f in self._fleet.following.values() if not f.ended])
        for following in list(self._fleet.following.values()):
            if following.ended or following.stop_reason is not None:
                continue
            if following.finished_at is not None:
                await self._see_out(following, now)
                continue
            reason = await self._taken_away(following.run)
            if reason is None and not following.waiting:
                reason = self._silent(following, now)
            over = stops.get(following.run.id)
            if reason is not None:
                await self._stop(following, Stop(reason, StopCause.SILENCE))
            elif following.stuck is not None:
                await self._stop(following, Stop(following.stuck, StopCause.INPUT))
            elif over is not None:
                await self._stop(following, over)

    async def _see_out(self, following: Following, now: datetime) -> None:
        """Stop an agent that is done and does not end by itself."""
        assert following.finished_at is not None
        due = following.finished_at + timedelta(seconds=LEAVING_S)
        if due > now:
            self._note_due(due)
            return
        try:
            await asyncio.to_thread(stop, following.run_dir, "kill")
        except (OctopoidError, OSError) as error:
            self._trouble(following, error)

    async def _stop(self, following: Following, why: Stop) -> None:
        """Ask the run to end, with force when it cannot be asked; when neither works, it is tried again."""
        log.info("run %s is stopped: %s", following.run.id, why.reason)
        try:
            try:
                await asyncio.to_thread(stop, following.run_dir, "stop")
            except CannotControl:
                await asyncio.to_thread(stop, following.run_dir, "kill")
        except (OctopoidError, OSError) as error:
            self._trouble(following, error)
            return
        following.stop_reason, following.stop_cause = why.reason, why.cause
        following.note("log", stream="scheduler", text=why.reason, stop_cause=why.cause)

    async def _taken_away(self, run: Run) -> str | None:
        """Why the run may not go on. A lease that merely ran out is no reason: nobody else has the task."""
        try:
            task = await self._backend.get_task(run.task_id)
        except NotFound:
            return "its task is gone"
        why = f": {task.reason}" if task.reason else ""
        if task.queue not in AT_WORK:
            return f"the task is {task.queue} now{why}"
        if task.fence != run.fence:
            return f"the task was taken away{why}"
        return None

    def _silent(self, following: Following, now: datetime) -> str | None:
        slot = next((s for s in slots_of(self._project.agents) if s.name == following.run.agent_name), None)
        if slot is None:
            return None
        limit = slot.spec.idle_timeout
        due = following.last_activity + timedelta(seconds=limit)
        if due > now:
            self._note_due(due)
            return None
        silence = int((now - following.last_activity).total_seconds())
        return f"it was silent for {silence} s (idle_timeout is {limit} s)"


def _look(following: Following) -> Observed | Unreadable:
    """One run's look, with its error as a value: one unreadable run must not hide the others."""
    try:
        return following.look()
    except Exception as error:
        return Unreadable(error, following.alive())


def _default_at(message: Message) -> datetime | None:
    """When the default answers the question, if nobody else does."""
    return message.deadline if message.open and message.default_answer is not None else None


def run_patch(news: dict[str, dict[str, Any]], at: datetime) -> RunPatch:
    """What events say of a run, for the store; `usage` events hold totals of the session."""
    usage = news.get("usage", {})
    session = news.get("session.started", {}).get("session_ref")

    def whole(name: str) -> int | None:
        value = usage.get(name)
        return int(value) if isinstance(value, int | float) and 0 <= value <= LARGEST_COUNT else None

    cost = usage.get("cost_usd")
    return RunPatch(
        session_id=session[:SESSION_LIMIT] if isinstance(session, str) else None,
        turns=whole("turns"),
        tokens_input=whole("input"),
        tokens_output=whole("output"),
        tokens_cache_read=whole("cache_read"),
        tokens_cache_write=whole("cache_write"),
        cost_usd=float(cost) if isinstance(cost, int | float) and 0 <= cost <= LARGEST_COUNT else None,
        last_activity_at=at,
    )
