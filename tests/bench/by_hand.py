"""The same SQL as the SQLite store's, with nothing around it: what the benchmarks compare against.

No records, no lifecycle, no checks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlite_utils import Database

from backend.clock import SystemClock
from backend.store.migrate import migrate
from backend.store.sqlite import STATEMENTS, connect

HEAD = "b" * 40
BODY = "x" * 500
MACHINE = "c-m"
EVENT = STATEMENTS["insert_event"]
NOW = SystemClock().now_ms
DATA = '{{"run_id":"{run_id}","fence":{fence},"attempt":1,"role":"implement"}}'


NEW = {
    "title": "Task", "body": BODY, "queue": "incoming", "priority": "P2", "role": "implement",
    "type": "feature", "complexity": None, "project_id": None, "file_path": None, "repo_url": None,
    "base_branch": "main", "base_sha": "a" * 40, "needs": "[]", "auto_accept": 0, "open_blockers": 0,
    "reason": None, "created_by": "ana", "metadata": "{}", "created_as": "x" * 64, "scope": None,
}  # fmt: skip


def seed(path: Path, ready: int, done: int = 0, synchronous: str = "FULL") -> sqlite3.Connection:
    """A fresh store with tasks and a machine, and its connection."""
    connection = connect(path, synchronous=synchronous)
    migrate(connection, path, 0)
    connection.execute(
        "INSERT INTO orchestrators (id, cluster, machine_id, registered_at, last_heartbeat_at)"
        f" VALUES ('{MACHINE}', 'c', 'm', 0, 0)"
    )
    Database(connection)["tasks"].insert_all(rows(ready, done), batch_size=100)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return connection


def create(connection: sqlite3.Connection, task_id: str) -> None:
    """Store a task and its event, in a transaction of its own."""
    execute, now = connection.execute, NOW()
    execute("BEGIN IMMEDIATE")
    values = NEW | {"id": task_id, "now": now}
    execute(STATEMENTS["insert_task"], values)
    data = '{"title":"Task","role":"implement","priority":"P2"}'
    execute(EVENT, (now, "s", "task", task_id, "create", None, "incoming", 1, None, data))
    execute("COMMIT")


def rows(ready: int, done: int) -> Iterator[dict[str, object]]:
    """Tasks that are ready, then tasks that are done."""
    for index in range(ready + done):
        yield {
            "id": f"t{index}", "title": f"Task {index}", "body": BODY, "priority": f"P{index % 4}",
            "queue": "incoming" if index < ready else "done", "role": "implement",
            "type": "feature", "base_branch": "main", "base_sha": "a" * 40, "needs": "[]", "auto_accept": 0,
            "open_blockers": 0, "created_by": "ana", "created_at": 0, "updated_at": 0, "metadata": "{}",
            "created_as": "x",
        }  # fmt: skip


def claim(connection: sqlite3.Connection, run_id: str, history: bool = True) -> tuple[str, int, sqlite3.Row]:
    """Claim the next task in a transaction of its own: its id, its fence and its row."""
    execute, now = connection.execute, NOW()
    execute("BEGIN IMMEDIATE")
    values = {
        "agent_name": "a", "orchestrator_id": MACHINE, "run_id": run_id, "attempts": 5, "scope": None,
        "now": now, "expires": now + 300_000,
    }  # fmt: skip
    (task,) = execute(STATEMENTS["claim_next"], values).fetchall()
    task_id, fence = task["id"], task["fence"]
    if history:
        run = {
            "id": run_id, "task_id": task_id, "attempt": task["attempt_count"], "fence": fence,
            "role": task["role"], "agent_name": "a", "orchestrator_id": MACHINE, "adapter": "demo",
            "model": None, "now": now,
        }  # fmt: skip
        execute(STATEMENTS["insert_run"], run)
        data = DATA.format(run_id=run_id, fence=fence)
        execute(
            EVENT, (now, "a", "task", task_id, "claim", "incoming", "claimed", task["version"], None, data)
        )
        execute(EVENT, (now, "a", "run", run_id, "start", None, "starting", None, None, data))
    execute("COMMIT")
    return task_id, fence, task


def submit(connection: sqlite3.Connection, task_id: str, fence: int, run_id: str) -> sqlite3.Row:
    """Hand the work in, in a transaction of its own: the row as it was before."""
    execute, now = connection.execute, NOW()
    execute("BEGIN IMMEDIATE")
    found: sqlite3.Row = execute(STATEMENTS["read_task"], {"id": task_id}).fetchone()
    if found["queue"] != "claimed" or found["fence"] != fence:
        raise RuntimeError("lost")
    version = found["version"] + 1
    execute(STATEMENTS["save_state"], submitted(task_id, fence, version, now))
    end = {
        "id": run_id, "outcome": "submitted", "reason": "done", "head_sha": None, "exit_code": None,
        "commits_count": None, "summary": None, "now": now,
    }  # fmt: skip
    execute(STATEMENTS["end_run"], end)
    data = DATA.format(run_id=run_id, fence=fence)
    execute(EVENT, (now, "s", "task", task_id, "submit", "claimed", "provisional", version, None, data))
    execute(EVENT, (now, "s", "run", run_id, "end", "starting", "ended", None, "done", data))
    execute("COMMIT")
    return found


def submitted(task_id: str, fence: int, version: int, now: int) -> dict[str, object]:
    """The state of a task that was handed in."""
    return {
        "id": task_id, "queue": "provisional", "open_blockers": 0, "claimed_by": None, "claimed_at": None,
        "orchestrator_id": None, "run_id": None, "fence": fence + 1, "lease_expires_at": None,
        "attempt_count": 1, "attempts_forgiven": 0, "rejection_count": 0, "continuation_count": 0,
        "conflict_count": 0, "head_sha": HEAD, "resume_run_id": None, "approved_by": None,
        "approved_at": None, "approved_sha": None, "reason": None, "merged_sha": None,
        "submitted_at": now, "completed_at": None, "version": version, "updated_at": now,
    }  # fmt: skip


def finish_without_history(connection: sqlite3.Connection, task_id: str) -> None:
    """The least that takes a task on: one statement in a transaction, no run, no log, nothing compared."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "UPDATE tasks SET queue = 'provisional', claimed_by = NULL, claimed_at = NULL,"
        " orchestrator_id = NULL, run_id = NULL, lease_expires_at = NULL, head_sha = ?, submitted_at = ?"
        " WHERE id = ?",
        (HEAD, NOW(), task_id),
    )
    connection.execute("COMMIT")
