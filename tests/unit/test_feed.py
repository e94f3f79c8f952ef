"""The feed: what an event makes it read again, how it says that it is stale, and that it comes back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from backend.errors import StoreBroken
from backend.model import Pause, Queue
from octopoid_tui.feed import Feed, FeedState, FeedStatus
from octopoid_tui.snapshot import Snapshot

sys.path.insert(0, str(Path(__file__).parents[1] / "screens"))
from fixed_desk import CLOCK, FixedBackend, fleet, question, run, task


class Watcher:
    """Keeps what the feed publishes and reports."""

    def __init__(self) -> None:
        self.pictures: list[Snapshot] = []
        self.states: list[FeedState] = []

    @property
    def last(self) -> Snapshot:
        return self.pictures[-1]


@asynccontextmanager
async def following(backend: FixedBackend, poll_every: float = 60.0) -> AsyncIterator[Watcher]:
    watcher = Watcher()
    feed = Feed(
        backend,  # type: ignore[arg-type]
        publish=watcher.pictures.append,
        report=watcher.states.append,
        clock=CLOCK,
        poll_every=poll_every,
    )
    follower = asyncio.create_task(feed.run())
    try:
        await until(lambda: bool(watcher.pictures) or backend.failure is not None)
        yield watcher
    finally:
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_an_event_makes_only_its_own_task_read_again() -> None:
    backend = fleet().backend
    async with following(backend) as watcher:
        backend.reads.clear()
        await backend.put(replace(backend.tasks["01kc7m2q9x4c1"], queue=Queue.CLAIMED))
        await until(lambda: watcher.last.tasks["01kc7m2q9x4c1"].queue is Queue.CLAIMED)
        assert backend.reads == ["get_task 01kc7m2q9x4c1", "list_runs"]


async def test_many_events_become_at_most_ten_pictures_a_second() -> None:
    backend = fleet().backend
    async with following(backend) as watcher:
        before = len(watcher.pictures)
        started = asyncio.get_running_loop().time()
        for n in range(200):
            await backend.put(task(f"n{n:03}", "new"))
            await asyncio.sleep(0)
        await until(lambda: "n199" in watcher.last.tasks)
        seconds = asyncio.get_running_loop().time() - started
        assert len(watcher.pictures) - before <= 10 * seconds + 2


async def test_a_message_reads_the_questions_and_says_that_conversations_grew() -> None:
    backend = fleet().backend
    async with following(backend) as watcher:
        await backend.post(question("m-9", "01kc7m2q9x4b3", "Which index?"))
        await until(lambda: len(watcher.last.questions) == 3)
        assert watcher.last.messages_seq == backend.seq


async def test_pause_and_agents_are_read_again_on_events_of_other_things() -> None:
    backend = fleet().backend
    async with following(backend) as watcher:
        backend.pause_state = Pause(True, "human:ana")
        await backend.emit("pause", "pause")
        await until(lambda: watcher.last.pause.paused)


async def test_what_changes_without_an_event_is_polled() -> None:
    backend = fleet().backend
    async with following(backend, poll_every=0.02) as watcher:
        backend.runs = [*backend.runs, run("run-9", "01kc7m2q9x4c2", "impl-9")]
        await until(lambda: "run-9" in watcher.last.runs)


async def test_nothing_new_publishes_no_picture() -> None:
    backend = fleet().backend
    async with following(backend, poll_every=0.01) as watcher:
        await until(lambda: backend.reads.count("list_agents") > 5)
        assert len(watcher.pictures) == 1


async def test_a_failure_is_told_with_its_reason_and_the_feed_comes_back() -> None:
    backend = fleet().backend
    async with following(backend) as watcher:
        await backend.fail(StoreBroken("the disk is full", "free some space"))
        await until(lambda: watcher.states[-1].status is FeedStatus.STALE)
        assert "the disk is full" in watcher.states[-1].problem
        assert watcher.states[-1].retry_in > 0
        await backend.fail(None)
        await until(lambda: watcher.states[-1].status is FeedStatus.LIVE)
        await backend.put(task("later", "after the failure"))
        await until(lambda: "later" in watcher.last.tasks)


async def test_a_store_that_is_away_from_the_start_is_tried_again_with_growing_pauses() -> None:
    backend = fleet().backend
    backend.failure = StoreBroken("no such file")
    async with following(backend) as watcher:
        await until(lambda: sum(s.status is FeedStatus.STALE for s in watcher.states) >= 2)
        waits = [s.retry_in for s in watcher.states if s.status is FeedStatus.STALE]
        assert waits[1] > waits[0]
        assert not watcher.pictures
        await backend.fail(None)
        await until(lambda: bool(watcher.pictures))


async def test_an_older_reading_never_replaces_a_newer_one() -> None:
    backend = fleet().backend
    async with following(backend, poll_every=0.02) as watcher:
        key = "01kc7m2q9x4b1"
        await backend.put(replace(backend.tasks[key], title="newer"))
        await until(lambda: watcher.last.tasks[key].title == "newer")
        backend.tasks[key] = replace(backend.tasks[key], title="older", version=1)
        reads = len(backend.reads)
        await until(lambda: backend.reads[reads:].count("list_tasks claimed") > 2)
        assert watcher.last.tasks[key].title == "newer"
