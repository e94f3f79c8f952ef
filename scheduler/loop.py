"""The scheduler: wakes on events, and in each cycle settles what ended and starts what can start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from backend.clock import Clock, SystemClock, from_ms
from backend.errors import OctopoidError, Refused
from backend.interface import Backend
from backend.model import Queue, Renewal, TaskFilter
from backend.owner import OwnerLock
from scheduler.attend import Attendant
from scheduler.commits import Commits
from scheduler.contact import Contact
from scheduler.dispatch import Dispatcher
from scheduler.finish import Finisher
from scheduler.fleet import Background, Fleet, close_intake
from scheduler.follow import Following
from scheduler.git.hub import Hub
from scheduler.git.workspace import sweep
from scheduler.jobs import JobHealth, Jobs
from scheduler.pipeline.accept import Acceptor, approve_by_rule, ready_to_merge
from scheduler.pipeline.checks import Checks
from scheduler.pipeline.deliver import Deliverer
from scheduler.presence import take_lock
from scheduler.project import Project, install_tool
from scheduler.recover import Recovery
from scheduler.start import Starter
from scheduler.surroundings import Surroundings
from scheduler.tidy import Tidier

log = logging.getLogger(__name__)

SAFETY_TICK_S = 60.0
"""A cycle happens at least so often; everything it does is also woken by events."""

DELIVER_EVERY_S = 60.0
TIDY_EVERY_S = 600.0
CONFIGURATION_EVERY_S = 2.0
LEAVE_S = 2.0
WAKING = frozenset({"task", "message", "scheduler", "alert", "sync"})
"""Of what an event is, for the scheduler to look at once."""
REPEAT_AFTER_S = 1.0
REPEAT_AFTER_AT_MOST_S = 30.0
"""A helper that fails again and again is tried less and less often."""

AGAIN_AFTER = timedelta(seconds=15)
AGAIN_AFTER_AT_MOST = timedelta(minutes=10)
"""Wait before something that failed for want of git or disk is tried again; it doubles each time."""


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Scheduler:
    """Works the queue of one project on this machine.

    There is one per project at a time: whoever owns the store runs it. Agents outlive it; the next one
    adopts them.
    """

    def __init__(self, backend: Backend, project: Project, *, clock: Clock | None = None) -> None:
        self._backend = backend
        self._project = project
        self._clock = clock or SystemClock()
        self._fleet = self.fleet = Fleet()
        self._jobs = Jobs(self._clock)
        self._woken = asyncio.Event()
        self._live = asyncio.Event()
        self._stopping = False
        self._background = Background(self._woken.set)
        self._helpers: list[asyncio.Task[None]] = []
        self._again: dict[str, datetime] = {}
        self._failures: Counter[str] = Counter()
        self._lock: OwnerLock | None = None

    async def start(self) -> None:
        """Register this machine, compare the store with reality, and adopt what lives.

        Raises:
            AlreadyScheduling: another process runs the scheduler.
            GitError: the repository cannot be used.
        """
        self._lock = await take_lock(self._project, self._clock)
        try:
            await self._start()
        except BaseException:
            self._lock.release()
            raise

    async def _start(self) -> None:
        project, backend, clock = self._project, self._backend, self._clock
        hub = await asyncio.to_thread(Hub.open, project.layout.root, project.repo)
        bin_dir = project.layout.bin
        await asyncio.to_thread(install_tool, bin_dir)
        checks = Checks(backend, project, hub, clock)
        self._attendant = Attendant(backend, project, self._fleet, clock, self._woken.set)
        self._finisher = Finisher(backend, project, hub, checks)
        self._acceptor = Acceptor(backend, project, hub, checks)
        self._surroundings = Surroundings(backend, project, self._fleet, hub, clock)
        starter = Starter(backend, project, self._fleet, hub, clock, bin_dir, self._surroundings)
        self._commits = Commits(hub, clock)
        self._dispatcher = Dispatcher(
            backend, project, self._fleet, starter, self._background, clock, self._commits
        )
        self._tidier = Tidier(backend, project, hub, clock)
        self._deliverer = Deliverer(project, hub)
        await backend.register(
            project.cluster, project.machine_id, pid=os.getpid(), instance=project.instance
        )
        await asyncio.to_thread(sweep, hub, project.layout.worktrees)
        self._contact = Contact(backend, clock, self._server_is_back)
        await self._contact.begin()
        self._recovery = Recovery(backend, project, self._fleet, clock, self._dispatcher.is_starting)
        await self._recovery.recover(server_away=self._contact.away)
        self._note_live()
        self._seq = await backend.last_seq()
        self._helpers = [
            self._helper("watch", lambda: REPEAT_AFTER_S, self._watch),
            self._helper("follow", lambda: self._attendant.look_every_s, self._follow),
            self._helper("heartbeat", lambda: project.config.leases.heartbeat_seconds, self._heartbeat),
            self._helper("configuration", lambda: CONFIGURATION_EVERY_S, self._reload),
            self._helper("deliver", lambda: DELIVER_EVERY_S, self._deliverer.deliver),
            self._helper("tidy", lambda: TIDY_EVERY_S, self._tidier.tidy),
        ]

    async def run(self) -> None:
        """Work until `stop` is called."""
        while not self._stopping:
            await self._cycle()
            await self._rest()

    async def run_once(self) -> None:
        """Settle what has ended and start what can start now, then return; agents go on."""
        await self._attendant.look()
        await self._cycle()
        await self._background.drain()
        await self._cycle(start=False)
        await self._background.drain()
        await self._jobs.run("deliver", self._deliverer.deliver)

    async def run_until_idle(self) -> str:
        """Work until nothing can go on without a person.

        Returns:
            What it waits for, in one sentence.
        """
        while not self._stopping:
            await self._cycle()
            if self._idle():
                await self._jobs.run("deliver", self._deliverer.deliver)
                return await self._what_is_left()
            await self._rest()
        return "it was stopped"

    async def stop(self) -> None:
        """Stop scheduling. Agents live on, and the next scheduler adopts them."""
        self._stopping = True
        self._woken.set()
        for helper in self._helpers:
            helper.cancel()
        await asyncio.gather(*self._helpers, return_exceptions=True)
        await self._background.cancel()
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._backend.leave(self._project.orchestrator_id)
        except (OctopoidError, TimeoutError) as error:
            # Others see it a little later, by its silence.
            log.warning("that this scheduler ends could not be noted: %s", error)
        finally:
            if self._lock is not None:
                self._lock.release()

    @property
    def jobs(self) -> Mapping[str, JobHealth]:
        """How the recurring jobs fare."""
        return self._jobs.health

    @property
    def live_runs(self) -> int:
        """Agents at work on this machine."""
        return len(self._fleet.following)

    # One cycle

    async def _cycle(self, *, start: bool = True) -> None:
        self._woken.clear()
        self._note_live()
        jobs = self._jobs
        await jobs.run("server", self._contact.keep)
        await jobs.run("answers", self._attendant.deliver)
        await jobs.run("take back", self._attendant.end_what_must_end)
        self._settle()
        await jobs.run("merge", self._merge)
        if start:
            await jobs.run("dispatch", self._dispatcher.dispatch)
        await jobs.run("report", self._dispatcher.report)
        await jobs.run("presence", self._presence)

    def _note_live(self) -> None:
        """Every start and every end of a run is followed by a cycle, which comes by here."""
        if self._fleet.following:
            self._live.set()
        else:
            self._live.clear()

    async def _follow(self) -> None:
        """Look at the live runs; while there are none, sleep."""
        await self._live.wait()
        await self._attendant.look()

    async def _presence(self) -> None:
        now = from_ms(self._clock.now_ms())
        await self._backend.heartbeat(self._project.orchestrator_id, cycle_at=now)

    async def _reload(self) -> None:
        """Pick up a changed configuration; a broken one leaves the last good one in use."""
        before = self._project.loaded
        error = await asyncio.to_thread(self._project.refresh)
        if error is not None:
            log.error("the configuration is not used: %s", error)
        if self._project.loaded is not before:
            log.info("the configuration has changed")
            self._woken.set()

    def _settle(self) -> None:
        for following in list(self._fleet.following.values()):
            key = f"finish {following.run.id}"
            if following.ended and self._may_try(key):
                self._background.start(key, lambda f=following, k=key: self._finish(f, k))  # type: ignore[misc]

    async def _finish(self, following: Following, key: str) -> None:
        until = following.rate_limited_until
        at_work = [*(one.run for one in self._fleet.following.values()), *self._fleet.starting.values()]
        try:
            await self._surroundings.after(", ".join(sorted({run.agent_name for run in at_work})))
            if until is not None:
                # Before its task is given back: no other slot may try the same provider in between.
                await self._attendant.close_provider(following, until)
            await self._finisher.finish(following)
        except Exception as error:
            await self._failed(key, f"run {following.run.id} cannot be settled: {error}")
            return
        self._went_well(key)
        if following.refused is not None:
            self._dispatcher.rest(following.run.agent_name, following.refused)
        del self._fleet.following[following.run.id]

    async def _merge(self) -> None:
        """Approve what a rule approves, and integrate what is approved, one at a time."""
        if "merge" in self._background or not self._may_try("merge") or self._contact.away:
            # What others decided meanwhile is not known while the server is away.
            return
        tasks = await self._backend.list_tasks(TaskFilter(queues=frozenset({Queue.PROVISIONAL})))
        if self._project.config.mode == "remote":
            # The machine that has the work merges it, and no other.
            tasks = await asyncio.to_thread(
                lambda: [task for task in tasks if task.head_sha and self._commits.has(task.head_sha)]
            )
        for task in tasks:
            if await approve_by_rule(self._backend, self._project.config, task):
                return
        ready = [task for task in tasks if ready_to_merge(task)]
        if not ready:
            return
        first = min(ready, key=lambda task: (task.approved_at or task.updated_at, task.id))

        async def accept() -> None:
            try:
                await self._acceptor.accept(first)
            except Refused as refusal:
                # A person moved the task on meanwhile; the merge, if there is one, stays on record in git.
                log.error("task %s was moved on while it was merged: %s", first.id, refusal)
                self._again["merge"] = from_ms(self._clock.now_ms()) + AGAIN_AFTER
            except Exception as error:
                await self._failed("merge", f"task {first.id} cannot be merged: {error}")
            else:
                self._went_well("merge")

        self._background.start("merge", accept)

    async def _failed(self, key: str, problem: str) -> None:
        """The machinery failed: close intake for a while, leave the task blameless, try again later."""
        log.exception("%s", problem)
        self._failures[key] += 1
        wait = AGAIN_AFTER * 2 ** min(self._failures[key] - 1, 10)
        self._again[key] = from_ms(self._clock.now_ms()) + min(wait, AGAIN_AFTER_AT_MOST)
        await close_intake(self._backend, self._clock, problem, self._project.orchestrator_id)

    def _went_well(self, key: str) -> None:
        self._again.pop(key, None)
        self._failures.pop(key, None)

    def _may_try(self, key: str) -> bool:
        return self._again.get(key, _LONG_AGO) <= from_ms(self._clock.now_ms())

    # Between cycles

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), self._until_due())

    def _until_due(self) -> float:
        """Seconds until a closed gate may open or a failed step may be tried again."""
        now = from_ms(self._clock.now_ms())
        wanted = (self._dispatcher.due, self._attendant.due, self._contact.due, *self._again.values())
        dues = [due for due in wanted if due is not None and due > now]
        return min([SAFETY_TICK_S, *((due - now).total_seconds() + 0.01 for due in dues)])

    async def _watch(self) -> None:
        async for batch in self._backend.watch(self._seq):
            self._seq = batch[-1].seq
            self._attendant.hear(batch)
            if any(event.entity in WAKING for event in batch):
                self._woken.set()

    def _helper(
        self, name: str, every_s: Callable[[], float], work: Callable[[], Awaitable[None]]
    ) -> asyncio.Task[None]:
        return asyncio.create_task(self._repeat(name, every_s, work), name=name)

    async def _repeat(
        self, name: str, every_s: Callable[[], float], work: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            await self._jobs.run(name, work)
            failures = self._jobs.health[name].failures
            wait = min(REPEAT_AFTER_S * 2 ** min(failures - 1, 10), REPEAT_AFTER_AT_MOST_S) if failures else 0
            await asyncio.sleep(max(every_s(), wait))

    async def _heartbeat(self) -> None:
        """Renew every lease of a live run in one call, then release what has run out elsewhere."""
        followed = [following.run for following in self._fleet.following.values()]
        runs = [*followed, *self._fleet.starting.values()]
        leases = [Renewal(run.task_id, run.fence) for run in runs]
        await self._backend.renew(self._project.orchestrator_id, leases, self._project.config.leases.seconds)
        await self._backend.expire_leases()
        await self._presence()

    async def _server_is_back(self) -> None:
        """Renew at once what is still ours, and compare what this machine runs with what the server knows."""
        await self._heartbeat()
        await self._recovery.compare()

    # Idleness

    def _idle(self) -> bool:
        at_work = any(not following.rests for following in self._fleet.following.values())
        again = [*self._again.values(), *([self._contact.due] if self._contact.due else [])]
        due_later = (
            self._dispatcher.due is not None
            or self._attendant.due is not None
            or any(due > from_ms(self._clock.now_ms()) for due in again)
        )
        return not (self._background or at_work or self._woken.is_set() or due_later)

    async def _what_is_left(self) -> str:
        questions = len(await self._backend.open_questions())
        counts = await self._backend.count_queues()
        pause = await self._backend.get_pause(machine=self._project.orchestrator_id)
        parts = [
            _counted(questions, "open question"),
            _counted(counts.get(Queue.PROVISIONAL, 0), "task", "to review"),
            _counted(counts.get(Queue.ESCALATED, 0), "task", "escalated"),
            _counted(counts.get(Queue.FAILED, 0), "task", "failed"),
            _counted(counts.get(Queue.INCOMING, 0), "task", "waiting"),
            "intake is paused" if pause.paused else "",
            "the server is away" if self._contact.away else "",
        ]
        said = ", ".join(part for part in parts if part)
        return said or "everything is done"


def _counted(number: int, noun: str, what: str = "") -> str:
    """`2 tasks to review`; nothing for none."""
    return f"{number} {noun}{'s' if number != 1 else ''} {what}".rstrip() if number else ""
