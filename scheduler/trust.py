"""Configuration that came with a repository runs nothing before a person of this machine has agreed to it.

Whoever can commit could otherwise name programs to run, checks to execute, or a server to send the key to.
What a person keeps out of git is their own, and needs no agreement. An agreement is for one folder and one
content: when the files change, it is asked for again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from pathlib import Path

from backend.clean import clean_line
from backend.config.locate import Layout
from backend.config.schema import AgentSpec
from backend.config.textfile import UnreadableFile, read_text
from backend.errors import ConfigError, Refused, StoreBroken
from scheduler.git.errors import NotARepository
from scheduler.git.run import Git
from scheduler.project import Project
from scheduler.runs.durable import encode_json, open_directory, write_file

LONGEST = 1 << 16
"""Characters of a line that are shown; a longer one could not be read, and is refused."""


class Untrusted(Refused):
    """The configuration is part of the repository, and nobody here has agreed to it."""

    slug = "untrusted"


def untrusted(project: Project) -> Untrusted | None:
    """Why the configuration may not be used; None when it may. Blocking."""
    layout = project.layout
    if not _is_tracked(layout) or _agreed().get(_name(layout)) == _digest(layout):
        return None
    return Untrusted(
        f"{layout.root} is part of the repository, and its commands were not agreed to on this machine",
        "see what it would run, and agree: octopoid trust",
    )


def content(project: Project) -> str:
    """A digest of what would be agreed to, as it is now. Blocking."""
    return _digest(project.layout)


def agree(project: Project, seen: str) -> None:
    """Remember that a person agrees to the configuration that they have seen, by its digest. Blocking."""
    path = _place()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    agreed = _agreed() | {_name(project.layout): seen}
    directory = open_directory(path.parent)
    try:
        write_file(directory, path.name, encode_json(agreed))
    finally:
        os.close(directory)


def what_runs(project: Project) -> list[str]:
    """What the configuration makes this machine do, one line each, fit to be shown.

    Raises:
        ConfigError: a line is too long for anybody to agree to.
    """
    config = project.config
    lines = [
        f"agent {spec.name}: {spec.adapter} {shlex.join(_words(spec))}".rstrip() for spec in project.agents
    ]
    for spec in project.agents:
        lines += [f"agent {spec.name} has {name}={value}" for name, value in spec.env.items()]
        lines += [f"agent {spec.name} is given your {name}" for name in spec.pass_env]
        if spec.permissions != "ask":
            allowed = spec.permissions if isinstance(spec.permissions, str) else ", ".join(spec.permissions)
            lines.append(f"agent {spec.name} need not ask for: {allowed}")
    if config.review in ("agent", "auto"):
        lines.append(f"work is accepted without a person: review is {config.review}")
    lines += [f"check {check.name}: {check.command}" for check in config.checks]
    if config.mode == "remote":
        lines.append(f"server: {config.server.url}")
    if config.repo.path is not None:
        lines.append(f"repository: {project.repo}")
    if any(len(line) > LONGEST for line in lines):
        raise ConfigError(f"{project.layout.root} holds a command too long to be shown", "shorten it")
    return [clean_line(line, LONGEST) for line in lines]


def _words(spec: AgentSpec) -> tuple[str, ...]:
    return (*([spec.program] if spec.program is not None else []), *spec.command, *spec.args)


def _is_tracked(layout: Layout) -> bool:
    # Without regard to case: on some file systems .Octopoid is the same folder.
    pathspec = f":(icase,literal){layout.root.name}"
    try:
        return bool(Git(None).run("-C", str(layout.project), "ls-files", "-z", "--", pathspec).stdout)
    except NotARepository:
        return False


def _name(layout: Layout) -> str:
    return str(layout.root.resolve())


def _digest(layout: Layout) -> str:
    digest = hashlib.sha256()
    for path in (layout.config, layout.agents, *sorted(layout.roles.glob("*.md"))):
        try:
            content = path.read_bytes()
        except OSError as error:
            content = type(error).__name__.encode()
        for part in (str(path.relative_to(layout.root)).encode(), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _place() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    base = Path(state) if state and os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "octopoid" / "trusted.json"


def _agreed() -> dict[str, str]:
    path = _place()
    if not path.exists():
        return {}
    try:
        agreed = json.loads(read_text(path).text)
    except (UnreadableFile, ValueError) as error:
        raise StoreBroken(f"{path} cannot be read ({error})", "remove it, and agree again") from error
    if not isinstance(agreed, dict) or not all(isinstance(value, str) for value in agreed.values()):
        raise StoreBroken(f"{path} is damaged", "remove it, and agree again")
    return agreed
