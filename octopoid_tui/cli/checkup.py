"""What `doctor` and `validate` look at, each as a finding with what to do about it."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.config.load import load
from backend.config.locate import Layout
from backend.errors import OctopoidError
from octopoid_tui.cli.logfile import NAME, close_log, open_log
from scheduler.agents.interface import Assignment
from scheduler.agents.registry import adapter_for, command_for
from scheduler.git.errors import GitError
from scheduler.git.inspect import inspect
from scheduler.git.run import Git
from scheduler.project import Project
from scheduler.roles import load_role
from scheduler.trust import untrusted

Level = Literal["ok", "warning", "broken"]

MIN_GIT = (2, 38)
"""The first with `merge-tree --write-tree`, which every acceptance uses."""

SAFE_SQLITE = (3, 51, 3)
"""Before it, several writers of one WAL can damage the database. One process owns ours: a warning will do."""

LOW_SPACE, NO_SPACE = 2 << 30, 200 << 20
NETWORK_FILESYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "drvfs", "afs", "ceph"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    text: str
    next_step: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.text}" + (f": {self.next_step}" if self.next_step else "")


def check_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("ok", "python", f"{version}, {sys.executable}")


def check_git() -> Finding:
    try:
        said = Git(None).run("version").text
    except GitError as error:
        return Finding("broken", "git", error.problem, error.next_step)
    numbers = re.search(r"(\d+)\.(\d+)", said)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < MIN_GIT:
        return Finding("broken", "git", said, f"install git {MIN_GIT[0]}.{MIN_GIT[1]} or newer")
    return Finding("ok", "git", said.removeprefix("git version "))


def check_sqlite() -> Finding:
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        text = f"{sqlite3.sqlite_version} can damage a database that several processes write"
        wanted = ".".join(map(str, SAFE_SQLITE))
        return Finding(
            "warning", "sqlite", text, f"only open it through Octopoid, or use a Python with {wanted}"
        )
    return Finding("ok", "sqlite", sqlite3.sqlite_version)


def check_repository(path: Path, main_branch: str | None) -> Finding:
    try:
        facts = inspect(path)
    except GitError as error:
        return Finding("broken", "repository", error.problem, error.next_step)
    if facts.head_sha is None:
        return Finding(
            "broken", "repository", f"{path} has no commit", "git commit --allow-empty -m 'First commit'"
        )
    if facts.is_shallow:
        return Finding("broken", "repository", f"{path} is a shallow clone", "git fetch --unshallow")
    if main_branch is not None and main_branch not in facts.branches:
        text = f"there is no branch {main_branch!r}, which repo.main_branch names"
        return Finding(
            "broken", "repository", text, "correct it in .octopoid/config.yaml, or create the branch"
        )
    changed = f", {facts.dirty} changed files" if facts.dirty else ""
    return Finding("ok", "repository", f"{facts.root} on {facts.current_branch or 'no branch'}{changed}")


def check_config(folder: Path) -> list[Finding]:
    """The configuration's problems, each a finding; or that there are none, and its warnings."""
    try:
        loaded = load(folder)
    except OctopoidError as error:
        return [Finding("broken", "configuration", str(error))] + [
            Finding("broken", "configuration", detail) for detail in error.details
        ]
    good = Finding("ok", "configuration", f"{folder}, {len(loaded.agents)} agents")
    return [good, *(Finding("warning", "configuration", warning) for warning in loaded.warnings)]


def check_agents(project: Project) -> list[Finding]:
    """Whether each agent's program is on the search path that agents get, and its role has a prompt.

    A program is looked at by running it, so nothing is looked at that nobody has agreed to.
    """
    refusal = untrusted(project)
    if refusal is not None:
        return [Finding("warning", "trust", refusal.problem, refusal.next_step)]
    return [finding for spec in project.agents for finding in _check_agent(project, spec.name)]


def _check_agent(project: Project, name: str) -> Iterator[Finding]:
    spec = next(spec for spec in project.agents if spec.name == name)
    layout, what = project.layout, f"agent {name}"
    try:
        command = command_for(spec, Assignment.trial(layout.root))
        load_role(spec.role, layout.roles)
    except OctopoidError as error:
        yield Finding("warning", what, error.problem, error.next_step)
    else:
        adapter = adapter_for(spec.adapter)
        program = f"{command.argv[0]} {command.setup.get('version', '')}".rstrip()
        caps = ", ".join(adapter.caps.names())
        yield Finding("ok", what, f"{spec.role} by {spec.adapter}: {program}{f' ({caps})' if caps else ''}")
        yield from (Finding("warning", what, doubt) for doubt in adapter.doubts(spec))


def check_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):.1f} GiB free at {folder}"
    if free < NO_SPACE:
        return Finding("broken", "disk", text, "free some space: git and the database need it")
    return Finding("warning" if free < LOW_SPACE else "ok", "disk", text)


def check_filesystem(folder: Path) -> Finding:
    """Whether locks and a WAL can be trusted where the state is."""
    kind = filesystem_of(folder.resolve(), Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    if kind in NETWORK_FILESYSTEMS:
        text = f"{folder} is on {kind}, where locks cannot be trusted"
        return Finding("broken", "filesystem", text, "move the repository to a local disk")
    return Finding("ok", "filesystem", kind)


def filesystem_of(path: Path, mountinfo: str) -> str:
    """The kind of the file system that `path` is on, by the longest mount point above it."""
    best, kind = "", "unknown"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split(" ")[4])
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, after.split(" ")[0]
    return kind


def check_log(layout: Layout) -> Finding:
    """Whether a line that is logged arrives (a log that silently stays empty is noticed too late)."""
    path = layout.logs / NAME
    try:
        open_log(layout.logs, file="doctor.log")
    except OctopoidError as error:
        return Finding("broken", "log", error.problem, error.next_step)
    finally:
        close_log()
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return Finding("ok", "log", f"{path}, nothing written yet")
    return Finding("ok", "log", f"{path}, last written {age:.0f} s ago")


def check_terminal() -> Finding:
    term, encoding = os.environ.get("TERM", ""), sys.getfilesystemencoding()
    if not term or term == "dumb":
        return Finding(
            "warning", "terminal", f"TERM is {term or 'not set'}", "the screen needs a real terminal"
        )
    if encoding.lower() != "utf-8":
        return Finding(
            "warning", "terminal", f"the encoding is {encoding}", "set LANG=C.UTF-8 or another UTF-8 locale"
        )
    if os.environ.get("COLORTERM") in ("truecolor", "24bit"):
        return Finding("ok", "terminal", f"{term}, 16 million colours")
    if os.environ.get("TMUX"):
        step = "set -as terminal-features ',*:RGB' in tmux.conf, and export COLORTERM=truecolor"
        return Finding("warning", "terminal", f"{term} in tmux, without true colour", step)
    return Finding("ok", "terminal", f"{term}, colours as it has them")


def check_home(folder: Path) -> Finding:
    """Whether the folder is closed to other users."""
    mode = folder.stat().st_mode & 0o777
    if mode & 0o022:
        return Finding("broken", "rights", f"others can write {folder} ({mode:o})", f"chmod go-w {folder}")
    return Finding("ok", "rights", f"{mode:o} on {folder}")
