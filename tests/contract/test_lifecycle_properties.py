"""Whatever is done, in whatever order, the state stays sound."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack, ExitStack, closing
from pathlib import Path
from typing import Any, TypeVar

import postgres
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backend.clock import ManualClock
from backend.errors import OctopoidError
from backend.interface import Action, Backend, Transition
from backend.lifecycle import TABLE
from backend.local import LocalBackend
from backend.model import (
    SYSTEM,
    Actor,
    Claim,
    ClaimRequest,
    HoldRequest,
    NewTask,
    Outcome,
    Priority,
    Queue,
    Renewal,
    RunEnd,
    SenderType,
    Task,
    TaskFilter,
    TaskPatch,
)
from backend.offline.backend import OfflineBackend
from backend.remote import RemoteBackend
from backend.server.serve import SocketServer
from backend.store.audit import audit
from backend.store.postgres_audit import audit as postgres_audit
from backend.store.postgres_session import connect

pytestmark = pytest.mark.slow
T = TypeVar("T")
ANA = Actor(SenderType.HUMAN, "ana")
NAMES = [f"t{index}" for index in range(4)]
COUNTERS = ("attempt_count", "attempts_forgiven", "rejection_count", "continuation_count", "conflict_count")
names = st.sampled_from(NAMES)
which = st.integers(0, 11)
several = st.lists(names, max_size=2).map(tuple)
BY_HAND = (
    Action.ENQUEUE, Action.HOLD, Action.APPROVE, Action.CONFLICT, Action.ACCEPT, Action.REJECT, Action.FAIL,
    Action.BLOCK, Action.UNBLOCK, Action.ESCALATE, Action.RETRY, Action.CANCEL,
)  # fmt: skip
SOURCES = {rule.event_kind: rule.sources for rule in TABLE.values()}
BY_WORKER = (Action.SUBMIT, Action.CONTINUE, Action.FINISH_IN_PLACE, Action.RELEASE)


class Fleet(RuleBasedStateMachine):
    """People, workers, a clock, and a process that dies, over one store."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.left = ExitStack()
        self.place()
        self.clock = ManualClock()
        self.claims: list[Claim] = []
        self.checked = 0
        self.known = False
        """Nothing has changed since `checked` and `before` were read."""
        self.before: dict[str, Task] = {}
        self.made = 0
        self.backend = self.wait(self.open())

    def place(self) -> None:
        """Make a place for the store; `left` takes it away again."""
        raise NotImplementedError

    def open(self) -> Coroutine[Any, Any, Backend]:
        raise NotImplementedError

    def audit(self) -> list[str]:
        raise NotImplementedError

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def attempt(self, work: Coroutine[Any, Any, object]) -> bool:
        """Do something that may be refused; a refusal changes nothing."""
        known, self.known = self.known, False
        seq = self.checked if known else self.wait(self.backend.last_seq())
        try:
            self.wait(work)
        except OctopoidError:
            assert self.wait(self.backend.last_seq()) == seq
            self.known = known
            return False
        return True

    @initialize()
    def start(self) -> None:
        self.orchestrator = self.wait(self.backend.register("c", "m", pid=None)).id
        for index, name in enumerate(NAMES[:3]):
            blockers = (NAMES[0],) if index == 2 else ()
            self.create(name, blockers, Priority.P2, False)

    def fitting(self, name: str, actions: tuple[Action, ...], which: int) -> Action:
        """One of the actions that the task's state allows, where there is one: most wishes are sensible."""
        task = (self.before if self.known else self.tasks()).get(name)
        fits = [action for action in actions if task is not None and task.queue in TABLE[action].sources]
        return (fits or list(actions))[which % len(fits or actions)]

    @rule(name=names, blockers=several, priority=st.sampled_from(Priority), backlog=st.booleans())
    def create(self, name: str, blockers: tuple[str, ...], priority: Priority, backlog: bool) -> None:
        new = NewTask(
            name,
            name,
            "implement",
            "main",
            "base",
            "ana",
            blocked_by=blockers,
            priority=priority,
            backlog=backlog,
        )
        self.attempt(self.backend.create_task(new, actor=ANA))

    @rule(name=names, blockers=several)
    def rewire(self, name: str, blockers: tuple[str, ...]) -> None:
        self.attempt(self.backend.edit_task(name, TaskPatch(blocked_by=blockers), actor=ANA))

    @rule(named=st.none() | names, seconds=st.sampled_from([60, 300]))
    def claim(self, named: str | None, seconds: int) -> None:
        self.made += 1
        wish = ClaimRequest(
            self.orchestrator, "impl-1", "demo", f"run-{self.made}", seconds, ("implement",), named
        )
        self.keep(self.backend.claim(wish))

    @rule(name=names)
    def hold(self, name: str) -> None:
        self.made += 1
        wish = HoldRequest(name, "review", self.orchestrator, "rev-1", "demo", f"run-{self.made}", 60)
        self.keep(self.backend.claim_in_place(wish))

    def keep(self, work: Coroutine[Any, Any, Claim | None]) -> None:
        self.known = False
        try:
            claim = self.wait(work)
        except OctopoidError:
            return
        if claim is not None:
            assert claim.task.attempts_counted <= 6
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(which=which, deed=which, systemic=st.booleans(), ends=st.booleans())
    def report(self, which: int, deed: int, systemic: bool, ends: bool) -> None:
        """A worker reports, be its lease current, over or lost."""
        claim = self.claims[-1 - which % len(self.claims)]
        action = self.fitting(claim.task.id, BY_WORKER, deed)
        current = self.wait(self.backend.get_task(claim.task.id)).fence == claim.task.fence
        wish = Transition(
            claim.task.id, action, SYSTEM, reason="because", fence=claim.task.fence, run_id=claim.run.id,
            head_sha=f"work-{claim.run.id}", systemic=systemic,
            run_end=RunEnd(Outcome.STOPPED, "over") if ends else None,
        )  # fmt: skip
        assert not self.attempt(self.backend.transition(wish)) or current

    @rule(name=names, deed=which, sensible=st.booleans(), reason=st.sampled_from(["because", None]))
    def act(self, name: str, deed: int, sensible: bool, reason: str | None) -> None:
        action = self.fitting(name, BY_HAND, deed) if sensible else BY_HAND[deed]
        wish = Transition(name, action, ANA, reason=reason, merged_sha="merge")
        self.attempt(self.backend.transition(wish))

    @rule(name=names, to=st.sampled_from(Queue), actor=st.sampled_from([ANA, SYSTEM]))
    def force(self, name: str, to: Queue, actor: Actor) -> None:
        done = self.attempt(
            self.backend.transition(Transition(name, Action.FORCE, actor, reason="must", to=to))
        )
        assert not done or (actor is ANA and to is not Queue.CLAIMED)

    @rule(name=names)
    def finish(self, name: str) -> None:
        """A task goes all the way, from wherever it is."""
        self.claim(name, 300)
        if self.claims and self.claims[-1].task.id == name:
            self.report(0, 0, False, True)
        self.act(name, BY_HAND.index(Action.APPROVE), False, None)
        self.act(name, BY_HAND.index(Action.ACCEPT), False, None)

    @precondition(lambda self: self.claims)
    @rule(which=which)
    def renew(self, which: int) -> None:
        claim = self.claims[-1 - which % len(self.claims)]
        task = self.wait(self.backend.get_task(claim.task.id))
        held = task.fence == claim.task.fence and task.run_id == claim.run.id
        lost = self.wait(self.backend.renew(self.orchestrator, [Renewal(task.id, claim.task.fence)], 60))
        assert lost == ([] if held else [task.id])

    @rule(seconds=st.sampled_from([1, 59, 61, 301]))
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def expire(self) -> None:
        self.known = False
        self.wait(self.backend.expire_leases())

    @rule()
    def restart(self) -> None:
        wanted = self.tasks()
        seq = self.wait(self.backend.last_seq())
        self.wait(self.backend.close())
        self.backend = self.wait(self.open())
        assert self.tasks() == wanted
        assert self.wait(self.backend.last_seq()) == seq

    def tasks(self) -> dict[str, Task]:
        return {task.id: task for task in self.wait(self.backend.list_tasks(TaskFilter()))}

    @invariant()
    def the_state_is_sound(self) -> None:
        seq = self.wait(self.backend.last_seq())
        tasks = self.tasks()
        for task in tasks.values():
            self.check(task, tasks)
        self.known = True
        if seq == self.checked:
            return
        assert self.audit() == []
        for event in self.wait(self.backend.events(after=self.checked, limit=5000)):
            if event.entity == "task" and event.kind not in ("create", "edit", "block"):
                assert event.from_state in SOURCES[event.kind]
        self.checked, self.before = seq, tasks

    def check(self, task: Task, tasks: dict[str, Task]) -> None:
        claim = (task.claimed_by, task.claimed_at, task.orchestrator_id, task.run_id, task.lease_expires_at)
        assert len({value is None for value in claim}) == 1
        assert task.run_id is not None or task.queue is not Queue.CLAIMED
        assert task.run_id is None or task.queue in (Queue.CLAIMED, Queue.PROVISIONAL)
        if task.queue in (Queue.INCOMING, Queue.BLOCKED):
            waits = any(tasks[name].queue is not Queue.DONE for name in task.blocked_by)
            assert waits == (task.queue is Queue.BLOCKED)
        assert task.reason or task.queue not in (Queue.FAILED, Queue.ESCALATED)
        assert 0 <= task.attempts_forgiven <= task.attempt_count
        old = self.before.get(task.id)
        if old is not None:
            assert task.fence >= old.fence
            same = all(getattr(old, name) == getattr(task, name) for name in (*COUNTERS, "queue", "fence"))
            assert same or task.version > old.version

    def teardown(self) -> None:
        self.wait(self.backend.close())
        self.runner.close()
        self.left.close()


class SqliteFleet(Fleet):
    def place(self) -> None:
        folder = self.left.enter_context(tempfile.TemporaryDirectory())
        self.path = Path(folder) / "octopoid.db"

    def open(self) -> Coroutine[Any, Any, Backend]:
        return LocalBackend.open(self.path, self.clock)

    def audit(self) -> list[str]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return audit(connection)


class PostgresFleet(Fleet):
    def place(self) -> None:
        self.url = self.left.enter_context(postgres.server().used())
        self.auditing = self.left.enter_context(connect(self.url))

    def open(self) -> Coroutine[Any, Any, Backend]:
        return LocalBackend.connect(self.url, self.clock)

    def audit(self) -> list[str]:
        return postgres_audit(self.auditing)


class OverServer(OfflineBackend):
    """A machine's backend together with its server."""

    server: AsyncExitStack

    async def close(self) -> None:
        await super().close()
        await self.server.aclose()


class OfflineFleet(SqliteFleet):
    def open(self) -> Coroutine[Any, Any, Backend]:
        return self.open_both()

    async def open_both(self) -> Backend:
        async with AsyncExitStack() as stack:
            server = await LocalBackend.open(self.path, self.clock)
            stack.push_async_callback(server.close)
            front = SocketServer(server, self.path.with_name("s.sock"))
            await front.start()
            stack.push_async_callback(front.stop)
            far = RemoteBackend(socket_path=front.address)
            cache = self.path.with_name("cache.db")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("backend.offline.sync.BEGIN_S", 60.0)  # a busy machine's server may be slow
                both = await OverServer.open(far, cache, server="here", clock=self.clock)
            both.server = stack.pop_all()
        return both


FULL = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SqliteFleet.TestCase.settings = FULL
PostgresFleet.TestCase.settings = settings(FULL, max_examples=60)
OfflineFleet.TestCase.settings = settings(FULL, max_examples=10, stateful_step_count=40)
TestOfflineFleet = OfflineFleet.TestCase
TestSqliteFleet = SqliteFleet.TestCase
TestPostgresFleet = pytest.mark.timeout(600)(PostgresFleet.TestCase)
