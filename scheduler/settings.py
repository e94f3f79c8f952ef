"""What the project is configured with, for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.config.effective import Setting, agent_settings, config_settings
from backend.config.schema import AgentSpec
from scheduler.notices import Notice, config_notices
from scheduler.project import Project


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """One entry of agents.yaml."""

    spec: AgentSpec
    settings: Sequence[Setting]


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration in force, and what is wrong with the files as they are now."""

    config: Sequence[Setting]
    agents: Sequence[AgentSettings]
    problems: tuple[Notice, ...]
    config_file: str
    agents_file: str
    """Where one edits them."""


def read_settings(project: Project) -> Settings:
    """What `project` goes by now; it does not look whether its files have changed."""
    loaded, layout = project.loaded, project.layout
    agents = [AgentSettings(spec, agent_settings(loaded, n)) for n, spec in enumerate(loaded.agents)]
    return Settings(
        config_settings(loaded), agents, config_notices(project), str(layout.config), str(layout.agents)
    )
