"""Claims and enqueuing on PostgreSQL, against procrastinate and pgqueuer on the same server.

    uv run --group bench python tests/bench/bench_queues.py [--smoke]

Each claimer takes one job, finishes it and takes the next; nothing is done in between. The work is not the
same: procrastinate notes each change by triggers, pgqueuer moves a finished job to its log, and ours checks
the transition, keeps a run and four events, and fences the submission. What is not installed is passed over.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

from aims import arguments, report, say
from bench_postgres import submission
from postgres import PostgresServer

from backend.clock import SystemClock
from backend.lifecycle import Limits
from backend.model import SYSTEM, ClaimRequest, NewTask
from backend.pool import PATIENCE_S, Link
from backend.store.postgres_session import connect

Act = Callable[[], Awaitable[object]]
Setting = tuple[Act, list[Act]]
"""How a job is enqueued, and for each claimer how one is claimed and finished."""
BODY = "x" * 500


@asynccontextmanager
async def ours(url: str, claimers: int) -> AsyncIterator[Setting]:
    with connect(url) as connection:
        connection.execute(
            "INSERT INTO orchestrators (id, cluster, machine_id, registered_at, last_heartbeat_at)"
            " VALUES ('c-m', 'c', 'm', 0, 0)"
        )
    links = [Link(url, SystemClock(), Limits()) for _ in range(claimers + 1)]

    def create() -> None:
        new = NewTask(uuid.uuid4().hex, "Task", "implement", "main", "a" * 40, "ana", body=BODY)
        links[-1].run(lambda service: service.tasks.create(new, SYSTEM), True, monotonic() + PATIENCE_S)

    def pair(link: Link) -> None:
        wish = ClaimRequest("c-m", "a", "demo", uuid.uuid4().hex, 300)
        claim = link.run(lambda service: service.leases.claim(wish), True, monotonic() + PATIENCE_S)
        assert claim is not None
        done = submission(claim)
        link.run(lambda service: service.transitions.transition(done), True, monotonic() + PATIENCE_S)

    try:
        yield (
            lambda: asyncio.to_thread(create),
            [lambda link=link: asyncio.to_thread(pair, link) for link in links[:-1]],
        )
    finally:
        for link in links:
            link.close()


@asynccontextmanager
async def procrastinate(url: str, claimers: int) -> AsyncIterator[Setting]:
    from procrastinate import App, PsycopgConnector
    from procrastinate.jobs import Job, Status

    app = App(connector=PsycopgConnector(conninfo=url, min_size=claimers, max_size=claimers + 1))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        jobs = app.job_manager
        workers = [await jobs.register_worker() for _ in range(claimers)]
        new = Job(queue="default", lock=None, queueing_lock=None, task_name="t", task_kwargs={"body": BODY})

        async def pair(worker: int) -> None:
            job = await jobs.fetch_job(None, worker)
            assert job is not None
            await jobs.finish_job(job, Status.SUCCEEDED, delete_job=False)

        yield (
            lambda: jobs.defer_job_async(new),
            [lambda worker=worker: pair(worker) for worker in workers],
        )


@asynccontextmanager
async def pgqueuer(url: str, claimers: int) -> AsyncIterator[Setting]:
    import psycopg
    from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
    from pgqueuer.queries import EntrypointExecutionParameter, Queries

    async with AsyncExitStack() as stack:
        queues = []
        for _ in range(claimers + 1):
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
            stack.push_async_callback(connection.close)
            queues.append(Queries(PsycopgDriver(connection)))
        await queues[-1].install()
        wanted = {"t": EntrypointExecutionParameter(0)}
        manager = uuid.uuid4()

        async def pair(queue: Queries) -> None:
            (job,) = await queue.dequeue(1, wanted, manager, None, timedelta(minutes=5))
            await queue.log_jobs([(job, "successful", None)])

        yield (
            lambda: queues[-1].enqueue("t", BODY.encode()),
            [lambda queue=queue: pair(queue) for queue in queues[:-1]],
        )


WAYS = {"octopoid": ours, "procrastinate": procrastinate, "pgqueuer": pgqueuer}
AIMS = {"procrastinate": 1.8, "pgqueuer": 1.4}


async def measured(
    server: PostgresServer, way: str, claimers: int, ready: int, share: float
) -> tuple[float, float]:
    """Jobs enqueued a second, one after the other, and pairs a second of the claimers together."""
    with server.database() as url:
        async with WAYS[way](url, claimers) as (enqueue, claim):
            begun = perf_counter()
            for _ in range(ready):
                await enqueue()
            enqueued = ready / (perf_counter() - begun)
            each = int(ready * share / claimers)

            async def work(pair: Act) -> None:
                for _ in range(each):
                    await pair()

            begun = perf_counter()
            await asyncio.gather(*(work(pair) for pair in claim))
            return enqueued, each * claimers / (perf_counter() - begun)


async def compare(server: PostgresServer, ready: int, rounds: int) -> None:
    missing = [way for way in AIMS if find_spec(way) is None]
    for way in missing:
        say(f"{way}: not installed (uv run --group bench)")
    there = [way for way in WAYS if way not in missing]
    for claimers in (1, 4, 16):
        found = {
            way: [await measured(server, way, claimers, ready, 0.8) for _ in range(rounds)] for way in there
        }
        enqueued = {way: statistics.median(one for one, _ in pairs) for way, pairs in found.items()}
        claimed = {way: statistics.median(one for _, one in pairs) for way, pairs in found.items()}
        for way in there[1:]:
            detail = f"{claimed['octopoid']:.0f} / {claimed[way]:.0f} pairs/s"
            ratio = claimed["octopoid"] / claimed[way]
            report(f"claims / {way}, {claimers} claimers", ratio, detail, least=AIMS[way])
            if claimers == 1:
                detail = f"{enqueued['octopoid']:.0f} / {enqueued[way]:.0f} a second"
                least = 2.5 if way == "procrastinate" else None
                report(f"enqueued / {way}", enqueued["octopoid"] / enqueued[way], detail, least=least)


def main() -> None:
    smoke = arguments(__doc__).smoke
    ready, rounds = (200, 1) if smoke else (2_000, 3)
    asyncio.run(compare(PostgresServer.make(), ready, rounds))


if __name__ == "__main__":
    sys.exit(main())
