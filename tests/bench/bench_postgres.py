"""Claims over PostgreSQL, as ratios measured in one run: `python tests/bench/bench_postgres.py [--smoke]`.

Claim + submit at 1, 4 and 16 claimers, each with a thread and a connection of its own, through the service
against the same statements by hand. Prints, and fails below, the target: at least 0.90 at each. Then the same
through `LocalBackend`, whose few threads the claimers share, for comparison. The server has fsync on.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, NamedTuple

import msgspec
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from aims import arguments, p50_p99, report
from postgres import PostgresServer

from backend.clock import SystemClock
from backend.interface import Action, Transition
from backend.lifecycle import Limits
from backend.local import LocalBackend
from backend.model import SYSTEM, Claim, ClaimRequest, Outcome, RunEnd
from backend.pool import PATIENCE_S, Link
from backend.store.postgres import STATEMENTS
from backend.store.postgres_audit import audit
from backend.store.postgres_session import Row, connect

Found = tuple[float, list[float]]
"""Pairs a second, and the seconds each claim took."""
Pair = Callable[[str], float]
Closing = Callable[[], None]
TARGET = 0.90
WARM = 10
"""Pairs before the measuring begins: connections are made and statements prepared."""
HEAD = "b" * 40
DATA = '{"run_id":"r","fence":1,"attempt":1,"role":"implement"}'
SEED = """
INSERT INTO orchestrators (id, cluster, machine_id, registered_at, last_heartbeat_at)
VALUES ('c-m', 'c', 'm', 0, 0);
INSERT INTO tasks (id, title, body, queue, priority, role, type, base_branch, base_sha, needs, auto_accept,
    open_blockers, created_by, created_at, updated_at, metadata, created_as)
SELECT 't' || n, 'Task ' || n, repeat('x', 500), 'incoming', 'P' || n % 4, 'implement', 'feature', 'main',
    repeat('a', 40), '[]', false, 0, 'ana', 0, 0, '{{}}', 'x'
FROM generate_series(1, {ready}) AS n;
INSERT INTO events (seq, at, actor, entity, entity_id, kind, to_state, version, data)
SELECT n, 0, 'ana', 'task', 't' || n, 'create', 'incoming', 1, '{{}}' FROM generate_series(1, {ready}) AS n;
UPDATE log_head SET last_seq = {ready};
"""


class Sizes(NamedTuple):
    """How much is measured: tasks in the store, seconds of each round, rounds."""

    ready: int
    seconds: float
    rounds: int


def events(now: int, rows: list[tuple[str, str, str, str | None, str, int | None]]) -> dict[str, Any]:
    columns = ("entity", "entity_id", "kind", "from_state", "to_state", "version")
    same = {"at": now, "actor": "a", "reason": None, "data": DATA}
    entries = [same | dict(zip(columns, row, strict=True)) for row in rows]
    return {"count": len(rows), "entries": msgspec.json.encode(entries).decode()}


def pair(connection: psycopg.Connection[Row], run_id: str) -> float:
    """Claim and submit, straight into PostgreSQL: no records, no lifecycle, no checks; the claim's time."""
    execute = connection.execute
    begun = perf_counter()
    now = 1
    execute("BEGIN")
    values = {
        "agent_name": "a", "orchestrator_id": "c-m", "run_id": run_id, "attempts": 5, "scope": None,
        "now": now, "expires": now + 300_000,
    }  # fmt: skip
    (task,) = execute(STATEMENTS["claim_next"], values).fetchall()
    task_id, fence, version = task["id"], task["fence"], task["version"]
    run = {
        "id": run_id, "task_id": task_id, "attempt": task["attempt_count"], "fence": fence,
        "role": task["role"], "agent_name": "a", "orchestrator_id": "c-m", "adapter": "demo", "model": None,
        "now": now,
    }  # fmt: skip
    execute(STATEMENTS["insert_run"], run)
    claimed = ("task", task_id, "claim", "incoming", "claimed", version)
    execute(
        STATEMENTS["insert_event"], events(now, [claimed, ("run", run_id, "start", None, "starting", None)])
    )
    execute("COMMIT")
    took = perf_counter() - begun
    execute("BEGIN")
    (found,) = execute(f"{STATEMENTS['read_task']} FOR NO KEY UPDATE OF tasks", {"id": task_id}).fetchall()
    if found["queue"] != "claimed" or found["fence"] != fence:
        raise RuntimeError("lost")
    state = {
        "id": task_id, "queue": "provisional", "open_blockers": 0, "claimed_by": None, "claimed_at": None,
        "orchestrator_id": None, "run_id": None, "fence": fence + 1, "lease_expires_at": None,
        "attempt_count": 1, "attempts_forgiven": 0, "rejection_count": 0, "continuation_count": 0,
        "conflict_count": 0, "head_sha": HEAD, "resume_run_id": None, "approved_by": None,
        "approved_at": None, "approved_sha": None, "reason": None, "merged_sha": None,
        "submitted_at": now, "completed_at": None, "version": version + 1, "updated_at": now,
    }  # fmt: skip
    execute(STATEMENTS["save_state"], state)
    end = {
        "id": run_id, "outcome": "submitted", "reason": "done", "head_sha": None, "exit_code": None,
        "commits_count": None, "summary": None, "now": now,
    }  # fmt: skip
    execute(STATEMENTS["end_run"], end)
    submitted = ("task", task_id, "submit", "claimed", "provisional", version + 1)
    execute(
        STATEMENTS["insert_event"],
        events(now, [submitted, ("run", run_id, "end", "starting", "ended", None)]),
    )
    execute("COMMIT")
    return took


def threads(claimers: int, seconds: float, make: Callable[[], tuple[Pair, Closing]]) -> Found:
    """Pairs a second of claimers with a connection each, and the times of their claims."""
    waits: list[float] = []
    made = [make() for _ in range(claimers)]
    for which, (pair, _) in enumerate(made):
        for count in range(WARM):
            pair(f"w{which}-{count}")
    until = perf_counter() + seconds

    def work(which: int) -> None:
        pair, _ = made[which]
        count = 0
        while perf_counter() < until:
            waits.append(pair(f"r{which}-{count}"))
            count += 1

    begun = perf_counter()
    working = [threading.Thread(target=work, args=(which,)) for which in range(claimers)]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    taken = perf_counter() - begun
    for _, close in made:
        close()
    return len(waits) / taken, waits


def by_hand(url: str, claimers: int, seconds: float) -> Found:
    def make() -> tuple[Pair, Closing]:
        connection = connect(url)
        return lambda run_id: pair(connection, run_id), connection.close

    return threads(claimers, seconds, make)


def by_service(url: str, claimers: int, seconds: float) -> Found:
    def make() -> tuple[Pair, Closing]:
        link = Link(url, SystemClock(), Limits())

        def both(run_id: str) -> float:
            begun = perf_counter()
            wish = ClaimRequest("c-m", "a", "demo", run_id, 300)
            claim = link.run(lambda service: service.leases.claim(wish), True, monotonic() + PATIENCE_S)
            took = perf_counter() - begun
            if claim is None:
                raise RuntimeError("too few tasks")
            done = submission(claim)
            link.run(lambda service: service.transitions.transition(done), True, monotonic() + PATIENCE_S)
            return took

        return both, link.close

    return threads(claimers, seconds, make)


def submission(claim: Claim) -> Transition:
    end = RunEnd(Outcome.SUBMITTED, "done")
    return Transition(
        claim.task.id, Action.SUBMIT, SYSTEM, fence=claim.task.fence, head_sha=HEAD, run_end=end
    )


async def by_backend(url: str, claimers: int, seconds: float) -> Found:
    backend = await LocalBackend.connect(url)
    waits: list[float] = []

    async def once(run_id: str) -> float:
        begun = perf_counter()
        claim = await backend.claim(ClaimRequest("c-m", "a", "demo", run_id, 300))
        took = perf_counter() - begun
        if claim is None:
            raise RuntimeError("too few tasks")
        await backend.transition(submission(claim))
        return took

    async def work(which: int) -> None:
        count = 0
        while perf_counter() < until:
            waits.append(await once(f"r{which}-{count}"))
            count += 1

    await asyncio.gather(*(once(f"w{count}") for count in range(8 * WARM)))
    begun = perf_counter()
    until = begun + seconds
    await asyncio.gather(*(work(which) for which in range(claimers)))
    taken = perf_counter() - begun
    await backend.close()
    return len(waits) / taken, waits


def measured(server: PostgresServer, ready: int, run: Callable[[str], Found]) -> Found:
    with server.database() as url:
        with connect(url) as connection:
            connection.execute(SEED.format(ready=ready), prepare=False)
            connection.execute("VACUUM ANALYZE")
        found = run(url)
        with connect(url) as connection:
            unsound = audit(connection)
        if unsound:
            raise RuntimeError(f"the store is unsound: {unsound}")
    return found


def compare(server: PostgresServer, claimers: int, chosen: Sizes) -> Iterator[tuple[str, float, str]]:
    """Pairs a second against those by hand, in turns, so that a busy machine is busy for all."""
    ways: dict[str, Callable[[str], Found]] = {
        "by hand": lambda url: by_hand(url, claimers, chosen.seconds),
        "service": lambda url: by_service(url, claimers, chosen.seconds),
        "backend": lambda url: asyncio.run(by_backend(url, claimers, chosen.seconds)),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    waits: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(chosen.rounds):
        for way, run in ways.items():
            rate, times = measured(server, chosen.ready, run)
            rates[way].append(rate)
            waits[way].extend(times)
    hand = statistics.median(rates.pop("by hand"))
    for way, found in rates.items():
        rate = statistics.median(found)
        p50, p99 = p50_p99(waits[way])
        detail = f"{rate:.0f} / {hand:.0f} pairs/s, claim p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
        yield way, rate / hand, detail


def main() -> None:
    sizes = Sizes(3_000, 0.3, 1) if arguments(__doc__).smoke else Sizes(20_000, 1.5, 3)
    server = PostgresServer.make()
    for claimers in (1, 4, 16):
        for way, ratio, detail in compare(server, claimers, sizes):
            least = TARGET if way == "service" else None
            report(f"{way} / by hand, {claimers} claimers", ratio, detail, least=least)


if __name__ == "__main__":
    sys.exit(main())
