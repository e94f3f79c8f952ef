"""A user's repository with Octopoid in it, and `octopoid` to be typed there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from backend.open import open_backend, open_remote
from octopoid_tui.cli.application import app

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0

COMMITS = 'echo "$OCTOPOID_TASK_ID" >> "$OCTOPOID_TASK_ID.txt"; git add -A; git commit -qm work'
ASKS = f"octopoid ask 'Which colour?' --option red --option blue > colour.txt; {COMMITS}"


@dataclass
class House:
    """`repo` is a `GitRepo`; commands run in its folder."""

    repo: Any
    home: Path

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command inside this process."""
        return CliRunner().invoke(app, arguments, input=stdin)

    def ok(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command that must succeed; returns its stdout."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 0, (arguments, result.output, result.exception)
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "octopoid_tui", *arguments],
            cwd=self.repo.path,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def start_following(self, task_id: str) -> subprocess.Popen[str]:
        """Start `logs -f` once the task has a run."""
        until(lambda: self.json("show", task_id)["runs"], "a run")
        return self.start("logs", task_id, "--follow")

    def process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a process of its own."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OCTOPOID_")}
        return {**kept, "PYTHONPATH": str(ROOT), "HOME": str(self.home)}

    def agents(self, *agents: dict[str, Any]) -> None:
        (self.repo.path / ".octopoid" / "agents.yaml").write_text(yaml.safe_dump(list(agents)))

    def shell_agent(self, script: str) -> None:
        """One agent that is a shell script."""
        self.agents(
            {"name": "sh", "role": "implement", "adapter": "command", "command": ["/bin/sh", "-ec", script]}
        )


def make_house(tmp_path: Path, gitrepo: Any, monkeypatch: pytest.MonkeyPatch) -> House:
    """A repository with one commit, not yet initialised, as the working directory."""
    for name in [name for name in os.environ if name.startswith("OCTOPOID_")]:
        monkeypatch.delenv(name)
    for way in (open_backend, open_remote):  # an owner that has just started may be slow to serve
        monkeypatch.setitem(way.__kwdefaults__, "wait_s", PATIENCE_S)
    home = tmp_path / "home"
    home.mkdir()
    repo = gitrepo.make(tmp_path / "project", {"README.md": "hello\n"})
    monkeypatch.chdir(repo.path)
    return House(repo, home)


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {PATIENCE_S} s")
