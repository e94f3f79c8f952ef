"""Claims, as ratios measured in one run: `python tests/bench/bench_claims.py [--smoke | --full]`.

Prints, and fails below, the targets:

- service: claim + submit through the service against the same SQL by hand, at least 0.80; with synchronous
  NORMAL the disk hides nothing of what our code costs;
- group commit: 16 claimers through `LocalBackend` against one by hand, both FULL, at least 2.0;
- fairness: the fewest against the most tasks of these 16 claimers, at least 0.8;
- growth: one claim among many tasks against one among 1,000 (90 % of them done), at most 1.3.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

from sqlite_utils import Database

from backend.clock import SystemClock
from backend.interface import Action, Transition
from backend.lifecycle import Limits
from backend.local import LocalBackend
from backend.model import SYSTEM, ClaimRequest, Outcome, RunEnd
from backend.service import Service
from backend.store.migrate import migrate
from backend.store.sqlite import STATEMENTS, SqliteStore, connect

HEAD = "b" * 40
BODY = "x" * 500
EVENT = STATEMENTS["insert_event"]


def seed(path: Path, ready: int, done: int = 0, synchronous: str = "FULL") -> sqlite3.Connection:
    """A fresh store with tasks, and its connection."""
    connection = connect(path, synchronous=synchronous)
    migrate(connection, path, 0)
    connection.execute(
        "INSERT INTO orchestrators (id, cluster, machine_id, registered_at, last_heartbeat_at)"
        " VALUES ('c-m', 'c', 'm', 0, 0)"
    )
    Database(connection)["tasks"].insert_all(rows(ready, done), batch_size=100)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return connection


def rows(ready: int, done: int) -> Iterator[dict[str, object]]:
    for index in range(ready + done):
        yield {
            "id": f"t{index}", "title": f"Task {index}", "body": BODY, "priority": f"P{index % 4}",
            "queue": "incoming" if index % (ready + done) < ready else "done", "role": "implement",
            "type": "feature", "base_branch": "main", "base_sha": "a" * 40, "needs": "[]", "auto_accept": 0,
            "open_blockers": 0, "created_by": "ana", "created_at": 0, "updated_at": 0, "metadata": "{}",
            "created_as": "x",
        }  # fmt: skip


def by_hand(connection: sqlite3.Connection) -> Callable[[int], None]:
    """Claim and submit by the same statements, straight into SQLite: no records, no lifecycle, no checks."""
    clock = SystemClock()
    execute = connection.execute

    def pair(index: int) -> None:
        now, run_id = clock.now_ms(), f"r{index}"
        execute("BEGIN IMMEDIATE")
        values = {
            "agent_name": "a", "orchestrator_id": "c-m", "run_id": run_id, "attempts": 5, "now": now,
            "expires": now + 300_000,
        }  # fmt: skip
        (task,) = execute(STATEMENTS["claim_next"], values).fetchall()
        task_id, fence = task["id"], task["fence"]
        run = {
            "id": run_id, "task_id": task_id, "attempt": task["attempt_count"], "fence": fence,
            "role": task["role"], "agent_name": "a", "orchestrator_id": "c-m", "adapter": "demo",
            "model": None, "now": now,
        }  # fmt: skip
        execute(STATEMENTS["insert_run"], run)
        data = f'{{"run_id":"{run_id}","fence":{fence},"attempt":1,"role":"implement"}}'
        execute(
            EVENT, (now, "a", "task", task_id, "claim", "incoming", "claimed", task["version"], None, data)
        )
        execute(EVENT, (now, "a", "run", run_id, "start", None, "starting", None, None, data))
        execute("COMMIT")
        now = clock.now_ms()
        execute("BEGIN IMMEDIATE")
        found = execute(STATEMENTS["read_task"], {"id": task_id}).fetchone()
        if found["queue"] != "claimed" or found["fence"] != fence:
            raise RuntimeError("lost")
        version = found["version"] + 1
        state = {
            "id": task_id, "queue": "provisional", "open_blockers": 0, "claimed_by": None, "claimed_at": None,
            "orchestrator_id": None, "run_id": None, "fence": fence + 1, "lease_expires_at": None,
            "attempt_count": 1, "attempts_forgiven": 0, "rejection_count": 0, "continuation_count": 0,
            "conflict_count": 0, "head_sha": HEAD, "resume_run_id": None, "approved_by": None,
            "approved_at": None, "approved_sha": None, "reason": None, "merged_sha": None,
            "submitted_at": now, "completed_at": None, "version": version, "updated_at": now,
        }  # fmt: skip
        execute(STATEMENTS["save_state"], state)
        end = {
            "id": run_id, "outcome": "submitted", "reason": "done", "head_sha": None, "exit_code": None,
            "commits_count": None, "summary": None, "now": now,
        }  # fmt: skip
        execute(STATEMENTS["end_run"], end)
        execute(EVENT, (now, "s", "task", task_id, "submit", "claimed", "provisional", version, None, data))
        execute(EVENT, (now, "s", "run", run_id, "end", "starting", "ended", None, "done", data))
        execute("COMMIT")

    return pair


def by_service(connection: sqlite3.Connection, path: Path) -> Callable[[int], None]:
    store = SqliteStore(connection, path)
    service = Service(store, SystemClock(), Limits())

    def pair(index: int) -> None:
        store.begin()
        claim = service.leases.claim(ClaimRequest("c-m", "a", "demo", f"r{index}", 300))
        store.commit()
        assert claim is not None
        store.begin()
        service.transitions.transition(submission(claim.task.id, claim.task.fence))
        store.commit()

    return pair


def submission(task_id: str, fence: int) -> Transition:
    end = RunEnd(Outcome.SUBMITTED, "done")
    return Transition(task_id, Action.SUBMIT, SYSTEM, fence=fence, head_sha=HEAD, run_end=end)


def rate(pair: Callable[[int], None], start: int, count: int) -> float:
    """Pairs a second."""
    begun = perf_counter()
    for index in range(start, start + count):
        pair(index)
    return count / (perf_counter() - begun)


def compare(folder: Path, synchronous: str, count: int, rounds: int) -> tuple[float, float]:
    """Pairs a second by hand and through the service, in turns, so that a busy machine is busy for both."""
    hand_path, service_path = folder / f"hand-{synchronous}.db", folder / f"service-{synchronous}.db"
    total = count * (rounds + 1)
    with (
        closing(seed(hand_path, total, synchronous=synchronous)) as one,
        closing(seed(service_path, total, synchronous=synchronous)) as other,
    ):
        hand, service = by_hand(one), by_service(other, service_path)
        rates: tuple[list[float], list[float]] = ([], [])
        for round_ in range(rounds + 1):
            for pair, found in zip((hand, service), rates, strict=True):
                found.append(rate(pair, round_ * count, count))
        return statistics.median(rates[0][1:]), statistics.median(rates[1][1:])


async def together(path: Path, claimers: int, seconds: float) -> tuple[float, float, list[float]]:
    """Pairs a second of claimers that share a backend, fewest against most, and the waits of their claims."""
    backend = await LocalBackend.open(path)
    shares, waits = [0] * claimers, []
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
    await asyncio.gather(*(work(which) for which in range(claimers)))
    taken = perf_counter() - begun
    await backend.close()
    return sum(shares) / taken, min(shares) / max(shares), waits


def one_claim(folder: Path, size: int, count: int) -> float:
    """The median time of one claim through the service, 90 % of the tasks being done."""
    path = folder / f"size-{size}.db"
    ready = max(size // 10, count)
    with closing(seed(path, ready, size - ready, synchronous="NORMAL")) as connection:
        store = SqliteStore(connection, path)
        service = Service(store, SystemClock(), Limits())
        times = []
        for index in range(count):
            begun = perf_counter()
            store.begin()
            service.leases.claim(ClaimRequest("c-m", "a", "demo", f"r{index}", 300))
            store.commit()
            times.append(perf_counter() - begun)
    return statistics.median(times)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--full", action="store_true", help="a million tasks as well")
    chosen = parser.parse_args(arguments)
    count, rounds, seconds = (50, 2, 0.3) if chosen.smoke else (500, 7, 2.0)
    sizes = [10_000] if chosen.smoke else [100_000, 1_000_000] if chosen.full else [100_000]
    missed = []

    def report(name: str, ratio: float, target: float, least: bool, detail: str) -> None:
        met = ratio >= target if least else ratio <= target
        missed.extend([] if met else [name])
        sign = ">=" if least else "<="
        sys.stdout.write(
            f"{name:32} {ratio:6.2f} {sign} {target:.2f} {'ok' if met else 'MISSED':7} {detail}\n"
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hand, service = compare(folder, "NORMAL", count, rounds)
        report("service / by hand, NORMAL", service / hand, 0.80, True, f"{service:.0f} / {hand:.0f} pairs/s")
        hand, service = compare(folder, "FULL", count, rounds)
        report("service / by hand, FULL", service / hand, 0.80, True, f"{service:.0f} / {hand:.0f} pairs/s")
        path = folder / "together.db"
        seed(path, 2_000 if chosen.smoke else 40_000).close()
        many, fair, waits = asyncio.run(together(path, 16, seconds))
        quantiles = statistics.quantiles(waits, n=100)
        detail = (
            f"{many:.0f} pairs/s, claim p50 {quantiles[49] * 1e3:.1f} ms, p99 {quantiles[98] * 1e3:.1f} ms"
        )
        report("16 claimers / 1 by hand, FULL", many / hand, 2.0, True, detail)
        report("fewest / most of 16 claimers", fair, 0.8, True, "")
        small = one_claim(folder, 1_000, min(count, 100))
        for size in sizes:
            large = one_claim(folder, size, count)
            detail = f"{large * 1e6:.0f} / {small * 1e6:.0f} µs"
            report(f"claim at {size:,} / at 1,000", large / small, 1.3, False, detail)
    if missed and not chosen.smoke:
        sys.stderr.write(f"missed: {', '.join(missed)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
