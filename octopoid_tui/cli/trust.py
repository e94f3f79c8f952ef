"""`trust`: agree to configuration that came with the repository."""

from __future__ import annotations

from pathlib import Path

from octopoid_tui.cli.output import say, say_json
from octopoid_tui.cli.tasks import JsonFlag
from scheduler.project import Project
from scheduler.trust import agree, content, what_runs


def trust(as_json: JsonFlag = False) -> None:
    """Agree to the configuration that came with this repository, as it is now."""
    project = Project.open(Path.cwd())
    seen = content(project)
    lines = what_runs(Project.open(Path.cwd()))  # what is shown is no older than what is agreed to
    agree(project, seen)
    if as_json:
        say_json({"folder": str(project.layout.root), "runs": lines})
    else:
        say("\n".join([f"agreed to {project.layout.root}, which runs", *(f"  {line}" for line in lines)]))
