"""Claims on SQLite, as ratios measured in one run.

    python tests/bench/bench_claims.py [--smoke]

- service: claim + submit through the service against the same SQL by hand; with synchronous NORMAL the disk
  hides nothing of what our code costs;
- history: a claim with its run, fence, version and events against a bare change of the task;
- creating: a task through the service against the same row and event by hand;
- group commit: 16 claimers through `LocalBackend` against one by hand, both with synchronous FULL;
- fairness: the fewest against the most tasks of these 16 claimers.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import perf_counter

import by_hand
from aims import arguments, p50_p99, report
from by_hand import HEAD, seed

from backend.clock import SystemClock
from backend.interface import Action, Transition
from backend.lifecycle import Limits
from backend.local import LocalBackend
from backend.model import SYSTEM, ClaimRequest, NewTask, Outcome, RunEnd
from backend.service import Service
from backend.store.sqlite import SqliteStore

CLAIMERS = 16
Pair = Callable[[int], None]
Make = Callable[[sqlite3.Connection, Path], Pair]


def hand(connection: sqlite3.Connection, path: Path) -> Pair:
    def pair(index: int) -> None:
        task_id, fence, _ = by_hand.claim(connection, f"r{index}")
        by_hand.submit(connection, task_id, fence, f"r{index}")

    return pair


def bare(connection: sqlite3.Connection, path: Path) -> Pair:
    def pair(index: int) -> None:
        task_id, _, _ = by_hand.claim(connection, f"r{index}", history=False)
        by_hand.finish_without_history(connection, task_id)

    return pair


def service(connection: sqlite3.Connection, path: Path) -> Pair:
    store = SqliteStore(connection, path)
    ours = Service(store, SystemClock(), Limits())

    def pair(index: int) -> None:
        store.begin()
        claim = ours.leases.claim(ClaimRequest("c-m", "a", "demo", f"r{index}", 300))
        store.commit()
        assert claim is not None
        store.begin()
        ours.transitions.transition(submission(claim.task.id, claim.task.fence))
        store.commit()

    return pair


def insert(connection: sqlite3.Connection, path: Path) -> Pair:
    def one(index: int) -> None:
        by_hand.create(connection, f"n{index}")

    return one


def create(connection: sqlite3.Connection, path: Path) -> Pair:
    store = SqliteStore(connection, path)
    ours = Service(store, SystemClock(), Limits())

    def one(index: int) -> None:
        new = NewTask(f"n{index}", "Task", "implement", "main", "a" * 40, "ana", body=by_hand.BODY)
        store.begin()
        ours.tasks.create(new, SYSTEM)
        store.commit()

    return one


def submission(task_id: str, fence: int) -> Transition:
    end = RunEnd(Outcome.SUBMITTED, "done")
    return Transition(task_id, Action.SUBMIT, SYSTEM, fence=fence, head_sha=HEAD, run_end=end)


def rate(pair: Pair, start: int, count: int) -> float:
    """Pairs a second."""
    begun = perf_counter()
    for index in range(start, start + count):
        pair(index)
    return count / (perf_counter() - begun)


def compare(folder: Path, makes: tuple[Make, Make], synchronous: str, count: int, rounds: int) -> list[float]:
    """Pairs a second of two ways, in turns, so that a busy machine is busy for both."""
    paths = [folder / f"{make.__name__}-{synchronous}.db" for make in makes]
    total = count * (rounds + 1)
    with (
        closing(seed(paths[0], total, synchronous=synchronous)) as one,
        closing(seed(paths[1], total, synchronous=synchronous)) as other,
    ):
        pairs = [make(*at) for make, at in zip(makes, zip((one, other), paths, strict=True), strict=True)]
        rates: list[list[float]] = [[], []]
        for round_ in range(rounds + 1):
            for pair, found in zip(pairs, rates, strict=True):
                found.append(rate(pair, round_ * count, count))
    for path in paths:
        path.unlink()
    return [statistics.median(found[1:]) for found in rates]


async def together(path: Path, seconds: float) -> tuple[float, float, list[float]]:
    """Pairs a second of claimers that share a backend, fewest against most, and the waits of their claims."""
    backend = await LocalBackend.open(path)
    shares, waits = [0] * CLAIMERS, []
    until = perf_counter() + seconds

    async def work(which: int) -> None:
        while perf_counter() < until:
            begun = perf_counter()
            claim = await backend.claim(ClaimRequest("c-m", "a", "demo", f"r{which}-{shares[which]}", 300))
            waits.append(perf_counter() - begun)
            assert claim is not None
            await backend.transition(submission(claim.task.id, claim.task.fence))
            shares[which] += 1

    begun = perf_counter()
    await asyncio.gather(*(work(which) for which in range(CLAIMERS)))
    taken = perf_counter() - begun
    await backend.close()
    return sum(shares) / taken, min(shares) / max(shares), waits


def main() -> None:
    smoke = arguments(__doc__).smoke
    count, rounds, seconds = (50, 2, 0.3) if smoke else (500, 7, 2.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone, through = compare(folder, (hand, service), "NORMAL", count, rounds)
        detail = f"{through:.0f} / {alone:.0f} pairs/s"
        report("service / same SQL by hand, NORMAL", through / alone, detail, least=0.80)
        alone, through = compare(folder, (hand, service), "FULL", count, rounds)
        detail = f"{through:.0f} / {alone:.0f} pairs/s"
        report("service / same SQL by hand, FULL", through / alone, detail, least=0.80)
        plain, kept = compare(folder, (bare, hand), "NORMAL", count, rounds)
        detail = f"{1e6 / kept:.0f} / {1e6 / plain:.0f} µs a pair"
        report("share of run, fence, version and events", 1 - kept / plain, detail, most=0.35)
        plain, made = compare(folder, (insert, create), "NORMAL", count, rounds)
        detail = f"{made:.0f} / {plain:.0f} a second"
        report("create / same SQL by hand, NORMAL", made / plain, detail, least=0.75)
        path = folder / "together.db"
        seed(path, 2_000 if smoke else 40_000).close()
        many, fair, waits = asyncio.run(together(path, seconds))
        p50, p99 = p50_p99(waits)
        detail = f"{many:.0f} / {alone:.0f} pairs/s, claim p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
        report("16 claimers / 1 by hand, FULL", many / alone, detail, least=2.0)
        report("fewest / most tasks of 16 claimers", fair, least=0.9)
        report("p99 / p50 of 16 claimers' claims", p99 / p50, most=12)


if __name__ == "__main__":
    sys.exit(main())
