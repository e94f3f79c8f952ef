"""The threads behind an async backend over PostgreSQL; each has a connection of its own."""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic, sleep
from typing import Any, TypeVar

import psycopg
from psycopg import errors as pg

from backend.clock import Clock
from backend.errors import OctopoidError, StoreBroken, StoreBusy
from backend.lifecycle import Limits
from backend.service import Service
from backend.store.postgres import DatabaseClock, PostgresStore, explain, is_away, name_of, open_connection
from backend.store.postgres_migrate import migrate
from backend.store.postgres_session import SESSION, Row
from backend.workers import Command, Watchers, settle_all

T = TypeVar("T")
WRITERS = 4
READERS = 2
PATIENCE_S = 5.0
"""How long a call waits for a database that is away before it fails."""
POLL_S = 2.0
"""How often watchers look by themselves: a notification is lost with its connection, or in a pooler."""
TOGETHER_S = 0.02
"""Notifications this close wake the watchers once, rather than the process for each claim of any replica."""
FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.5
TRIES = 8
"""How often a change is tried whose failure may be one of our own."""
IN_THE_WAY = (pg.DeadlockDetected, pg.SerializationFailure)
"""Others were changing the same at the same time: nothing was kept, and the next try may be alone."""
TAKEN = (pg.UniqueViolation,)
"""A unique value can be taken between a look and the write: the next look sees it and says so."""
CHANGED_SCHEMA = (pg.FeatureNotSupported,)
"""A newer version has changed the tables: what was prepared for them before is no use any more."""


class Link:
    """One thread's connection: made when it is needed, and made again when it is lost."""

    def __init__(self, url: str, clock: Clock, limits: Limits) -> None:
        self._url = url
        self._name = name_of(url)
        self._clock = clock
        self._limits = limits
        self._store: PostgresStore | None = None
        self._service: Service | None = None

    def run(self, job: Callable[[Service], T], writing: bool, until: float) -> T:
        """Run a job as one transaction, again while others are in the way or the database is away.

        Raises:
            StoreBusy: the database is away, or others were in the way, for too long.
            StoreBroken: it can not take the change.
        """
        tries = 0
        while True:
            tries += 1
            try:
                store, service = self._ready()
                return self._change(store, service, job, until) if writing else _look(store, service, job)
            except Exception as error:
                lost = self._tidy()
                if not _may_try_again(error, lost, tries) or monotonic() >= until:
                    explained = explain(error, self._name)
                    if explained is None:
                        raise
                    raise explained from error
                if isinstance(error, CHANGED_SCHEMA):
                    self.close()
            pause = min(FIRST_PAUSE_S * 2**tries, LONGEST_PAUSE_S)
            sleep(random.uniform(pause / 2, pause))

    def _ready(self) -> tuple[PostgresStore, Service]:
        if self._store is None or self._service is None:
            self._store = PostgresStore(open_connection(self._url), self._name)
            self._service = Service(self._store, self._clock, self._limits)
        return self._store, self._service

    def _change(self, store: PostgresStore, service: Service, job: Callable[[Service], T], until: float) -> T:
        store.begin()
        result = job(service)
        witness = store.log.last_waiting()
        try:
            store.commit()
        except psycopg.OperationalError:
            if witness is None or not store.session.lost or not self._was_kept(witness, until):
                raise
        return result

    def _was_kept(self, witness: dict[str, object], until: float) -> bool:
        """Whether a change was committed though the answer was lost: then its event is in the log.

        Raises:
            StoreBusy: there is no telling, since the database stays away.
        """
        self._tidy()
        while True:
            try:
                store, _ = self._ready()
                store.begin()
                return store.log.holds(witness)
            except (psycopg.OperationalError, StoreBusy) as error:
                if monotonic() >= until:
                    raise StoreBusy(
                        f"the database {self._name} was lost while it took a change",
                        "whether it was kept shows when it is back: look, or do it again",
                    ) from error
                sleep(LONGEST_PAUSE_S / 5)
            finally:
                self._tidy()

    def _tidy(self) -> bool:
        """Undo what is left of a transaction; True when there is no connection any more."""
        if self._store is not None:
            with suppress(psycopg.Error):
                self._store.rollback()
                if not self._store.session.lost:
                    return False
            self.close()
        return True

    def close(self) -> None:
        if self._store is not None:
            with suppress(psycopg.Error):
                self._store.close()
        self._store = self._service = None


def _look(store: PostgresStore, service: Service, job: Callable[[Service], T]) -> T:
    store.begin_read()
    # No rollback where no statement failed: the driver forgets with it every statement it has prepared.
    try:
        result = job(service)
    except OctopoidError:
        store.commit()
        raise
    store.commit()
    return result


def _may_try_again(error: Exception, lost: bool, tries: int) -> bool:
    if isinstance(error, IN_THE_WAY):
        return True
    if isinstance(error, TAKEN + CHANGED_SCHEMA):
        return tries < TRIES
    return isinstance(error, psycopg.Error | StoreBusy) and (lost or is_away(error))


class Crew:
    """Threads that share a queue of commands, each with a connection of its own."""

    def __init__(self, size: int, writing: bool, links: Callable[[], Link], watchers: Watchers) -> None:
        self._writing = writing
        self._watchers = watchers
        self._queue: SimpleQueue[tuple[Command[Any], float] | None] = SimpleQueue()
        name = "octopoid-writer" if writing else "octopoid-reader"
        self._threads = [
            threading.Thread(target=self._work, args=(links(),), name=name, daemon=True) for _ in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, command: Command[Any]) -> None:
        self._queue.put((command, monotonic() + PATIENCE_S))

    def close(self) -> None:
        """Work off the queue and end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, link: Link) -> None:
        while (item := self._queue.get()) is not None:
            command, until = item
            try:
                command.result = link.run(command.job, self._writing, until)
            except Exception as error:
                command.error = error
            settle_all([command])
            if self._writing:
                self._watchers.wake()
        link.close()


class Listener:
    """A thread that wakes the watchers when any process has written to the log."""

    def __init__(self, url: str, watchers: Watchers, clock: DatabaseClock | None) -> None:
        self._url = url
        self._watchers = watchers
        self._clock = clock
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._run, name="octopoid-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.close(self._end)
        self._thread.join()
        os.close(self._ended)

    def _run(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._ended, selectors.EVENT_READ)
            while True:
                with suppress(psycopg.Error, StoreBusy):
                    connection = open_connection(self._url)
                    try:
                        if self._listen(connection, waiting):
                            return
                    finally:
                        connection.close()
                # The connection is gone: watchers look by themselves until there is another.
                self._watchers.wake()
                if waiting.select(LONGEST_PAUSE_S):
                    return

    def _listen(self, connection: psycopg.Connection[Row], waiting: selectors.BaseSelector) -> bool:
        """Listen until the end, which is True, or until the connection fails."""
        connection.execute(SESSION["listen"])
        socket = connection.fileno()  # a connection that is lost does not tell it any more
        waiting.register(socket, selectors.EVENT_READ)
        try:
            while True:
                self._watchers.wake()
                ready = waiting.select(POLL_S)
                if any(key.fd == self._ended for key, _ in ready):
                    return True
                sleep(TOGETHER_S)
                for _ in connection.notifies(timeout=0):
                    pass
                if self._clock is not None and not ready:
                    self._clock.look(connection)
        finally:
            waiting.unregister(socket)


class Pool:
    """PostgreSQL: a few threads that write, a few that read, and one that listens."""

    def __init__(self, url: str, clock: Clock, limits: Limits) -> None:
        self.watchers = Watchers()
        self._name = name_of(url)
        self._closing = threading.Lock()
        self._closed = False

        def links() -> Link:
            return Link(url, clock, limits)

        self._link = links
        self._writers = Crew(WRITERS, True, links, self.watchers)
        self._readers = Crew(READERS, False, links, self.watchers)
        self._listener = Listener(url, self.watchers, clock if isinstance(clock, DatabaseClock) else None)

    @classmethod
    def open(cls, url: str, clock: Clock | None, limits: Limits) -> Pool:
        """Bring the database's tables up to date, and begin.

        Raises:
            StoreBusy: the database cannot be reached.
            StoreBroken: it is of a newer version, or can not be written.
        """
        connection = open_connection(url)
        try:
            ours = DatabaseClock()
            ours.look(connection)
            migrate(connection, name_of(url), (clock or ours).now_ms())
        except psycopg.Error as error:
            explained = explain(error, name_of(url))
            if explained is None:
                raise
            raise explained from error
        finally:
            connection.close()
        return cls(url, clock or ours, limits)

    async def read(self, job: Callable[[Service], T]) -> T:
        return await self._submit(self._readers, job)

    async def aside(self, job: Callable[[Service], T]) -> T:
        return await asyncio.to_thread(self._aside, job)

    def _aside(self, job: Callable[[Service], T]) -> T:
        link = self._link()
        try:
            return link.run(job, False, monotonic())
        finally:
            link.close()

    async def write(self, job: Callable[[Service], T]) -> T:
        return await self._submit(self._writers, job)

    async def _submit(self, crew: Crew, job: Callable[[Service], T]) -> T:
        loop = asyncio.get_running_loop()
        command: Command[T] = Command(job, loop, loop.create_future())
        with self._closing:
            if self._closed:
                raise StoreBroken(f"the store {self._name} is closed", "open it again")
            crew.put(command)
        return await command.future

    def close(self) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._listener.close()
        self._readers.close()
        self._writers.close()
