"""Bring a SQLite file to the newest schema: numbered steps, forward only, each recorded with its checksum."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from backend.errors import StoreBroken
from backend.store.sqlite import damaged

FOLDER = Path(__file__).parent / "migrations" / "sqlite"
VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def available(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """The steps that ship, in order."""
    found = (
        Migration(int(path.name.partition("_")[0]), path.stem, path.read_text(encoding="utf-8"))
        for path in folder.glob("*.sql")
    )
    return tuple(sorted(found, key=lambda step: step.number))


def applied(connection: sqlite3.Connection) -> dict[int, str]:
    """Number and checksum of the steps a file has gone through; none for an empty file."""
    known = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'").fetchone()
    if known is None:
        return {}
    return {row[0]: row[1] for row in connection.execute("SELECT number, checksum FROM schema_migrations")}


def migrate(
    connection: sqlite3.Connection, path: Path, now: int, steps: Sequence[Migration] | None = None
) -> None:
    """Apply what is missing, after a backup when there is something to lose.

    Raises:
        StoreBroken: the file has a newer schema, or one that was made by other steps.
    """
    ours = available() if steps is None else steps
    done = applied(connection)
    check_history(done, ours, path)
    missing = [step for step in ours if step.number not in done]
    if not missing:
        return
    if done:
        back_up(connection, path.with_name(f"{path.name}.backup-{max(done):04d}-{now}"))
    for step in missing:
        _apply(connection, step, now)


def back_up(connection: sqlite3.Connection, copy: Path) -> None:
    """Copy the store to a new file and check the copy.

    Raises:
        StoreBroken: the copy does not come out sound.
    """
    with closing(sqlite3.connect(copy)) as target:
        connection.backup(target)
        verdict = quick_check(target)
    if verdict is not None:
        raise damaged(copy, verdict)


def quick_check(connection: sqlite3.Connection) -> str | None:
    """What SQLite finds wrong with the file; None when it finds nothing."""
    verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return None if verdict == "ok" else verdict


def check_history(done: dict[int, str], ours: Sequence[Migration], place: Path | str) -> None:
    """
    Raises:
        StoreBroken: what was done to a store is not a beginning of our steps.
    """
    known = {step.number: step.checksum for step in ours}
    newer = sorted(number for number in done if number not in known)
    if newer:
        raise StoreBroken(
            f"the store {place} has schema {newer[-1]}, this Octopoid knows up to {max(known, default=0)}",
            "use the Octopoid that wrote it, or a newer one",
        )
    changed = sorted(number for number, checksum in done.items() if known[number] != checksum)
    if changed:
        raise StoreBroken(
            f"the store {place} was made by another form of schema step {changed[0]}",
            "it comes from an unreleased Octopoid: export with that one and import here",
        )


def _apply(connection: sqlite3.Connection, step: Migration, now: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(VERSIONS)
        for statement in statements(step.text):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)", (step.number, step.name, step.checksum, now)
        )
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would commit after each of them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if any(line.strip() and not line.strip().startswith("--") for line in statement.splitlines()):
        raise ValueError(f"unfinished statement at the end: {statement.strip()[:80]!r}")
