"""A backend inside of one change: whatever is done through it is part of that change's transaction."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from backend.service import Service
from backend.workers import Watchers

T = TypeVar("T")


class Inline:
    """The engine of such a backend: it runs each job at once, in the thread that runs the change."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.watchers = Watchers()

    async def read(self, job: Callable[[Service], T]) -> T:
        return job(self._service)

    async def aside(self, job: Callable[[Service], T]) -> T:
        return job(self._service)

    async def write(self, job: Callable[[Service], T]) -> T:
        return job(self._service)

    def close(self) -> None:
        """Nothing: the store is closed by whoever opened it."""


def run_at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that awaits nothing but a backend of this kind.

    Raises:
        RuntimeError: it waits for something else, and would keep the transaction open meanwhile.
    """
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("inside of a change nothing but its store may be waited for")
