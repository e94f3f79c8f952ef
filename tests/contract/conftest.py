"""The contract of `Backend`: every implementation is a factory here, and every test runs over each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import postgres
import pytest

from backend.clock import ManualClock
from backend.interface import Action, Backend, Transition
from backend.lifecycle import Limits
from backend.local import LocalBackend
from backend.model import (
    SYSTEM,
    Actor,
    Claim,
    ClaimRequest,
    HoldRequest,
    NewTask,
    Outcome,
    Queue,
    RunEnd,
    SenderType,
    Task,
)
from backend.offline.backend import OfflineBackend
from backend.remote import RemoteBackend
from backend.server.serve import SocketServer

Factory = Callable[[Path, ManualClock, Limits], AbstractAsyncContextManager[Backend]]


@asynccontextmanager
async def local(folder: Path, clock: ManualClock, limits: Limits) -> AsyncIterator[Backend]:
    backend = await LocalBackend.open(folder / "octopoid.db", clock, limits)
    try:
        yield backend
    finally:
        await backend.close()


@asynccontextmanager
async def local_postgresql(folder: Path, clock: ManualClock, limits: Limits) -> AsyncIterator[Backend]:
    with postgres.server().used() as url:
        backend = await LocalBackend.connect(url, clock, limits)
        try:
            yield backend
        finally:
            await backend.close()


@asynccontextmanager
async def served(backend: Backend, folder: Path) -> AsyncIterator[Backend]:
    server = SocketServer(backend, folder / "o.sock")
    await server.start()
    assert server.address is not None
    far = RemoteBackend(socket_path=server.address)
    try:
        yield far
    finally:
        await far.close()
        await server.stop()


@asynccontextmanager
async def remote_over_socket(folder: Path, clock: ManualClock, limits: Limits) -> AsyncIterator[Backend]:
    async with local(folder, clock, limits) as backend, served(backend, folder) as far:
        yield far


@asynccontextmanager
async def remote_over_postgresql(folder: Path, clock: ManualClock, limits: Limits) -> AsyncIterator[Backend]:
    async with local_postgresql(folder, clock, limits) as backend, served(backend, folder) as far:
        yield far


@asynccontextmanager
async def offline_over_remote(folder: Path, clock: ManualClock, limits: Limits) -> AsyncIterator[Backend]:
    async with local(folder, clock, limits) as backend, served(backend, folder) as far:
        assert isinstance(far, RemoteBackend)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("backend.offline.sync.BEGIN_S", 60.0)  # a busy machine's server may be slow
            cached = await OfflineBackend.open(
                far, folder / "cache.db", server="here", clock=clock, limits=limits
            )
        try:
            yield cached
        finally:
            await cached.close()


FACTORIES: dict[str, Factory] = {
    "local": local,
    "local postgresql": local_postgresql,
    "remote over a unix socket": remote_over_socket,
    "remote over postgresql": remote_over_postgresql,
    "offline over remote": offline_over_remote,
}
ANA = Actor(SenderType.HUMAN, "ana")
SUBMITTED = RunEnd(Outcome.SUBMITTED, "done", head_sha="work", exit_code=0, commits_count=1, summary="did it")


@dataclass(slots=True)
class Acts:
    """What a person and a scheduler do, in one line each."""

    backend: Backend
    orchestrator_id: str
    made: int = field(default=0)

    async def create(self, task_id: str = "t", **changes: Any) -> Task:
        new = {
            "title": task_id.upper(),
            "role": "implement",
            "base_branch": "main",
            "base_sha": "base",
        } | changes
        return await self.backend.create_task(NewTask(id=task_id, created_by="ana", **new), actor=ANA)

    def asking(self, **changes: Any) -> ClaimRequest:
        self.made += 1
        wish: dict[str, Any] = {
            "orchestrator_id": self.orchestrator_id,
            "agent_name": "impl-1",
            "adapter": "demo",
            "run_id": f"run-{self.made}",
            "lease_seconds": 300,
        }
        return ClaimRequest(**(wish | changes))

    async def claim(self, **changes: Any) -> Claim:
        claim = await self.backend.claim(self.asking(**changes))
        assert claim is not None
        return claim

    async def hold(self, task_id: str = "t", role: str = "review", **changes: Any) -> Claim:
        self.made += 1
        wish = HoldRequest(task_id, role, self.orchestrator_id, "rev-1", "demo", f"run-{self.made}", 300)
        return await self.backend.claim_in_place(wish)

    async def do(self, task_id: str, action: Action, **changes: Any) -> Task:
        return await self.backend.transition(
            Transition(task_id, action, changes.pop("actor", ANA), **changes)
        )

    async def submit(self, claim: Claim, **changes: Any) -> Task:
        wish = {"fence": claim.task.fence, "run_id": claim.run.id, "head_sha": "work", "run_end": SUBMITTED}
        return await self.do(claim.task.id, Action.SUBMIT, **({"actor": SYSTEM} | wish | changes))

    async def provisional(self, task_id: str = "t", **changes: Any) -> Task:
        await self.create(task_id, **changes)
        return await self.submit(await self.claim(task_id=task_id))

    async def done(self, task_id: str = "t") -> Task:
        await self.do(task_id, Action.APPROVE)
        return await self.do(task_id, Action.ACCEPT, merged_sha="merge")

    async def kinds(self, entity_id: str) -> list[str]:
        return [event.kind for event in await self.backend.events(entity_id=entity_id)]

    async def queue(self, task_id: str) -> Queue:
        return (await self.backend.get_task(task_id)).queue


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture(params=sorted(FACTORIES))
async def backend(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock, limits: Limits
) -> AsyncIterator[Backend]:
    async with FACTORIES[request.param](tmp_path, clock, limits) as made:
        yield made


@pytest.fixture
async def acts(backend: Backend) -> Acts:
    machine = await backend.register("home", "laptop", pid=4711)
    return Acts(backend, machine.id)
