"""Whatever is done on both sides, and whatever happens to the line between them, the two end up the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from partition import Line, line_to

from backend.errors import OctopoidError
from backend.interface import Action, Transition
from backend.local import LocalBackend
from backend.model import (
    Actor,
    Claim,
    ClaimRequest,
    MessageKind,
    MessageType,
    NewMessage,
    NewTask,
    Outcome,
    Priority,
    RunEnd,
    SenderType,
    Task,
    TaskFilter,
    TaskPatch,
)
from backend.offline.backend import OfflineBackend
from backend.remote import RemoteBackend
from backend.server.serve import SocketServer
from backend.sync import Conflict, SyncMode
from backend.wire import encode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
T = TypeVar("T")
TOGETHER_S = 60.0
names = st.sampled_from(["a", "b", "c"])
by_hand = st.sampled_from([Action.HOLD, Action.ENQUEUE, Action.CANCEL, Action.RETRY])
DONE = RunEnd(Outcome.SUBMITTED, "done", head_sha="work", exit_code=0, commits_count=1)


@dataclass(frozen=True, slots=True)
class Made:
    """A change that the machine said it has made; its actor made no other."""

    actor: Actor
    folded: bool
    """It became part of another that waited."""


class Partition(RuleBasedStateMachine):
    """One machine, its server, others who work on that server, and the line between."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.count = 0
        self.made: list[Made] = []
        self.claims: list[Claim] = []
        self.wait(self.open())

    async def open(self) -> None:
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.path = folder / "cache.db"
        self.server = await LocalBackend.open(folder / "server.db")
        self.stack.push_async_callback(self.server.close)
        front = SocketServer(self.server, folder / "s.sock")
        await front.start()
        self.stack.push_async_callback(front.stop)
        self.line: Line = await self.stack.enter_async_context(line_to(front.address, folder / "l.sock"))
        await self.open_here()

    async def open_here(self) -> None:
        remote = RemoteBackend(socket_path=self.line.socket)
        self.here = await OfflineBackend.open(remote, self.path, server="the server")

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def actor(self) -> Actor:
        self.count += 1
        return Actor(SenderType.HUMAN, f"person-{self.count}")

    def do(self, where: Any, actor: Actor, work: Coroutine[Any, Any, object]) -> None:
        """Do something that may be refused; remember what the machine accepted."""
        before = self.wait(self.here.sync_state())
        try:
            self.wait(work)
        except OctopoidError:
            return
        if where is self.here:
            after = self.wait(self.here.sync_state())
            waits = after.mode is SyncMode.OFFLINE and before.mode is SyncMode.OFFLINE
            self.made.append(Made(actor, folded=waits and after.pending == before.pending))

    def side(self, here: bool) -> Any:
        return self.here if here else self.server

    @initialize()
    def start(self) -> None:
        self.wait(self.here.register("home", "laptop", pid=1))
        self.create("a", True)
        self.converge()

    @rule(name=names, here=st.booleans())
    def create(self, name: str, here: bool) -> None:
        actor = self.actor()
        new = NewTask(name, f"{name} of {actor.id}", "implement", "main", "base", actor.id)
        self.do(self.side(here), actor, self.side(here).create_task(new, actor=actor))

    @rule(name=names, here=st.booleans(), title=st.booleans())
    def edit(self, name: str, here: bool, title: bool) -> None:
        actor = self.actor()
        patch = TaskPatch(title=actor.id) if title else TaskPatch(body=actor.id)
        self.do(self.side(here), actor, self.side(here).edit_task(name, patch, actor=actor))

    @rule(name=names, here=st.booleans(), action=by_hand)
    def move(self, name: str, here: bool, action: Action) -> None:
        actor = self.actor()
        wish = Transition(name, action, actor, reason="so")
        self.do(self.side(here), actor, self.side(here).transition(wish))

    @rule(name=names, here=st.booleans(), question=st.booleans())
    def say(self, name: str, here: bool, question: bool) -> None:
        actor = self.actor()
        kind = (
            (MessageType.REQUEST, MessageKind.QUESTION)
            if question
            else (MessageType.STATUS, MessageKind.NOTE)
        )
        new = NewMessage(f"m{self.count}", name, actor, *kind, body="text")
        self.do(self.side(here), actor, self.side(here).post_message(new))

    @rule(here=st.booleans(), which=st.integers(0, 5))
    def answer(self, here: bool, which: int) -> None:
        actor = self.actor()
        if questions := self.wait(self.side(here).open_questions()):
            question = questions[which % len(questions)]
            self.do(self.side(here), actor, self.side(here).answer(question.id, actor.id, actor=actor))

    @rule(name=names)
    def claim(self, name: str) -> None:
        self.count += 1
        wish = ClaimRequest("home-laptop", "impl", "demo", f"r{self.count}", 300, task_id=name)
        try:
            claim = self.wait(self.here.claim(wish))
        except OctopoidError:
            return
        if claim is not None:
            self.claims.append(claim)

    @rule(which=st.integers(0, 5))
    def submit(self, which: int) -> None:
        actor = self.actor()
        if not self.claims:
            return
        claim = self.claims.pop(which % len(self.claims))
        wish = Transition(
            claim.task.id, Action.SUBMIT, actor, fence=claim.task.fence, run_id=claim.run.id,
            head_sha="work", run_end=DONE,
        )  # fmt: skip
        self.do(self.here, actor, self.here.transition(wish))

    @rule()
    def requeue(self) -> None:
        """The server takes a lease away."""
        for task in self.wait(self.server.list_tasks(TaskFilter())):
            if task.run_id is not None:
                wish = Transition(
                    task.id, Action.RELEASE, self.actor(), fence=task.fence, run_id=task.run_id, systemic=True
                )
                self.wait(self.server.transition(wish))
                return

    @rule(priority=st.sampled_from(Priority), name=names)
    def prioritise_there(self, priority: Priority, name: str) -> None:
        actor = self.actor()
        self.do(self.server, actor, self.server.edit_task(name, TaskPatch(priority=priority), actor=actor))

    @rule()
    def cut(self) -> None:
        self.wait(self.line.cut())

    @rule()
    def mend(self) -> None:
        self.wait(self.line.mend())

    @rule(count=st.integers(1, 3))
    def lose(self, count: int) -> None:
        self.line.lose = count

    @rule(double=st.booleans())
    def deliver_twice(self, double: bool) -> None:
        self.line.double = double

    @rule()
    def try_now(self) -> None:
        self.wait(self.here.sync_now())

    @rule()
    def restart(self) -> None:
        self.wait(self.here.close())
        self.wait(self.open_here())

    @rule()
    def converge(self) -> None:
        self.wait(self.line.mend())
        self.line.lose, self.line.double = 0, False
        self.wait(self.be_together())
        self.wait(self.check_same())
        self.wait(self.check_made())

    async def be_together(self) -> None:
        async with asyncio.timeout(TOGETHER_S):
            while True:
                state = await self.here.sync_now()
                if state.mode is SyncMode.ONLINE and not state.pending:
                    # Once more: what the server was told over the line's last moments is read now.
                    await self.here.sync_now()
                    return

    async def check_same(self) -> None:
        ours, theirs = self.here._cache.records, self.server
        tasks = _comparable(await theirs.list_tasks(TaskFilter()))
        assert _comparable(await ours.list_tasks(TaskFilter())) == tasks
        assert await ours.count_queues() == await theirs.count_queues()
        for task in tasks:
            assert await ours.list_runs(task_id=task.id) == await theirs.list_runs(task_id=task.id)
            assert await ours.list_messages(task.id) == await theirs.list_messages(task.id)

    async def check_made(self) -> None:
        """Each change is either the server's, once, or a conflict."""
        events = await self.server.events(limit=5000)
        conflicts = await self.here.list_conflicts()
        for made in self.made:
            told = [event for event in events if event.actor == str(made.actor) and event.entity != "run"]
            parked = [conflict for conflict in conflicts if _names(conflict, made.actor)]
            if not made.folded:
                assert len(told) + len(parked) == 1, (made, told, parked)

    def teardown(self) -> None:
        try:
            self.converge()
        finally:
            self.wait(self.here.close())
            self.wait(self.stack.aclose())
            self.runner.close()


def _comparable(tasks: list[Task]) -> list[Task]:
    """By id; without the end of leases, since a renewal writes no event."""
    return sorted((replace(task, lease_expires_at=None) for task in tasks), key=lambda task: task.id)


def _names(conflict: Conflict, actor: Actor) -> bool:
    text = encode(conflict.mine)
    return f'"{actor}"'.encode() in text or f'"sender_id":"{actor.id}"'.encode() in text


Partition.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestPartition = Partition.TestCase
