"""The adapters this version has."""

from __future__ import annotations

from scheduler.agents.command import CommandAdapter
from scheduler.agents.demo import DemoAdapter
from scheduler.agents.interface import Adapter, AgentUnavailable

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (CommandAdapter(), DemoAdapter())}


def adapter_for(name: str) -> Adapter:
    """The adapter of that name.

    Raises:
        AgentUnavailable: this version has none.
    """
    adapter = ADAPTERS.get(name)
    if adapter is None:
        raise AgentUnavailable(
            f"adapter {name!r} is not available in this version",
            f"use one of {', '.join(sorted(ADAPTERS))}",
        )
    return adapter
