"""The question that comes before anything is done with configuration that came with the repository."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from octopoid_tui.cli.output import warn

if TYPE_CHECKING:
    from scheduler.project import Project

QUESTION = "Agree, on this machine and until it changes?"


def ensure_trust(project: Project) -> None:
    """Ask a person on a terminal; elsewhere, and without a yes, refuse.

    Raises:
        Untrusted: the configuration came with the repository, and nobody has agreed to it.
    """
    from scheduler.project import Project as Reread
    from scheduler.trust import agree, content, untrusted, what_runs

    refusal = untrusted(project)
    if refusal is None:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise refusal
    import typer  # here, since the screen starts without it

    # Read again after the digest was made: nothing else can be agreed to than what is shown.
    seen = content(project)
    lines = what_runs(Reread.open(project.layout.project))
    warn(f"{project.layout.root} came with the repository. It would run:")
    for line in lines:
        warn(f"  {line}")
    if not typer.confirm(QUESTION, default=False, err=True):
        raise refusal
    agree(project, seen)
