"""Every key of the configuration with its type, default and meaning, read off the schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from backend.config import hints
from backend.config.schema import AgentsFile, Config


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """One key: the file it belongs to, its path, and what it takes."""

    file: str
    path: str
    type: str
    default: str
    """As YAML; `required` or `none` where there is no value."""
    description: str


def describe() -> list[FieldDoc]:
    """All keys, in the order of the schema."""
    return [*_walk("config.yaml", Config, ""), *_walk("agents.yaml", AgentsFile, "")]


def _walk(file: str, kind: type[Struct], prefix: str) -> Iterator[FieldDoc]:
    for info in fields(kind):
        path = prefix + info.name
        item = hints.list_of(info.type)
        inner = hints.struct_of(info.type)
        inside = hints.struct_of(item) if item is not None else None
        if inner is None:
            description = hints.meta(info.type).description or ""
            yield FieldDoc(file, path, hints.in_words(info.type), _default(info), description)
        if inner is not None or inside is not None:
            yield from _walk(file, inner or inside or kind, f"{path}." if inner else f"{path}[].")


def _default(info: FieldInfo) -> str:
    if info.required:
        return "required"
    value: Any = info.default
    if info.default_factory is not msgspec.NODEFAULT:
        value = info.default_factory()
    return spelt(value)


def spelt(value: Any) -> str:
    """A value as YAML; `none` where there is none."""
    return "none" if value is None else msgspec.json.encode(value).decode()
