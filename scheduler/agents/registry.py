"""The adapters this version has."""

from __future__ import annotations

from dataclasses import replace

from backend.config.schema import AgentSpec
from scheduler.agents.acp.adapter import AcpAdapter
from scheduler.agents.anthropic.adapter import AnthropicAdapter
from scheduler.agents.claude.adapter import ClaudeAdapter
from scheduler.agents.codex.adapter import CodexAdapter
from scheduler.agents.command import CommandAdapter
from scheduler.agents.demo import DemoAdapter
from scheduler.agents.interface import Adapter, AgentUnavailable, Assignment, Command
from scheduler.agents.program import passed_on

ADAPTERS: dict[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        AcpAdapter(),
        AnthropicAdapter(),
        ClaudeAdapter(),
        CodexAdapter(),
        CommandAdapter(),
        DemoAdapter(),
    )
}


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


def command_for(spec: AgentSpec, assignment: Assignment) -> Command:
    """What to start for an agent's entry, with all that the entry adds to the environment. Blocking.

    Raises:
        AgentUnavailable: it cannot be started here.
    """
    command = adapter_for(spec.adapter).command(spec, assignment)
    return replace(command, env={**command.env, **passed_on(spec), **spec.env})
