"""One repository with its `.octopoid` folder: where things are, and how it is configured."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path

from backend.config.identity import instance_id, machine_id, orchestrator_id
from backend.config.load import Loaded, Reloader, load
from backend.config.locate import Layout, find_octopoid_dir
from backend.config.schema import AgentSpec, Config
from backend.errors import ConfigError
from backend.lifecycle import Limits

TOOL = "octopoid"


class Project:
    """A repository, the layout of its `.octopoid` folder, and its configuration as last read."""

    def __init__(self, layout: Layout, loaded: Loaded) -> None:
        configured = loaded.config.repo.path
        self.layout = layout
        self.repo = (layout.project / configured).resolve() if configured else layout.project.resolve()
        self._reloader = Reloader(loaded)

    @classmethod
    def open(cls, start: Path) -> Project:
        """Find the project that `start` lies in and read its configuration.

        Raises:
            NotFound: there is no `.octopoid` folder here or above.
            ConfigError: its configuration is not valid.
        """
        layout = Layout(find_octopoid_dir(start))
        return cls(layout, load(layout.root))

    def refresh(self) -> ConfigError | None:
        """Read the configuration again if its files have changed; a broken one leaves the last in use."""
        changed = self._reloader.poll(self._admit)
        return changed if isinstance(changed, ConfigError) else None

    def _admit(self) -> ConfigError | None:
        """A change that came with a commit counts once a person has agreed to it."""
        from scheduler.trust import untrusted  # it needs to know what a project is

        refusal = untrusted(self)
        return None if refusal is None else ConfigError(refusal.problem, refusal.next_step)

    @property
    def config_error(self) -> ConfigError | None:
        """What is wrong with the files as they are now."""
        return self._reloader.error

    @property
    def loaded(self) -> Loaded:
        return self._reloader.current

    @property
    def config(self) -> Config:
        return self.loaded.config

    @property
    def agents(self) -> tuple[AgentSpec, ...]:
        return self.loaded.agents

    @property
    def cluster(self) -> str:
        return self.config.server.cluster

    @property
    def machine_id(self) -> str:
        return machine_id(self.config)

    @property
    def orchestrator_id(self) -> str:
        return orchestrator_id(self.config)

    @property
    def instance(self) -> str:
        """What tells this installation from another that goes by the same machine id."""
        return instance_id(self.layout.instance)

    @property
    def limits(self) -> Limits:
        limits = self.config.limits
        return Limits(
            attempts=limits.attempts,
            rejections=limits.rejections,
            continuations=limits.continuations,
            conflicts=limits.conflicts,
            session_idle_s=self.config.sessions.idle_minutes * 60,
            session_max_s=self.config.sessions.max_minutes * 60,
        )

    @property
    def checks_dir(self) -> Path:
        """Where checks run: a supervised directory each, like an agent's."""
        return self.layout.root / "checks"


def install_tool(bin_dir: Path) -> Path:
    """Put an `octopoid` program into a folder that agents have on their search path.

    It starts this very installation, isolated from the agent's worktree and environment.
    """
    bin_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    tool = bin_dir / TOOL
    script = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -m octopoid_tui "$@"\n'
    try:
        if tool.read_text() == script:
            return tool
    except FileNotFoundError:
        pass
    aside = tool.with_suffix(f".{os.getpid()}")
    aside.write_text(script)
    aside.chmod(stat.S_IRWXU)
    aside.replace(tool)
    return tool
