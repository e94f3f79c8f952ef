"""Rows of a long list, made only for those that are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar, overload

from octopoid_tui.widgets.grid_model import Row


class Identified(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Identified)


class LazyRows(Sequence[Row], Generic[T]):
    """A view over things in order. Indexing makes a row; iterating gives bare rows, to look for ids."""

    def __init__(self, things: Sequence[T], make: Callable[[T], Row]) -> None:
        self._things = things
        self._make = make
        self._made: dict[int, Row] = {}

    def __len__(self) -> int:
        return len(self._things)

    def __iter__(self) -> Iterator[Row]:
        return (Row(thing.id, ()) for thing in self._things)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        # A row is looked at twice: when it is shown, and when it is compared with what comes after it.
        made = self._made.get(index)
        if made is None:
            made = self._made[index] = self._make(self._things[index])
        return made
