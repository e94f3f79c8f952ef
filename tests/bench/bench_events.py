"""How long a change takes to reach another machine's screen, as multiples of a bare round trip.

    python tests/bench/bench_events.py [--smoke]

A real `octopoid serve`; a task is edited over HTTP, and waited for as an event of `RemoteBackend.watch`, and
as a new picture of the screen's feed, which reads what changed before it shows it. All times begin when the
edit is sent. The bare round trip is a `POST` to a Starlette handler without a database, by `http.client`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from aims import arguments, p50_p99, report
from bench_http import Client, ours, plain
from by_hand import seed

from backend.model import SYSTEM, TaskPatch
from backend.remote import RemoteBackend
from octopoid_tui.feed import Feed
from octopoid_tui.snapshot import Snapshot

TASKS = 200
PATIENCE_S = 30.0


class Seen:
    """When each title was seen; somebody may wait for one."""

    def __init__(self) -> None:
        self._at: dict[str, asyncio.Future[float]] = {}

    def title(self, title: str) -> asyncio.Future[float]:
        return self._at.setdefault(title, asyncio.get_running_loop().create_future())

    def note(self, title: str) -> None:
        found = self.title(title)
        if not found.done():
            found.set_result(perf_counter())


async def listen(backend: RemoteBackend, seen: asyncio.Queue[float]) -> None:
    after = await backend.last_seq()
    async for batch in backend.watch(after):
        for _ in batch:
            seen.put_nowait(perf_counter())


async def latencies(url: str, number: int) -> dict[str, list[float]]:
    """Seconds from an edit until its answer, its event and its picture."""
    changing, following, showing = (RemoteBackend(url) for _ in range(3))
    events: asyncio.Queue[float] = asyncio.Queue()
    pictures = Seen()

    def publish(snapshot: Snapshot) -> None:
        if "t0" in snapshot.tasks:
            pictures.note(snapshot.tasks["t0"].title)

    found: dict[str, list[float]] = {"answer": [], "event": [], "picture": []}
    feed = Feed(showing, publish=publish, report=lambda state: None)
    async with asyncio.TaskGroup() as group:
        helpers = [group.create_task(listen(following, events)), group.create_task(feed.run())]
        async with asyncio.timeout(PATIENCE_S):
            await pictures.title("Task 0")
            await settled(changing, events)
        for index in range(number):
            title = f"Edit {index}"
            begun = perf_counter()
            async with asyncio.timeout(PATIENCE_S):
                await changing.edit_task("t0", TaskPatch(title=title), actor=SYSTEM)
                found["answer"].append(perf_counter() - begun)
                found["event"].append(await events.get() - begun)
                found["picture"].append(await pictures.title(title) - begun)
            # The screen is painted at most so often; a change just after a picture waits for the next.
            await asyncio.sleep(0.1)
        for helper in helpers:
            helper.cancel()
    for backend in (changing, following, showing):
        await backend.close()
    return found


async def settled(backend: RemoteBackend, events: asyncio.Queue[float]) -> None:
    """Edit until the listener is there to hear of it."""
    for index in range(100):
        await backend.edit_task("t0", TaskPatch(title=f"Warm {index}"), actor=SYSTEM)
        try:
            await asyncio.wait_for(events.get(), 0.2)
        except TimeoutError:
            continue
        await asyncio.sleep(0.5)
        while not events.empty():
            events.get_nowait()
        return
    raise RuntimeError("no event came")


def main() -> None:
    number = 5 if arguments(__doc__).smoke else 60
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{which}.db" for which in ("plain", "ours")]
        for path in paths:
            seed(path, TASKS).close()
        with plain(paths[0]) as bare_url, ours(paths[1], "--no-auth") as url:
            client = Client(bare_url)
            bare = statistics.median([client.bare() for _ in range(20 * number)])
            client.close()
            found = asyncio.run(latencies(url, number))
    for what, times in found.items():
        p50, p99 = p50_p99(times)
        detail = f"p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms; round trip {bare * 1e3:.2f} ms"
        report(f"edit to its {what} / bare round trip", p50 / bare, detail)


if __name__ == "__main__":
    sys.exit(main())
