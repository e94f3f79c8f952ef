"""How a call that is written once becomes a method of a blocking and of an asynchronous client."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, overload

from octopoid_sdk.exchange import Steps, read
from octopoid_sdk.transport import AsyncTransport, Transport

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """A client, or a part of one, whose methods return results."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _run(self, steps: Steps[T]) -> T:
        try:
            wanted = next(steps)
            while True:
                answer = self._transport.send(wanted)
                wanted = steps.send(read(answer))
        except StopIteration as done:
            result: T = done.value
            return result


class Asynchronous:
    """A client, or a part of one, whose methods return what is to be awaited."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _run(self, steps: Steps[T]) -> T:
        try:
            wanted = next(steps)
            while True:
                answer = await self._transport.send(wanted)
                wanted = steps.send(read(answer))
        except StopIteration as done:
            result: T = done.value
            return result


class operation(Generic[P, T]):
    """A method made of a call: on a `Blocking` object it returns the result, on the other a coroutine."""

    def __init__(self, call: Callable[P, Steps[T]]) -> None:
        self.call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> operation[P, T]: ...
    @overload
    def __get__(self, owner: Blocking, kind: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: Asynchronous, kind: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, owner: Blocking | Asynchronous | None, kind: type) -> Any:
        if owner is None:
            return self
        run: Callable[[Steps[T]], Any] = owner._run

        @functools.wraps(self.call)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return run(self.call(*args, **kwargs))

        return method
