"""The threads behind an async backend over SQLite, and what any backend's threads have in common."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from time import sleep
from typing import Any, Generic, Protocol, TypeVar, cast

from backend.errors import StoreBroken
from backend.service import Service
from backend.store.sqlite import SqliteStore

T = TypeVar("T")
BATCH = 256
"""Commands that share one commit, at most: what waits longer than a commit takes is no batch any more."""


@dataclass(slots=True)
class Command(Generic[T]):
    """A job, and who waits for it where."""

    job: Callable[[Service], T]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Tell the one who waits; called in its own loop."""
        if self.future.done():
            return  # cancelled: the change is made, its caller has gone
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(cast("T", self.result))


class Watchers:
    """Events to set, each in its own loop, when the log has grown."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watching: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self.closed = False

    @contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        with self._lock:
            self._watching[event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            with self._lock:
                del self._watching[event]

    def wake(self) -> None:
        with self._lock:
            watching = list(self._watching.items())
        for event, loop in watching:
            _call(loop, event.set)

    def close(self) -> None:
        self.closed = True
        self.wake()


class Engine(Protocol):
    """What runs jobs against a store, each as one transaction."""

    @property
    def watchers(self) -> Watchers: ...

    async def read(self, job: Callable[[Service], T]) -> T:
        """Run a job that changes nothing; it sees one state of the store throughout."""
        ...

    async def aside(self, job: Callable[[Service], T]) -> T:
        """Run a job that changes nothing and takes long, on a connection of its own."""
        ...

    async def write(self, job: Callable[[Service], T]) -> T:
        """Run a job; when this returns its changes are kept, when it raises none of them is."""
        ...

    def close(self) -> None:
        """Finish what is queued, and close the store; again is no error."""
        ...


class Worker:
    """A thread that owns a connection and works off a queue of commands."""

    def __init__(self, store: SqliteStore, service: Service, name: str) -> None:
        self._store = store
        self._service = service
        self._queue: SimpleQueue[Command[Any] | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def submit(self, job: Callable[[Service], T]) -> T:
        """Run a job in the thread.

        Raises:
            StoreBroken: the backend is closed, or the store failed; nothing of the job was kept.
        """
        loop = asyncio.get_running_loop()
        command: Command[T] = Command(job, loop, loop.create_future())
        with self._closing:
            if self._closed:
                raise StoreBroken(f"the store {self._store.path} is closed", "open it again")
            self._queue.put(command)
        return await command.future

    def close(self) -> None:
        """Work off the queue, end the thread and close the connection."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._store.close()

    def _run(self) -> None:
        while (command := self._queue.get()) is not None:
            self._work(command)

    def _work(self, first: Command[Any]) -> None:
        raise NotImplementedError

    def _explained(self, error: Exception) -> Exception:
        explained = self._store.explain(error)
        if explained is None:
            return error
        explained.__cause__ = error
        return explained


class Reader(Worker):
    """Each job sees one state of the store throughout."""

    def __init__(self, store: SqliteStore, service: Service) -> None:
        super().__init__(store, service, "octopoid-reader")

    def _work(self, first: Command[Any]) -> None:
        try:
            self._store.begin_read()
            first.result = first.job(self._service)
        except Exception as error:
            first.error = self._explained(error)
        finally:
            self._store.rollback()
        settle_all([first])


class Writer(Worker):
    """Commits together what has been queued meanwhile; a failing job undoes only itself."""

    def __init__(self, store: SqliteStore, service: Service, watchers: Watchers) -> None:
        self._watchers = watchers
        super().__init__(store, service, "octopoid-writer")

    def _work(self, first: Command[Any]) -> None:
        batch = [first]
        ended = False
        # Let the others put theirs: whoever was woken by the last commit is just about to. Without this every
        # second commit carries a single command, and 16 claimers get through a third less.
        sleep(0)
        with suppress(Empty):
            while len(batch) < BATCH:
                command = self._queue.get_nowait()
                if command is None:
                    ended = True
                    break
                batch.append(command)
        self._commit(batch)
        settle_all(batch)
        self._watchers.wake()
        if ended:
            self._queue.put(None)

    def _commit(self, batch: list[Command[Any]]) -> None:
        """Run every job and commit; when the transaction itself fails, all of them have failed."""
        store = self._store
        try:
            store.begin()
            for command in batch:
                store.mark()
                self._try(command)
            store.commit()
        except Exception as error:
            with suppress(Exception):  # the error that ended the transaction is the one to tell
                store.rollback()
            explained = self._explained(error)
            for command in batch:
                command.error = command.error or explained

    def _try(self, command: Command[Any]) -> None:
        store = self._store
        try:
            command.result = command.job(self._service)
        except Exception as error:
            command.error = self._explained(error)
            if not store.in_transaction:
                raise  # a full disk ends the whole transaction, and what came before is lost with it
            store.undo()
        else:
            store.keep()


class Embedded:
    """SQLite: one thread writes and commits together what is queued; another reads.

    So a long listing holds up no claim, and no connection waits for another's lock.
    """

    def __init__(
        self,
        writing: tuple[SqliteStore, Service],
        reading: tuple[SqliteStore, Service],
        another: Callable[[], tuple[SqliteStore, Service]] | None = None,
    ) -> None:
        self.watchers = Watchers()
        self._another = another
        self._writer = Writer(*writing, self.watchers)
        self._reader = Reader(*reading)

    async def read(self, job: Callable[[Service], T]) -> T:
        return await self._reader.submit(job)

    async def aside(self, job: Callable[[Service], T]) -> T:
        if self._another is None:
            return await self.read(job)
        return await asyncio.to_thread(_on_its_own, self._another, job)

    async def write(self, job: Callable[[Service], T]) -> T:
        return await self._writer.submit(job)

    def close(self) -> None:
        # The reader first: the last connection to close folds the write-ahead log into the file.
        self._reader.close()
        self._writer.close()


def _on_its_own(another: Callable[[], tuple[SqliteStore, Service]], job: Callable[[Service], T]) -> T:
    store, service = another()
    try:
        store.begin_read()
        return job(service)
    finally:
        store.rollback()
        store.close()


def settle_all(batch: list[Command[Any]]) -> None:
    """Tell everybody who waits, with one call into each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Command[Any]]] = {}
    for command in batch:
        by_loop.setdefault(command.loop, []).append(command)
    for loop, commands in by_loop.items():
        _call(loop, partial(_settle, commands))


def _settle(commands: list[Command[Any]]) -> None:
    for command in commands:
        command.settle()


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop has ended, and with it everybody who could have waited there
        loop.call_soon_threadsafe(callback)
