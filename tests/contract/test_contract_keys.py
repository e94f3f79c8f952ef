"""Contract: keys to the API, in either database, here and through whoever owns it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import postgres
import pytest

from backend.clock import ManualClock, from_ms
from backend.errors import BadInput, NotFound
from backend.keys import KeyKeeper, KeyScope, NewKey
from backend.local import LocalBackend
from backend.model import Actor, SenderType
from backend.rest.connection import Connection
from backend.server.database import far_keeper
from backend.server.serve import SocketServer

ANA = Actor(SenderType.HUMAN, "ana")


@dataclass(slots=True)
class Kept:
    """Who keeps the keys, and the backend that tells one from what only looks like one."""

    keeper: KeyKeeper
    backend: LocalBackend


@pytest.fixture(params=["local", "local postgresql", "served", "served postgresql"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Kept]:
    async with AsyncExitStack() as stack:
        if "postgresql" in request.param:
            url = stack.enter_context(postgres.server().used())
            backend = await LocalBackend.connect(url, clock)
        else:
            backend = await LocalBackend.open(tmp_path / "octopoid.db", clock)
        stack.push_async_callback(backend.close)
        if "served" not in request.param:
            yield Kept(backend, backend)
            return
        server = SocketServer(backend, tmp_path / "o.sock")
        await server.start()
        async with far_keeper(Connection("http://octopoid", server.address)) as keeper:
            yield Kept(keeper, backend)
        await server.stop()


async def test_a_key_opens_what_it_is_for_and_is_listed_without_its_secret(kept: Kept) -> None:
    for scope in KeyScope:
        made = await kept.keeper.create_key(NewKey(f"for {scope}", scope, "c-m"), actor=ANA)
        known = await kept.backend.verify_key(made.token)
        assert known is not None
        assert (known.id, known.scope, known.orchestrator_id) == (made.key.id, scope, "c-m")
        secret = made.token.rpartition("_")[2]
        assert secret not in repr(await kept.keeper.list_keys())
        assert secret not in repr(await kept.backend.events())
    assert [key.label for key in await kept.keeper.list_keys()] == [f"for {scope}" for scope in KeyScope]


async def test_a_revoked_key_opens_nothing_ever_again(kept: Kept, clock: ManualClock) -> None:
    made = await kept.keeper.create_key(NewKey("vm", KeyScope.WORK), actor=ANA)
    first = await kept.keeper.revoke_key(made.key.id, actor=ANA)
    clock.advance(60)
    again = await kept.keeper.revoke_key(made.key.id, actor=ANA)
    assert first.revoked_at == again.revoked_at is not None
    assert await kept.backend.verify_key(made.token) is None
    kinds = [event.kind for event in await kept.backend.events(entity_id=made.key.id)]
    assert kinds == ["create", "revoke"]
    with pytest.raises(NotFound, match="nothing"):
        await kept.keeper.revoke_key("nothing", actor=ANA)


async def test_a_key_ends_at_its_time_by_the_stores_clock(kept: Kept, clock: ManualClock) -> None:
    at = from_ms(clock.now_ms()) + timedelta(minutes=5)
    made = await kept.keeper.create_key(NewKey("guest", KeyScope.READ, expires_at=at), actor=ANA)
    assert made.key.expires_at == at
    clock.advance(299)
    assert await kept.backend.verify_key(made.token) is not None
    clock.advance(1)
    assert await kept.backend.verify_key(made.token) is None
    with pytest.raises(BadInput, match="over already"):
        await kept.keeper.create_key(NewKey("late", KeyScope.READ, expires_at=at), actor=ANA)


@pytest.mark.parametrize(
    "new",
    [NewKey("", KeyScope.READ), NewKey("x" * 101, KeyScope.READ), NewKey("a\nb", KeyScope.READ),
     NewKey("x", KeyScope.READ, "../x")],
)  # fmt: skip
async def test_a_key_that_cannot_be_is_refused_and_leaves_nothing(kept: Kept, new: NewKey) -> None:
    with pytest.raises(BadInput):
        await kept.keeper.create_key(new, actor=ANA)
    assert await kept.keeper.list_keys() == []
    assert await kept.backend.last_seq() == 0


async def test_a_use_is_written_down_once_a_minute(kept: Kept, clock: ManualClock) -> None:
    made = await kept.keeper.create_key(NewKey("vm", KeyScope.WORK), actor=ANA)
    used = []
    for _ in range(4):
        await kept.backend.verify_key(made.token)
        (key,) = await kept.keeper.list_keys()
        used.append(key.last_used_at)
        clock.advance(31)
    assert used[0] == used[1] is not None
    assert used[1] != used[2] == used[3]


async def test_many_uses_and_a_revocation_at_once_end_revoked(kept: Kept) -> None:
    made = await kept.keeper.create_key(NewKey("vm", KeyScope.WORK), actor=ANA)
    uses = [kept.backend.verify_key(made.token) for _ in range(20)]
    await asyncio.gather(*uses[:10], kept.keeper.revoke_key(made.key.id, actor=ANA), *uses[10:])
    assert await kept.backend.verify_key(made.token) is None
    (key,) = await kept.keeper.list_keys()
    assert key.revoked_at is not None


@pytest.mark.parametrize(
    "wrong", ["", "oct", "oct__", "oct_x_y", "OCT_{id}_{secret}", "oct_{id}_{id}", "é" * 9]
)
async def test_what_only_looks_like_a_key_opens_nothing(kept: Kept, wrong: str) -> None:
    made = await kept.keeper.create_key(NewKey("vm", KeyScope.ADMIN), actor=ANA)
    _, key_id, secret = made.token.split("_")
    assert await kept.backend.verify_key(wrong.format(id=key_id, secret=secret)) is None
