"""The configuration in force: every key with its value, where that comes from, and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from backend.config.describe import FieldDoc, describe, spelt
from backend.config.load import Loaded

DEFAULT = "default"
HIDDEN = "(hidden)"
SECRETS = frozenset({"server.api_key", "agents[].env"})
"""Keys whose values are shown to nobody; of a mapping, the names are."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key as it is in force."""

    key: str
    """Its path, with the numbers of list items: `checks[0].command`."""
    value: str
    source: str
    """`.octopoid/config.yaml:7`, the name of a variable of the environment, or `DEFAULT`."""
    doc: FieldDoc

    @property
    def is_default(self) -> bool:
        return self.source == DEFAULT


def config_settings(loaded: Loaded) -> list[Setting]:
    """All keys of config.yaml, in the order of the schema."""
    docs = {doc.path: doc for doc in describe() if doc.file == "config.yaml"}
    return list(_walk(loaded.config, "", "", docs, loaded.sources))


def agent_settings(loaded: Loaded, number: int) -> list[Setting]:
    """All keys of one entry of agents.yaml, counted from 0."""
    docs = {doc.path: doc for doc in describe() if doc.file == "agents.yaml"}
    spec = loaded.agents[number]
    return list(_walk(spec, f"agents[{number}].", "agents[].", docs, loaded.sources))


def _walk(
    holder: Struct, prefix: str, general: str, docs: Mapping[str, FieldDoc], sources: Mapping[str, str]
) -> Iterator[Setting]:
    for name in holder.__struct_fields__:
        value, key, path = getattr(holder, name), prefix + name, general + name
        if isinstance(value, Struct):
            yield from _walk(value, f"{key}.", f"{path}.", docs, sources)
        elif path in docs:
            source = DEFAULT if spelt(value) == docs[path].default else _nearest(key, sources)
            yield Setting(key, _shown(value, path), sources.get(key, source), docs[path])
            yield from _items(value, key, path, docs, sources)
        else:  # a section that is absent as a whole
            inside = (doc for doc in docs.values() if doc.path.startswith(f"{path}."))
            yield from (Setting(key + doc.path[len(path) :], "none", DEFAULT, doc) for doc in inside)


def _items(
    value: Any, key: str, path: str, docs: Mapping[str, FieldDoc], sources: Mapping[str, str]
) -> Iterator[Setting]:
    for number, item in enumerate(value if isinstance(value, tuple) else ()):
        if isinstance(item, Struct):
            yield from _walk(item, f"{key}[{number}].", f"{path}[].", docs, sources)


def _nearest(key: str, sources: Mapping[str, str]) -> str:
    """Where a value was given in a short form: with what holds it."""
    while key and key not in sources:
        key = key.rpartition(".")[0]
    return sources.get(key, DEFAULT)


def _shown(value: Any, path: str) -> str:
    if path in SECRETS and value:
        names = ", ".join(value) if isinstance(value, dict) else ""
        return f"{names} {HIDDEN}".lstrip()
    if isinstance(value, str):
        return value
    if isinstance(value, tuple) and any(isinstance(item, Struct) for item in value):
        return "1 entry" if len(value) == 1 else f"{len(value)} entries"
    return spelt(value)
