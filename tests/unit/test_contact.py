"""What the scheduler does when its server goes away and comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from backend.clock import ManualClock, from_ms
from backend.errors import StoreBusy
from backend.sync import LOCAL, SyncMode, SyncState
from scheduler.contact import PATIENCE, Contact

CLOCK = ManualClock(1_767_267_000_000)


@dataclass
class Standing:
    """A backend that says how it stands, and counts what is done when the server is back."""

    state: SyncState = LOCAL
    returns: int = 0
    broken: bool = False

    async def sync_state(self) -> SyncState:
        return self.state

    async def on_return(self) -> None:
        self.returns += 1
        if self.broken:
            raise StoreBusy("it went away again", "wait")

    def now(self, mode: SyncMode) -> None:
        self.state = replace(self.state, mode=mode)

    def contact(self) -> Contact:
        return Contact(self, CLOCK, self.on_return)  # type: ignore[arg-type]


async def test_over_a_store_of_its_own_there_is_always_contact() -> None:
    standing = Standing()
    contact = standing.contact()
    await contact.begin()
    await contact.keep()
    assert (contact.away, standing.returns) == (False, 0)


async def test_what_is_due_is_done_once_at_each_return() -> None:
    standing = Standing()
    contact = standing.contact()
    await contact.begin()
    for mode, away, returns in (
        (SyncMode.ONLINE, False, 0), (SyncMode.OFFLINE, True, 0), (SyncMode.OFFLINE, True, 0),
        (SyncMode.ONLINE, False, 1), (SyncMode.ONLINE, False, 1), (SyncMode.OFFLINE, True, 1),
        (SyncMode.ONLINE, False, 2),
    ):  # fmt: skip
        standing.now(mode)
        await contact.keep()
        assert (contact.away, standing.returns) == (away, returns)


async def test_a_scheduler_that_begins_without_its_server_has_the_return_before_it() -> None:
    standing = Standing()
    standing.now(SyncMode.OFFLINE)
    contact = standing.contact()
    await contact.begin()
    standing.now(SyncMode.ONLINE)
    await contact.keep()
    assert standing.returns == 1


async def test_what_fails_at_the_return_is_tried_again_and_nothing_else_is_done_before() -> None:
    standing = Standing(broken=True)
    standing.now(SyncMode.OFFLINE)
    contact = standing.contact()
    await contact.begin()
    standing.now(SyncMode.ONLINE)
    with pytest.raises(StoreBusy):
        await contact.keep()
    assert contact.away
    standing.broken = False
    await contact.keep()
    assert (contact.away, standing.returns) == (False, 2)


async def test_its_return_is_waited_for_from_when_it_went() -> None:
    standing = Standing()
    contact = standing.contact()
    await contact.begin()
    assert contact.due is None
    standing.now(SyncMode.OFFLINE)
    await contact.keep()
    assert contact.due == from_ms(CLOCK.now_ms()) + PATIENCE
    went = from_ms(CLOCK.now_ms() - 3_600_000)
    standing.state = replace(standing.state, since=went)
    await contact.keep()
    assert contact.due == went + PATIENCE
