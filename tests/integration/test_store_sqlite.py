"""The SQLite store: its plans, its settings, its constraints, and how it comes to be."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pytest

from backend.clock import ManualClock, from_ms
from backend.errors import StoreBroken
from backend.interface import Action, Transition
from backend.lifecycle import Facts, Limits, apply
from backend.local import LocalBackend, open_store
from backend.model import (
    SYSTEM,
    Actor,
    ClaimRequest,
    NewMachine,
    NewTask,
    Queue,
    SenderType,
    TaskFilter,
)
from backend.service import Service
from backend.store.audit import audit
from backend.store.migrate import Migration, available, migrate, statements
from backend.store.sql import load
from backend.store.sql_tasks import listing
from backend.store.sqlite import STATEMENTS, SqliteStore, connect

ANA = Actor(SenderType.HUMAN, "ana")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    writing, reading = open_store(tmp_path / "octopoid.db", ManualClock().now_ms())
    reading.close()
    yield writing
    writing.close()


@pytest.fixture
def service(store: SqliteStore) -> Service:
    service = Service(store, ManualClock(), Limits())
    service.machines.register(NewMachine("c", "m"))
    return service


def new(task_id: str, **changes: object) -> NewTask:
    return NewTask(task_id, task_id, "implement", "main", "base", "ana", **changes)  # type: ignore[arg-type]


def asking(run_id: str, **changes: object) -> ClaimRequest:
    return ClaimRequest("c-m", "impl-1", "demo", run_id, 300, **changes)  # type: ignore[arg-type]


# Plans: each hot statement walks the index made for it


def plan(store: SqliteStore, statement: str, values: dict[str, object]) -> str:
    rows = store.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
    return "\n".join(row["detail"] for row in rows)


CLAIMING = {
    "agent_name": "a", "orchestrator_id": "o", "run_id": "r", "attempts": 5, "now": 0, "expires": 1,
    "scope": None,
}  # fmt: skip


def test_a_claim_takes_the_head_of_the_index(store: SqliteStore) -> None:
    found = plan(store, STATEMENTS["claim_next"], CLAIMING)
    assert "USING INDEX tasks_by_queue (queue=?)" in found
    assert "USING INTEGER PRIMARY KEY" in found
    assert "SCAN" not in found
    assert "TEMP B-TREE" not in found


def test_a_claim_of_roles_walks_the_index_of_roles(store: SqliteStore) -> None:
    found = plan(store, STATEMENTS["claim_next_of_roles"], CLAIMING | {"roles": '["a"]'})
    assert "USING INDEX tasks_ready_by_role (role=?)" in found
    assert [line for line in found.splitlines() if line.startswith("SCAN")] == [
        "SCAN wanted VIRTUAL TABLE INDEX 1:"
    ]


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("list_expired", {"now": 0}, "tasks_leased (lease_expires_at<?)"),
        ("list_live_runs", {}, "runs_live"),
        ("list_open_questions", {}, "messages_open"),
        ("list_dependents", {"id": "t"}, "dependents (blocker_id=?)"),
        ("find_holder", {"task_id": "t", "fence": 1}, "(task_id=? AND fence=?)"),
        ("sum_cost", {"since": 0}, "runs_with_cost (started_at>?)"),
        ("list_entity_events", {"entity_id": "t", "after": 0, "limit": 1}, "events_by_entity (entity_id=?"),
        ("list_events", {"after": 0, "limit": 1}, "INTEGER PRIMARY KEY (rowid>?)"),
        ("renew_lease", {"id": "t", "fence": 1, "orchestrator_id": "o", "expires": 0}, "(id=?)"),
        ("list_task_runs", {"task_id": "t"}, "(task_id=?)"),
    ],
)
def test_each_lookup_walks_its_index(
    store: SqliteStore, name: str, values: dict[str, object], index: str
) -> None:
    found = plan(store, STATEMENTS[name], values)
    assert index in found
    assert "TEMP B-TREE" not in found


def test_unfinished_tasks_of_a_project_walk_its_index(store: SqliteStore) -> None:
    found = plan(store, load("sqlite_planning")["list_unfinished"], {"id": "p", "limit": 6})
    assert "USING INDEX tasks_by_project (project_id=?)" in found
    assert "TEMP B-TREE" not in found


def test_a_listing_of_one_state_needs_no_sort(store: SqliteStore) -> None:
    names, values = listing(TaskFilter(queues=frozenset({Queue.INCOMING}), limit=100))
    found = plan(store, "\n".join(STATEMENTS[name] for name in names), values)
    assert "USING INDEX tasks_by_queue (queue=?)" in found
    assert "TEMP B-TREE" not in found


def test_every_statement_is_named_purposeful_and_accepted_by_sqlite(store: SqliteStore) -> None:
    named = [load(f"sqlite{part}") for part in ("", "_audit", "_planning", "_transfer")]
    for name, statement in chain.from_iterable(part.items() for part in named):
        if name.startswith(("filter_", "in_claim_order")):
            continue
        marks = {word: None for word in sorted(set(_parameters(statement)))}
        values = tuple([None] * statement.count("?")) if "?" in statement else marks
        store.connection.execute(f"EXPLAIN {statement}", values).close()


def _parameters(statement: str) -> list[str]:
    parts = statement.split(":")[1:]
    return ["".join(iter_name(part)) for part in parts]


def iter_name(text: str) -> Iterator[str]:
    for letter in text:
        if not (letter.isalnum() or letter == "_"):
            return
        yield letter


# Settings


def test_the_connection_is_durable_and_trusts_nothing(store: SqliteStore) -> None:
    def pragma(name: str) -> object:
        return store.connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("foreign_keys") == 1
    assert pragma("trusted_schema") == 0
    assert pragma("busy_timeout") == 10_000
    assert pragma("mmap_size") == 0


def test_the_file_is_for_its_owner_only(store: SqliteStore) -> None:
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_reader_can_not_write(tmp_path: Path) -> None:
    writing, reading = open_store(tmp_path / "octopoid.db", 0)
    with closing(writing), closing(reading), pytest.raises(sqlite3.OperationalError, match="readonly"):
        reading.machines.insert(NewMachine("c", "m"), 0)


# What the schema refuses, whoever writes


@pytest.mark.parametrize(
    ("assignment", "constraint"),
    [
        ("queue = 'claimed'", "claimed_has_lease"),
        ("run_id = 'r'", "claim_is_whole"),
        ("claimed_by = 'a'", "claim_is_whole"),
        ("lease_expires_at = 1", "claim_is_whole"),
        (
            "run_id = 'r', claimed_by = 'a', claimed_at = 1, orchestrator_id = 'c-m', lease_expires_at = 1",
            "lease_has_place",
        ),
        ("queue = 'failed'", "failure_has_reason"),
        ("queue = 'escalated', reason = ' '", "failure_has_reason"),
        ("queue = 'blocked'", "blocked_while_waiting"),
        ("open_blockers = 1", "blocked_while_waiting"),
        ("open_blockers = -1", "open_blockers >= 0"),
        ("queue = 'nowhere'", "queue IN"),
        ("approved_sha = 'x'", "approval_is_whole"),
        ("attempts_forgiven = 1", "attempts_add_up"),
    ],
)
def test_l14_what_no_rule_produces_can_not_be_stored(
    store: SqliteStore, service: Service, assignment: str, constraint: str
) -> None:
    service.tasks.create(new("t"), ANA)
    with pytest.raises(sqlite3.IntegrityError, match=constraint):
        store.connection.execute(f"UPDATE tasks SET {assignment}")


@pytest.mark.parametrize("statement", ["DELETE FROM events", "UPDATE events SET kind = 'x'"])
def test_the_log_is_append_only(store: SqliteStore, service: Service, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store.connection.execute(statement)


# Coming to be, and growing older


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "octo pöid?.db"
    clock = ManualClock()
    first = await LocalBackend.open(path, clock)
    await first.register("c", "m", pid=None)
    await first.create_task(new("a"), actor=ANA)
    claim = await first.claim(asking("r"))
    await first.close()
    await first.close()
    second = await LocalBackend.open(path, clock)
    assert claim is not None
    assert await second.get_task("a") == claim.task
    assert await second.list_runs(live=True) == [claim.run]
    await second.close()
    with pytest.raises(StoreBroken, match="is closed"):
        await second.get_task("a")
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


LAST = available()[-1].number
NEXT = Migration(LAST + 1, "more", "CREATE TABLE more (x INTEGER) STRICT;\nINSERT INTO more VALUES (1);\n")


def test_a_migration_backs_up_first_and_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "octopoid.db"
    with closing(connect(path)) as connection:
        migrate(connection, path, 1000)
        migrate(connection, path, 2000)
        assert [file.name for file in tmp_path.glob("*.backup-*")] == []
        migrate(connection, path, 3000, (*available(), NEXT))
        assert connection.execute("SELECT x FROM more").fetchone()[0] == 1
        rows = connection.execute("SELECT number, name, applied_at FROM schema_migrations").fetchall()
        assert [tuple(row) for row in rows] == [
            *((step.number, step.name, 1000) for step in available()),
            (LAST + 1, "more", 3000),
        ]
    (backup,) = tmp_path.glob("*.backup-*")
    assert backup.name == f"octopoid.db.backup-{LAST:04d}-3000"
    with closing(connect(backup)) as connection:
        assert audit(connection) == []
        assert connection.execute("SELECT count(*) FROM schema_migrations").fetchone()[0] == LAST


def test_a_newer_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "octopoid.db"
    with closing(connect(path)) as connection:
        migrate(connection, path, 0, (*available(), NEXT))
    said = rf"has schema {LAST + 1}, this Octopoid knows up to {LAST}.*or a newer one"
    with pytest.raises(StoreBroken, match=said):
        open_store(path, 0)


def test_another_form_of_a_step_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "octopoid.db"
    with closing(connect(path)) as connection:
        migrate(connection, path, 0)
        connection.execute("UPDATE schema_migrations SET checksum = 'x'")
    with pytest.raises(StoreBroken, match="another form of schema step 1"):
        open_store(path, 0)


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "octopoid.db"
    script = "CREATE TABLE half (x INTEGER);\nINSERT INTO nowhere VALUES (1);\n"
    broken = Migration(LAST + 1, "broken", script)
    with closing(connect(path)) as connection:
        migrate(connection, path, 0)
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            migrate(connection, path, 1, (*available(), broken))
        assert connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'half'").fetchone() is None
        migrate(connection, path, 2)


def test_an_unfinished_script_is_refused() -> None:
    assert list(statements("SELECT 1;\n-- end\n")) == ["SELECT 1;\n"]
    with pytest.raises(ValueError, match="unfinished"):
        list(statements("SELECT 1"))


def test_the_steps_are_numbered_without_gaps() -> None:
    assert [step.number for step in available()] == list(range(1, len(available()) + 1))


# Many at once


async def test_l21_eight_threads_share_no_task(tmp_path: Path) -> None:
    """L-21: the same task was claimed twice. Each thread has an event loop of its own."""
    backend = await LocalBackend.open(tmp_path / "octopoid.db")
    await backend.register("c", "m", pid=None)
    for index in range(200):
        await backend.create_task(new(f"t{index}"), actor=ANA)
    shares: list[list[str]] = [[] for _ in range(8)]

    async def work(which: int) -> None:
        while (claim := await backend.claim(asking(f"r{which}-{len(shares[which])}"))) is not None:
            shares[which].append(claim.task.id)

    threads = [threading.Thread(target=asyncio.run, args=(work(which),)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    claimed = [task_id for share in shares for task_id in share]
    assert len(claimed) == len(set(claimed)) == 200
    await backend.close()
    with closing(connect(tmp_path / "octopoid.db")) as connection:
        assert audit(connection) == []


async def test_what_is_queued_together_is_committed_together_and_fails_alone(tmp_path: Path) -> None:
    backend = await LocalBackend.open(tmp_path / "octopoid.db")
    wishes = [backend.create_task(new("same", metadata={"n": index}), actor=ANA) for index in range(20)]
    done = await asyncio.gather(*wishes, return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) == 1
    assert len(await backend.list_tasks(TaskFilter())) == 1
    assert await backend.last_seq() == 1
    await backend.close()


async def test_a_cancelled_caller_does_not_disturb_the_others(tmp_path: Path) -> None:
    backend = await LocalBackend.open(tmp_path / "octopoid.db")
    gone = asyncio.create_task(backend.create_task(new("gone"), actor=ANA))
    await asyncio.sleep(0)
    gone.cancel()
    await backend.create_task(new("here"), actor=ANA)
    assert {task.id for task in await backend.list_tasks(TaskFilter())} == {"gone", "here"}
    await backend.close()


async def test_a_task_that_frees_many_frees_all_of_them(tmp_path: Path) -> None:
    backend = await LocalBackend.open(tmp_path / "octopoid.db")
    await backend.register("c", "m", pid=None)
    await backend.create_task(new("root"), actor=ANA)
    await asyncio.gather(
        *(backend.create_task(new(f"t{index}", blocked_by=("root",)), actor=ANA) for index in range(500))
    )
    claim = await backend.claim(asking("r"))
    assert claim is not None
    await backend.transition(Transition("root", Action.SUBMIT, SYSTEM, fence=claim.task.fence, head_sha="h"))
    await backend.transition(Transition("root", Action.APPROVE, ANA))
    await backend.transition(Transition("root", Action.ACCEPT, ANA, merged_sha="m"))
    counts = await backend.count_queues()
    assert (counts[Queue.INCOMING], counts[Queue.BLOCKED]) == (500, 0)
    await backend.close()
    with closing(connect(tmp_path / "octopoid.db")) as connection:
        assert audit(connection) == []


def test_the_audit_finds_what_is_unsound(store: SqliteStore, service: Service) -> None:
    service.tasks.create(new("a"), ANA)
    service.tasks.create(new("b", blocked_by=("a",)), ANA)
    assert audit(store.connection) == []
    store.connection.execute("UPDATE tasks SET version = 5 WHERE id = 'a'")
    store.connection.execute("UPDATE tasks SET open_blockers = 2 WHERE id = 'b'")
    store.connection.execute("UPDATE queue_counts SET tasks = 9 WHERE queue = 'done'")
    found = "\n".join(audit(store.connection))
    for broken in ("version_without_event", "wrong_open_blockers", "wrong_queue_count"):
        assert broken in found


@pytest.mark.parametrize("roles", [(), ("implement",)])
@pytest.mark.parametrize("named", [None, "t"])
def test_the_statement_that_claims_does_what_the_table_says(
    service: Service, roles: tuple[str, ...], named: str | None
) -> None:
    service.tasks.create(new("t"), ANA)
    first = service.leases.claim(asking("r1"))
    assert first is not None
    service.transitions.transition(
        Transition("t", Action.SUBMIT, SYSTEM, fence=first.task.fence, head_sha="h", run_id="r1")
    )
    before = service.transitions.transition(Transition("t", Action.REJECT, ANA, reason="again"))
    assert before.reason == "again"
    claim = service.leases.claim(asking("r2", roles=roles, task_id=named))
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
