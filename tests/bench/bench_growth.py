"""What a claim and the commonest reads cost among many tasks, 90 % of them done, against among 1,000.

    python tests/bench/bench_growth.py [--smoke | --full]

On SQLite and on PostgreSQL, through the service, medians: the next task; the same with 50,000 blocked tasks
of the best priority; a task of a rare role among many ready ones of another; and, on SQLite, how long the
counts, the leases that ran out and one page of tasks take.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, perf_counter
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from aims import arguments, report
from by_hand import seed
from postgres import PostgresServer

from backend.clock import SystemClock
from backend.lifecycle import Limits
from backend.model import Claim, ClaimRequest, Queue, TaskFilter
from backend.pool import PATIENCE_S, Link
from backend.service import Service
from backend.store.postgres_session import connect
from backend.store.sqlite import SqliteStore

SEED = """
INSERT INTO orchestrators (id, cluster, machine_id, registered_at, last_heartbeat_at)
VALUES ('c-m', 'c', 'm', 0, 0);
INSERT INTO tasks (id, title, body, queue, priority, role, type, base_branch, base_sha, needs, auto_accept,
    open_blockers, created_by, created_at, updated_at, metadata, created_as)
SELECT 't' || n, 'Task ' || n, repeat('x', 500), CASE WHEN n < {ready} THEN 'incoming' ELSE 'done' END,
    'P' || n % 4, 'implement', 'feature', 'main', repeat('a', 40), '[]', false, 0, 'ana', 0, 0, '{{}}', 'x'
FROM generate_series(0, {size} - 1) AS n;
INSERT INTO events (seq, at, actor, entity, entity_id, kind, to_state, version, data)
SELECT seq, 0, 'ana', 'task', id, 'create', queue, 1, '{{}}' FROM tasks;
UPDATE log_head SET last_seq = {size}
"""
BLOCK = """
UPDATE tasks SET queue = 'blocked', priority = 'P0', open_blockers = 1
WHERE id IN (SELECT id FROM tasks WHERE queue = 'done' ORDER BY id LIMIT {count})
"""
RARE = """
UPDATE tasks SET role = 'rare', priority = 'P3'
WHERE id IN (SELECT id FROM tasks WHERE queue = 'incoming' ORDER BY id DESC LIMIT {count})
"""
BLOCKED = 50_000
Job = Callable[[Service], object]
Change = Callable[[str], None]
LIMIT_S = 0.0002
"""How long the common reads may take."""


class Store(NamedTuple):
    """Ways to run a job as a transaction, or a statement, on a store."""

    write: Callable[[Job], object]
    read: Callable[[Job], object]
    change: Change


@contextmanager
def sqlite(size: int, ready: int) -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "store.db"
        with closing(seed(path, ready, size - ready, synchronous="NORMAL")) as connection:
            store = SqliteStore(connection, path)
            service = Service(store, SystemClock(), Limits())

            def run(job: Job) -> object:
                store.begin()
                done = job(service)
                store.commit()
                return done

            yield Store(run, lambda job: job(service), lambda statement: _all(connection, statement))


def _all(connection: object, statement: str) -> None:
    connection.execute(statement).fetchall()  # type: ignore[attr-defined]


@contextmanager
def postgres(server: PostgresServer, size: int, ready: int) -> Iterator[Store]:
    with server.database() as url:

        def change(statement: str) -> None:
            with connect(url) as connection:
                connection.execute("SET statement_timeout = 0")
                connection.execute(statement, prepare=False)
                connection.execute("VACUUM ANALYZE tasks")

        change(SEED.format(size=size, ready=ready))
        link = Link(url, SystemClock(), Limits())
        try:
            yield Store(
                lambda job: link.run(job, True, monotonic() + PATIENCE_S),
                lambda job: link.run(job, False, monotonic() + PATIENCE_S),
                change,
            )
        finally:
            link.close()


def typical(run: Callable[[Job], object], jobs: Iterator[Job]) -> float:
    """The median time of the jobs, each run once; the first few are not counted."""
    times = []
    for job in jobs:
        begun = perf_counter()
        done = run(job)
        times.append(perf_counter() - begun)
        if done is None:
            raise RuntimeError("too few tasks")
    return statistics.median(times[5:])


def claims(name: str, count: int, roles: tuple[str, ...] = ()) -> Iterator[Job]:
    def job(index: int) -> Job:
        wish = ClaimRequest("c-m", "a", "demo", f"{name}{index}", 300, roles)

        def claim(service: Service) -> Claim | None:
            return service.leases.claim(wish)

        return claim

    return (job(index) for index in range(count))


def measure(what: str, small: Store, large: Store, size: int, count: int) -> None:
    """Print the ratios of one engine."""
    little = typical(small.write, claims("s", min(count, 90)))
    much = typical(large.write, claims("l", count))
    detail = f"{much * 1e6:.0f} / {little * 1e6:.0f} µs"
    report(f"{what}: claim at {size:,} / at 1,000", much / little, detail, most=1.3)
    blocked = min(BLOCKED, size // 2)
    large.change(BLOCK.format(count=blocked))
    behind = typical(large.write, claims("b", count))
    detail = f"{behind * 1e6:.0f} / {little * 1e6:.0f} µs"
    report(f"{what}: same behind {blocked:,} blocked", behind / little, detail, most=1.3)
    large.change(RARE.format(count=count))
    common = typical(large.write, claims("c", count, ("implement",)))
    rare = typical(large.write, claims("r", count, ("rare",)))
    report(
        f"{what}: rare role / common", rare / common, f"{rare * 1e6:.0f} / {common * 1e6:.0f} µs", most=1.5
    )


def reads(store: Store, size: int, count: int) -> None:
    """Print how long common reads take, as a part of what they may."""
    page = TaskFilter(queues=frozenset({Queue.INCOMING}), limit=50)
    jobs: dict[str, Job] = {
        "counts of all states": lambda service: service.tasks.count_queues(),
        "leases that ran out": lambda service: service.leases.expire(),
        "events after the last": lambda service: service.log.events(service.log.last_seq(), 500, None),
    }
    for name, job in jobs.items():
        took = typical(store.write, iter([job] * count))
        report(f"sqlite: {name} at {size:,} / 0.2 ms", took / LIMIT_S, f"{took * 1e6:.0f} µs", most=1)
    took = typical(store.read, iter([lambda service: service.tasks.find(page)] * count))
    report(f"sqlite: 50 tasks at {size:,} / 0.2 ms", took / LIMIT_S, f"{took * 1e6:.0f} µs", most=1)


def main() -> None:
    options = arguments(__doc__, full="a million tasks, which takes minutes")
    size, count = (1_000_000, 300) if options.full else (10_000, 60) if options.smoke else (100_000, 300)
    ready = max(size // 10, 6 * count)
    with sqlite(1_000, 100) as small, sqlite(size, ready) as large:
        measure("sqlite", small, large, size, count)
        reads(large, size, count)
    server = PostgresServer.make()
    with postgres(server, 1_000, 100) as small, postgres(server, size, ready) as large:
        measure("postgres", small, large, size, count)


if __name__ == "__main__":
    sys.exit(main())
