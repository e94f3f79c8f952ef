"""Named SQL: blocks of `-- name: x`, one line of purpose, and one statement."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


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
