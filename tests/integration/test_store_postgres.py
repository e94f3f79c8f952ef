"""The PostgreSQL store: its plans, its settings, its constraints, its feed, and many at once."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import postgres
import psycopg
import pytest
from psycopg.pq import TransactionStatus

from backend.clock import ManualClock, from_ms
from backend.errors import BadInput, DependencyCycle, NotFound, StoreBroken, StoreBusy
from backend.interface import Action, Transition
from backend.lifecycle import Facts, Limits, apply
from backend.local import LocalBackend
from backend.model import (
    SYSTEM,
    Actor,
    ClaimRequest,
    Event,
    NewMachine,
    NewTask,
    Outcome,
    Queue,
    Run,
    RunEnd,
    RunPatch,
    RunStatus,
    SenderType,
    TaskFilter,
    TaskPatch,
)
from backend.open import open_database
from backend.pages import RunFilter, Span
from backend.pool import Link
from backend.service import Service
from backend.store.interface import NewEvent
from backend.store.migrate import Migration, available
from backend.store.postgres import (
    KEY_STATEMENTS,
    STATEMENTS,
    DatabaseClock,
    PostgresRuns,
    PostgresStore,
    name_of,
)
from backend.store.postgres_audit import INVARIANTS, audit
from backend.store.postgres_migrate import FOLDER, migrate
from backend.store.postgres_session import SESSION, PostgresSession, Row, connect
from backend.store.sql import load, load_like
from backend.store.sql_tasks import listing

ANA = Actor(SenderType.HUMAN, "ana")


@pytest.fixture
def url() -> Iterator[str]:
    with postgres.server().database() as made:
        yield made


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(connect(url), "test")
    yield store
    store.close()


@pytest.fixture
def service(store: PostgresStore) -> Service:
    service = Service(store, ManualClock(), Limits())
    store.begin()
    service.machines.register(NewMachine("c", "m"))
    store.commit()
    return service


@pytest.fixture
async def backend(url: str) -> AsyncIterator[LocalBackend]:
    backend = await LocalBackend.connect(url)
    await backend.register("c", "m", pid=None)
    yield backend
    await backend.close()


def new(task_id: str, **changes: Any) -> NewTask:
    return NewTask(task_id, task_id, "implement", "main", "base", "ana", **changes)


def asking(run_id: str, **changes: Any) -> ClaimRequest:
    return ClaimRequest("c-m", "impl-1", "demo", run_id, 300, **changes)


def sound(url: str) -> None:
    with connect(url) as connection:
        assert audit(connection) == []


# Plans: each hot statement walks the index made for it


@pytest.fixture(scope="module")
def crowded() -> Iterator[psycopg.Connection[Any]]:
    """A store with enough in it for the planner to care."""
    with postgres.server().database() as made, connect(made) as connection:
        connection.execute(
            "INSERT INTO orchestrators (id, cluster, machine_id, registered_at, last_heartbeat_at)"
            " VALUES ('c-m', 'c', 'm', 0, 0)"
        )
        connection.execute(
            """
            INSERT INTO tasks (id, title, body, queue, priority, role, type, base_branch, base_sha, needs,
                auto_accept, open_blockers, created_by, created_at, updated_at, metadata, created_as)
            SELECT 't' || n, 'T', '', CASE WHEN n % 10 = 0 THEN 'incoming' ELSE 'done' END, 'P' || n % 4,
                CASE WHEN n % 1000 = 0 THEN 'rare' ELSE 'implement' END, 'feature', 'main', 'b', '[]', false,
                0, 'ana', 0, 0, '{}', 'x'
            FROM generate_series(1, 20000) AS n
            """
        )
        connection.execute(
            """
            INSERT INTO runs (id, task_id, attempt, fence, role, agent_name, orchestrator_id, adapter, status,
                outcome, reason, started_at, last_activity_at, ended_at, cost_usd)
            SELECT 'r' || n, 't' || n, 1, 1, 'implement', 'a', 'c-m', 'demo', 'ended', 'submitted', 'r',
                n, n, n, 1
            FROM generate_series(1, 20000) AS n
            """
        )
        connection.execute(
            """
            INSERT INTO events (seq, at, actor, entity, entity_id, kind, data)
            SELECT n, n, 'a', 'run', 'r' || n % 1000, 'update', '{}' FROM generate_series(1, 20000) AS n
            """
        )
        connection.execute("ANALYZE")
        yield connection


def plan(connection: psycopg.Connection[Any], statement: str, values: dict[str, object]) -> str:
    return "\n".join(row[0] for row in connection.execute(f"EXPLAIN (COSTS OFF) {statement}", values))


CLAIMING = {
    "agent_name": "a", "orchestrator_id": "c-m", "run_id": "x", "attempts": 5, "now": 0, "expires": 1,
    "scope": None,
}  # fmt: skip


def test_a_claim_takes_the_head_of_the_index(crowded: psycopg.Connection[Any]) -> None:
    found = plan(crowded, STATEMENTS["claim_next"], CLAIMING)
    assert "Index Scan using tasks_by_queue on tasks" in found
    assert "Index Scan using tasks_pkey on tasks" in found
    assert "Seq Scan on tasks" not in found
    assert "Sort" not in found.partition("SubPlan")[0]


def test_a_claim_of_roles_walks_the_index_of_roles(crowded: psycopg.Connection[Any]) -> None:
    found = plan(crowded, STATEMENTS["claim_next_of_roles"], CLAIMING | {"roles": '["rare"]'})
    assert "using tasks_ready_by_role on tasks" in found
    assert "Index Scan using tasks_pkey on tasks" in found
    assert "Seq Scan on tasks" not in found
    assert "tasks_by_queue" not in found, "a rare role must not walk past everything better"


def test_a_claim_is_planned_once(store: PostgresStore, service: Service) -> None:
    for number in range(8):
        store.begin()
        service.tasks.create(new(f"t{number}"), ANA)
        service.leases.claim(asking(f"r{number}"))
        store.commit()
    plans = store.session.execute(
        "SELECT sum(generic_plans) AS once, sum(custom_plans) AS again FROM pg_prepared_statements"
        " WHERE statement LIKE '%lease_expires_at = $%'"
    ).fetchone()
    assert plans is not None
    assert plans["once"] >= 8
    assert plans["again"] == 0


def test_a_read_leaves_what_is_prepared(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[psycopg.Connection[Row]] = []

    def opened(of: str) -> psycopg.Connection[Row]:
        made.append(connect(of))
        return made[-1]

    monkeypatch.setattr("backend.pool.open_connection", opened)
    link = Link(url, ManualClock(), Limits())
    try:
        link.run(lambda service: service.tasks.create(new("t"), ANA), True, monotonic() + 30)
        for _ in range(3):
            link.run(lambda service: service.tasks.count_queues(), False, monotonic() + 30)
            with pytest.raises(NotFound):
                link.run(lambda service: service.runs.get("none"), False, monotonic() + 30)
            with pytest.raises(BadInput):
                link.run(
                    lambda service: service.pages.runs(RunFilter(), Span(1, "none")), False, monotonic() + 30
                )
        (connection,) = made
        rows = connection.execute(
            "SELECT generic_plans FROM pg_prepared_statements WHERE statement = %s",
            (STATEMENTS["count_queues"],),
        ).fetchall()
        assert [row[0] for row in rows] == [3]
        assert connection.info.transaction_status is TransactionStatus.IDLE
    finally:
        link.close()


def test_a_change_waits_for_the_database_only_where_it_must(
    store: PostgresStore, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody reads the answer of travels with what comes next, and still counts."""
    store.begin()
    service.tasks.create(new("t"), ANA)
    claim = service.leases.claim(asking("r"))
    store.commit()
    assert claim is not None
    trips: list[int] = []
    send = PostgresSession.flush

    def flush(session: PostgresSession) -> None:
        trips.append(1)
        send(session)

    monkeypatch.setattr(PostgresSession, "flush", flush)
    store.begin()
    wish = Transition("t", Action.SUBMIT, SYSTEM, fence=claim.task.fence, head_sha="b" * 40)
    done = service.transitions.transition(wish)
    store.commit()
    assert len(trips) == 2, "one to read and lock the task, one for all the rest"
    store.begin()
    assert service.tasks.get("t") == done
    store.rollback()


def test_a_task_that_was_not_locked_is_saved_only_in_its_version(
    store: PostgresStore, service: Service
) -> None:
    store.begin()
    task = service.tasks.create(new("t"), ANA)
    store.commit()
    store.begin()
    assert not store.tasks.save_state(replace(task, version=task.version + 2), 0)
    assert store.tasks.save_state(replace(task, version=task.version + 1), 0)
    store.rollback()


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("claim_task", CLAIMING | {"task_id": "t1", "roles": "[]"}, "tasks_id_key"),
        ("read_task", {"id": "t1"}, "tasks_id_key"),
        ("list_expired", {"now": 0}, "tasks_leased"),
        ("list_live_runs", {}, "runs_live"),
        ("find_holder", {"task_id": "t1", "fence": 1}, "runs_task_id_fence_key"),
        ("sum_cost", {"since": 19_900}, "Scan using runs_"),
        ("list_entity_events", {"entity_id": "r1", "after": 0, "limit": 1}, "events_by_entity"),
        ("list_events", {"after": 19_000, "limit": 500}, "events_pkey"),
        ("renew_lease", {"id": "t1", "fence": 1, "orchestrator_id": "o", "expires": 0}, "tasks_id_key"),
    ],
)
def test_each_lookup_walks_its_index(
    crowded: psycopg.Connection[Any], name: str, values: dict[str, object], index: str
) -> None:
    found = plan(crowded, STATEMENTS[name], values)
    assert index in found
    assert not any(f"Seq Scan on {table}" in found for table in ("tasks ", "tasks\n", "runs", "events"))


def test_a_listing_of_one_state_needs_no_sort(crowded: psycopg.Connection[Any]) -> None:
    names, values = listing(TaskFilter(queues=frozenset({Queue.INCOMING}), limit=100))
    found = plan(crowded, "\n".join(STATEMENTS[name] for name in names), values)
    assert "using tasks_by_queue on tasks" in found
    assert "Sort" not in found.partition("SubPlan")[0]


# The dialect


def test_a_statement_that_one_dialect_lacks_is_refused() -> None:
    model = {**load("sqlite"), "another": "SELECT 1"}
    with pytest.raises(ValueError, match=r"postgres\.sql.*another"):
        load_like("postgres", model)
    assert load_like("postgres", load("sqlite")) == STATEMENTS


def test_every_statement_is_accepted_by_postgresql(store: PostgresStore) -> None:
    apart = ("BEGIN", "LISTEN", "FOR ", "AND ", "ORDER ")
    for name, text in {**STATEMENTS, **KEY_STATEMENTS, **INVARIANTS, **SESSION}.items():
        if text.startswith(apart):
            continue
        prepared = _numbered(text)
        store.session.connection.execute(f"PREPARE p_{name} AS {prepared}", prepare=False)


def _numbered(text: str) -> str:
    names: list[str] = []
    head, *rest = text.split("%(")
    for part in rest:
        name, _, tail = part.partition(")s")
        names += [] if name in names else [name]
        head += f"${names.index(name) + 1}{tail}"
    return head


def test_the_steps_are_numbered_as_the_other_dialects() -> None:
    assert [step.number for step in available(FOLDER)] == [step.number for step in available()]


# Settings


def test_a_session_waits_for_nothing_for_ever_and_is_durable(url: str) -> None:
    def shown(connection: psycopg.Connection[Any], name: str) -> str:
        (row,) = connection.execute(f"SHOW {name}").fetchall()
        return str(row[0])

    postgres.server().execute(f"ALTER DATABASE {url_name(url)} SET synchronous_commit = off")
    with connect(url) as connection:
        assert shown(connection, "statement_timeout") == "5s"
        assert shown(connection, "lock_timeout") == "2s"
        assert shown(connection, "idle_in_transaction_session_timeout") == "10s"
        assert shown(connection, "synchronous_commit") == "on"


def url_name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def test_a_password_is_never_told() -> None:
    assert (
        name_of("postgresql://ana:secret@db.example:5433/fleet") == "postgresql://ana@db.example:5433/fleet"
    )
    with pytest.raises(StoreBroken, match="not understood") as caught:
        name_of("postgresql://ana:secret@[")
    assert "secret" not in str(caught.value)


def test_the_clock_is_the_databases(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = DatabaseClock()
    monkeypatch.setattr("backend.store.postgres.time.time_ns", lambda: 1_000_000_000)
    with connect(url) as connection:
        clock.look(connection)
        (row,) = connection.execute("SELECT extract(epoch FROM clock_timestamp()) * 1000").fetchall()
    assert abs(clock.now_ms() - float(row[0])) < 5_000


def test_text_with_nul_is_kept_as_far_as_it_can_be(store: PostgresStore, service: Service) -> None:
    store.begin()
    task = service.tasks.create(new("t", body="a\x00b", metadata={"x": "a\x00b"}), ANA)
    store.commit()
    assert task.body == "a\ufffdb"
    assert task.metadata == {"x": "a\x00b"}


# What the schema refuses, whoever writes


@pytest.mark.parametrize(
    ("assignment", "constraint"),
    [
        ("queue = 'claimed'", "claimed_has_lease"),
        ("run_id = 'r'", "claim_is_whole"),
        ("lease_expires_at = 1", "claim_is_whole"),
        (
            "run_id = 'r', claimed_by = 'a', claimed_at = 1, orchestrator_id = 'c-m', lease_expires_at = 1",
            "lease_has_place",
        ),
        ("queue = 'failed'", "failure_has_reason"),
        ("queue = 'blocked'", "blocked_while_waiting"),
        ("queue = 'backlog', open_blockers = -1", "blockers_are_counted"),
        ("queue = 'nowhere'", "known_queue"),
        ("approved_sha = 'x'", "approval_is_whole"),
        ("attempts_forgiven = 1", "attempts_add_up"),
    ],
)
def test_l14_what_no_rule_produces_can_not_be_stored(
    store: PostgresStore, service: Service, assignment: str, constraint: str
) -> None:
    store.begin()
    service.tasks.create(new("t"), ANA)
    store.commit()
    with pytest.raises(psycopg.IntegrityError, match=constraint):
        store.session.connection.execute(f"UPDATE tasks SET {assignment}")


@pytest.mark.parametrize(
    "statement", ["DELETE FROM events", "UPDATE events SET kind = 'x'", "TRUNCATE events"]
)
def test_the_log_is_append_only(store: PostgresStore, service: Service, statement: str) -> None:
    with pytest.raises(psycopg.IntegrityError, match="append-only"):
        store.session.connection.execute(statement)


# Coming to be, and growing older

SECOND = Migration(99, "0099_more", "CREATE TABLE more (x integer); INSERT INTO more VALUES (1);")


async def test_replicas_that_start_at_once_make_the_tables_once() -> None:
    server = postgres.server()
    name = server.create()
    opened = await asyncio.gather(*(LocalBackend.connect(server.url(name)) for _ in range(5)))
    for backend in opened:
        await backend.close()
    numbers = [row[0] for row in server.execute("SELECT number FROM schema_migrations ORDER BY 1", name)]
    assert numbers == [step.number for step in available(FOLDER)]
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_newer_schema_is_refused_with_what_to_do(url: str) -> None:
    with connect(url) as connection:
        migrate(connection, "here", 0, (*available(FOLDER), SECOND))
        with pytest.raises(StoreBroken, match=r"here has schema 99.*or a newer one"):
            migrate(connection, "here", 0)


def test_another_form_of_a_step_is_refused(url: str) -> None:
    with connect(url) as connection:
        connection.execute("UPDATE schema_migrations SET checksum = 'x' WHERE number = 1")
        with pytest.raises(StoreBroken, match="another form of schema step 1"):
            migrate(connection, "here", 0)


def test_a_migration_that_fails_leaves_nothing(url: str) -> None:
    broken = replace(SECOND, text="CREATE TABLE half (x integer); INSERT INTO nowhere VALUES (1);")
    with connect(url) as connection:
        with pytest.raises(psycopg.ProgrammingError, match="nowhere"):
            migrate(connection, "here", 0, (*available(FOLDER), broken))
        assert connection.execute("SELECT to_regclass('half')").fetchall()[0][0] is None
        migrate(connection, "here", 1)


async def test_tables_that_change_under_an_open_backend_do_not_disturb_it(
    url: str, backend: LocalBackend
) -> None:
    for index in range(8):
        await backend.create_task(new(f"t{index}"), actor=ANA)
        await backend.get_task(f"t{index}")
    postgres.server().execute("ALTER TABLE tasks ADD COLUMN later text", url_name(url))
    for index in range(8):
        assert (await backend.get_task(f"t{index}")).id == f"t{index}"


async def test_a_restart_keeps_everything(url: str) -> None:
    clock = ManualClock()
    first = await LocalBackend.connect(url, clock)
    await first.register("c", "m", pid=None)
    await first.create_task(new("a"), actor=ANA)
    claim = await first.claim(asking("r"))
    await first.close()
    await first.close()
    second = await LocalBackend.connect(url, clock)
    assert claim is not None
    assert await second.get_task("a") == claim.task
    await second.close()
    with pytest.raises(StoreBroken, match="is closed"):
        await second.get_task("a")


async def test_a_database_needs_no_owner(url: str, tmp_path: Path) -> None:
    first = await open_database(url, tmp_path / "lock", what="run")
    second = await open_database(url, tmp_path / "lock", what="screen")
    third = await open_database(url, tmp_path / "lock", what="command")
    assert (first.owned, second.owned, third.owned) == (True, False, False)
    await first.backend.create_task(new("t"), actor=ANA)
    assert (await third.backend.get_task("t")).id == "t"
    for opened in (first, second, third):
        await opened.start_serving()
        await opened.close()


async def test_a_database_that_is_not_there_is_named() -> None:
    with pytest.raises(StoreBusy, match=r"postgresql://postgres@.*/nowhere can not be reached.*check"):
        await LocalBackend.connect(postgres.server().url("nowhere"))


# The feed


def test_a_reader_never_skips_an_event_whose_transaction_is_slow(url: str) -> None:
    """Two writers at once: the one that began first commits last, and its events come last."""
    slow, fast, reader = (PostgresStore(connect(url), "test") for _ in range(3))
    with closing(slow), closing(fast), closing(reader):
        for store, name in ((slow, "slow"), (fast, "fast")):
            store.begin()
            store.log.append(NewEvent("a", "machine", name, "x"), 1)
            assert store.session.execute("SELECT 1").fetchone() is not None
        fast.commit()
        assert [(event.seq, event.entity_id) for event in reader.log.read(0, 10, None)] == [(1, "fast")]
        slow.commit()
        assert [(event.seq, event.entity_id) for event in reader.log.read(1, 10, None)] == [(2, "slow")]


def test_the_log_is_taken_by_one_at_a_time_and_a_rollback_leaves_no_hole(url: str) -> None:
    first, second = (PostgresStore(connect(url), "test") for _ in range(2))
    with closing(first), closing(second):
        first.begin()
        first.log.append(NewEvent("a", "machine", "gone", "x"), 1)
        first.log.write()
        first.session.flush()
        second.begin()
        second.log.append(NewEvent("a", "machine", "kept", "x"), 1)
        waiting = threading.Thread(target=second.commit)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        first.rollback()
        waiting.join(10)
        assert [(event.seq, event.entity_id) for event in first.log.read(0, 10, None)] == [(1, "kept")]


async def follow(backend: LocalBackend, count: int) -> list[Event]:
    seen: list[Event] = []
    async for batch in backend.watch(0):
        seen += batch
        if len(seen) >= count:
            break
    return seen


async def test_watchers_elsewhere_see_every_event_once_while_many_write(url: str) -> None:
    writers = [await LocalBackend.connect(url) for _ in range(3)]
    elsewhere = await LocalBackend.connect(url)
    watching = asyncio.create_task(follow(elsewhere, 150))
    await asyncio.gather(
        *(
            one.create_task(new(f"t{which}-{n}"), actor=ANA)
            for n in range(50)
            for which, one in enumerate(writers)
        )
    )
    seen = await asyncio.wait_for(watching, 20)
    assert [event.seq for event in seen] == list(range(1, 151))
    for one in (*writers, elsewhere):
        await one.close()
    sound(url)


async def test_a_watcher_is_woken_by_a_notification_and_without_one(
    url: str, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.pool.POLL_S", 3600.0)
    patient = await LocalBackend.connect(url)
    watching = asyncio.create_task(follow(patient, 2))
    await backend.create_task(new("a"), actor=ANA)
    assert len(await asyncio.wait_for(watching, 10)) == 2
    monkeypatch.setattr("backend.pool.POLL_S", 0.05)
    deaf = await LocalBackend.connect(url)
    watching = asyncio.create_task(follow(deaf, 3))
    await asyncio.to_thread(_write_silently, url)
    assert (await asyncio.wait_for(watching, 10))[-1].entity_id == "silent"
    for one in (patient, deaf):
        await one.close()


def _write_silently(url: str) -> None:
    with connect(url) as connection:
        connection.execute("SET session_replication_role = replica")  # no trigger, so no notification
        store = PostgresStore(connection, "test")
        store.begin()
        store.log.append(NewEvent("a", "machine", "silent", "x"), 1)
        store.commit()


# Many at once


async def test_l21_many_claimers_of_two_replicas_share_no_task(url: str) -> None:
    """L-21: the same task was claimed twice."""
    replicas = [await LocalBackend.connect(url) for _ in range(2)]
    await replicas[0].register("c", "m", pid=None)
    await asyncio.gather(*(replicas[0].create_task(new(f"t{n}"), actor=ANA) for n in range(120)))
    claimed: list[str] = []

    async def work(which: int, roles: tuple[str, ...]) -> None:
        count = 0
        while (
            claim := await replicas[which % 2].claim(asking(f"r{which}-{count}", roles=roles))
        ) is not None:
            claimed.append(claim.task.id)
            count += 1

    await asyncio.gather(*(work(which, ("implement",) if which % 3 else ()) for which in range(8)))
    assert len(claimed) == len(set(claimed)) == 120
    for replica in replicas:
        await replica.close()
    sound(url)


async def test_the_same_wish_twice_at_once_is_one_claim(url: str, backend: LocalBackend) -> None:
    await asyncio.gather(*(backend.create_task(new(f"t{n}"), actor=ANA) for n in range(8)))
    claims = await asyncio.gather(*(backend.claim(asking("same")) for _ in range(8)))
    assert len({claim.task.id for claim in claims if claim is not None}) == 1
    assert None not in claims
    sound(url)


async def test_the_same_task_created_at_once_is_one_task(url: str, backend: LocalBackend) -> None:
    await asyncio.gather(*(backend.create_task(new("t"), actor=ANA) for _ in range(8)))
    assert len(await backend.list_tasks(TaskFilter())) == 1
    sound(url)


async def test_dependencies_added_and_dropped_while_their_blockers_finish(
    url: str, backend: LocalBackend
) -> None:
    roots = [f"root{n}" for n in range(6)]
    for root in roots:
        await backend.create_task(new(root), actor=ANA)
        await backend.create_task(new(f"after-{root}", blocked_by=(root,), backlog=False), actor=ANA)

    async def finish(root: str) -> None:
        await backend.transition(Transition(root, Action.FORCE, ANA, reason="done by hand", to=Queue.DONE))

    work = [finish(root) for root in roots]
    work += [backend.edit_task(f"after-{root}", TaskPatch(blocked_by=()), actor=ANA) for root in roots[:3]]
    work += [backend.create_task(new(f"late-{root}", blocked_by=tuple(roots)), actor=ANA) for root in roots]
    await asyncio.gather(*work)
    assert (await backend.count_queues())[Queue.INCOMING] == 12
    sound(url)


async def test_a_circle_made_by_many_at_once_is_refused(url: str, backend: LocalBackend) -> None:
    names = [f"t{n}" for n in range(5)]
    for name in names:
        await backend.create_task(new(name), actor=ANA)
    pairs = zip(names, [*names[1:], names[0]], strict=True)
    done = await asyncio.gather(
        *(backend.edit_task(name, TaskPatch(blocked_by=(other,)), actor=ANA) for name, other in pairs),
        return_exceptions=True,
    )
    refused = [one for one in done if isinstance(one, BaseException)]
    assert [type(one) for one in refused] == [DependencyCycle]
    sound(url)


async def test_many_who_change_one_task_wait_for_each_other(url: str, backend: LocalBackend) -> None:
    await backend.create_task(new("t"), actor=ANA)
    await asyncio.gather(
        *(backend.edit_task("t", TaskPatch(title=f"title {n}"), actor=ANA) for n in range(20))
    )
    assert (await backend.get_task("t")).version == 21
    sound(url)


async def test_replicas_take_back_each_expired_lease_once(url: str) -> None:
    clock = ManualClock()
    replicas = [await LocalBackend.connect(url, clock) for _ in range(2)]
    await replicas[0].register("c", "m", pid=None)
    for n in range(20):
        await replicas[0].create_task(new(f"t{n}"), actor=ANA)
        await replicas[0].claim(asking(f"r{n}"))
    clock.advance(301)
    taken = await asyncio.gather(*(replica.expire_leases() for replica in replicas * 3))
    assert sorted(task.id for some in taken for task in some) == sorted(f"t{n}" for n in range(20))
    for replica in replicas:
        await replica.close()
    sound(url)


@pytest.mark.parametrize("roles", [(), ("implement",)])
@pytest.mark.parametrize("named", [None, "t"])
def test_the_statement_that_claims_does_what_the_table_says(
    store: PostgresStore, service: Service, roles: tuple[str, ...], named: str | None
) -> None:
    store.begin()
    service.tasks.create(new("t"), ANA)
    first = service.leases.claim(asking("r1"))
    assert first is not None
    service.transitions.transition(
        Transition("t", Action.SUBMIT, SYSTEM, fence=first.task.fence, head_sha="h", run_id="r1")
    )
    before = service.transitions.transition(Transition("t", Action.REJECT, ANA, reason="again"))
    claim = service.leases.claim(asking("r2", roles=roles, task_id=named))
    store.commit()
    assert claim is not None
    now = from_ms(ManualClock().now_ms())
    expected = apply(before, Transition("t", Action.CLAIM, SYSTEM), Facts(now, Limits()))
    assert claim.task == replace(
        expected,
        claimed_by="impl-1",
        claimed_at=now,
        orchestrator_id="c-m",
        run_id="r2",
        lease_expires_at=now + timedelta(seconds=300),
    )


REPLICA = textwrap.dedent("""
    import asyncio, sys
    from backend.interface import Action, Transition
    from backend.local import LocalBackend
    from backend.model import SYSTEM, ClaimRequest, Outcome, RunEnd

    async def work(backend, which):
        number = 0
        while True:
            claim = await backend.claim(ClaimRequest("c-m", "a", "demo", f"r{which}-{number}", 300))
            number += 1
            if claim is None:
                return
            print("claimed", claim.task.id, claim.task.fence, flush=True)
            end = RunEnd(Outcome.SUBMITTED, "done")
            await backend.transition(Transition(
                claim.task.id, Action.SUBMIT, SYSTEM, fence=claim.task.fence, head_sha="h", run_end=end))
            print("submitted", claim.task.id, claim.task.fence, flush=True)

    async def main():
        backend = await LocalBackend.connect(sys.argv[1])
        await asyncio.gather(*(work(backend, f"{sys.argv[2]}-{which}") for which in range(2)))
        await backend.close()

    asyncio.run(main())
""")


def _replica(url: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", REPLICA, url, name], stdout=subprocess.PIPE, text=True)


async def test_l21_of_two_replicas_one_is_killed_and_no_task_is_lost_or_shared(url: str) -> None:
    """L-21: two processes with two claimers each; one process dies in the middle of its work."""
    backend = await LocalBackend.connect(url)
    await backend.register("c", "m", pid=None)
    await asyncio.gather(*(backend.create_task(new(f"t{n}"), actor=ANA) for n in range(400)))
    one, other = _replica(url, "one"), _replica(url, "other")
    assert one.stdout is not None
    assert other.stdout is not None
    told = [one.stdout.readline() for _ in range(40)]
    one.kill()
    told += one.stdout.read().splitlines()
    told += (await asyncio.to_thread(other.communicate))[0].splitlines()
    assert (one.wait(), other.returncode) == (-signal.SIGKILL, 0)
    one.stdout.close()
    said = [line.split() for line in told if len(line.split()) == 3]
    claimed = [name for word, name, _ in said if word == "claimed"]
    assert len(claimed) == len(set(claimed))
    tasks = {task.id: task for task in await backend.list_tasks(TaskFilter())}
    held = [task for task in tasks.values() if task.queue is Queue.CLAIMED]
    assert len(tasks) == 400
    assert len(held) <= 2
    assert all(task.queue in (Queue.PROVISIONAL, Queue.CLAIMED) for task in tasks.values())
    for word, name, fence in said:
        if word == "submitted":
            assert tasks[name].queue is Queue.PROVISIONAL
        assert tasks[name].fence >= int(fence)
    assert all(run.task_id in {task.id for task in held} for run in await backend.list_runs(live=True))
    await backend.close()
    sound(url)


def test_a_run_that_is_being_changed_does_not_end_in_between(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told of a run, and what the run is, are one: whoever ends it waits for the change."""
    one, other = (Link(url, ManualClock(), Limits()) for _ in range(2))

    def prepare(service: Service) -> None:
        service.machines.register(NewMachine("c", "m"))
        service.tasks.create(new("t"), ANA)
        service.leases.claim(asking("r"))

    began, ended = threading.Event(), threading.Event()

    save = PostgresRuns.save

    def save_late(runs: PostgresRuns, run: Run) -> None:
        began.set()
        assert not ended.wait(0.3), "the run was ended between reading and saving it"
        save(runs, run)

    def change(service: Service) -> None:
        service.runs.update("r", RunPatch(branch="octopoid/t", turns=7))

    monkeypatch.setattr(PostgresRuns, "save", save_late)

    def end() -> None:
        assert began.wait(60)
        other.run(lambda service: service.runs.end("r", RunEnd(Outcome.LOST, "gone")), True, monotonic() + 60)
        ended.set()

    try:
        one.run(prepare, True, monotonic() + 30)
        with ThreadPoolExecutor(1) as pool:
            ending = pool.submit(end)
            one.run(change, True, monotonic() + 60)
            ending.result(60)
        run = one.run(lambda service: service.runs.get("r"), False, monotonic() + 30)
        assert (run.status, run.branch, run.turns) == (RunStatus.ENDED, "octopoid/t", 7)
    finally:
        one.close()
        other.close()
