"""Named SQL: blocks of `-- name: x`, one line of purpose, and one statement."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class Answer(Protocol):
    """What a statement gave, as far as the stores look at it."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Session(Protocol):
    """A connection that takes statements of its dialect, with values by name."""

    def execute(self, statement: str, values: Mapping[str, object] = ..., /) -> Answer: ...

    def executemany(self, statement: str, values: Sequence[Mapping[str, object]], /) -> object: ...


def load(dialect: str) -> Mapping[str, str]:
    """The statements of a dialect by name.

    Raises:
        ValueError: a name is there twice, or a block says no purpose.
    """
    text = (Path(__file__).parent / "sql" / f"{dialect}.sql").read_text(encoding="utf-8")
    parts = HEADER.split(text)[1:]
    statements: dict[str, str] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        purpose, _, statement = block.strip().partition("\n")
        if name in statements or not purpose.startswith("-- ") or not statement:
            raise ValueError(f"{dialect}.sql: block {name!r} is there twice, or lacks purpose or statement")
        statements[name] = statement.strip()
    return MappingProxyType(statements)


def load_like(dialect: str, model: Mapping[str, str]) -> Mapping[str, str]:
    """The statements of a dialect, which has to have exactly the names of another.

    Raises:
        ValueError: a name is missing or too many.
    """
    statements = load(dialect)
    different = sorted(statements.keys() ^ model.keys())
    if different:
        raise ValueError(f"{dialect}.sql does not have the statements of the other dialect: {different}")
    return statements
