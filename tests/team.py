"""Machines of one server, each a clone with its own scheduler, all in the process of the test."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from harness import EDIT_AND_COMMIT, ME, Work
from live_server import Live

from octopoid_tui.cli.session import open_store
from scheduler.desk import Desk
from scheduler.loop import Scheduler
from scheduler.project import Project


def machine(server: Live, origin: Path, name: str, script: str = EDIT_AND_COMMIT, config: str = "") -> Path:
    """A clone with one agent, configured for the server; its key is in a file of its own."""
    repo = origin.parent / name
    subprocess.run(["git", "clone", "-q", str(origin), str(repo)], check=True)
    program = origin.parent / f"{name}.sh"
    program.write_text("#!/bin/sh\nset -e\n" + script)
    program.chmod(0o755)
    octopoid = repo / ".octopoid"
    octopoid.mkdir()
    (octopoid / ".gitignore").write_text("*\n")
    (octopoid / "config.yaml").write_text(
        f"mode: remote\nserver:\n  url: {server.url}\n  cluster: team\n  machine_id: {name}\n"
        f"repo:\n  main_branch: main\n{config}"
    )
    (octopoid / "agents.yaml").write_text(
        f"- name: {name}-worker\n  role: implement\n  adapter: command\n  command: ['{program}']\n"
    )
    write_key(repo, server.key)
    return repo


def write_key(repo: Path, key: str, mode: int = 0o600) -> None:
    path = repo / ".octopoid" / "api_key"
    path.write_text(key + "\n")
    path.chmod(mode)


@asynccontextmanager
async def on(repo: Path, *, start: bool = True) -> AsyncIterator[Work]:
    """Work on one machine, with its scheduler when `start`."""
    project = Project.open(repo)
    async with await open_store(project, "run" if start else "command", serve=start) as opened:
        scheduler = Scheduler(opened.backend, project)
        if start:
            await scheduler.start()
        try:
            yield Work(project, opened.backend, Desk(opened.backend, project, actor=ME), scheduler)
        finally:
            if start:
                await scheduler.stop()
