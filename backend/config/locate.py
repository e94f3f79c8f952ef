"""Where the project's `.octopoid` folder is, and where everything in it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.errors import NotFound

DIRECTORY = ".octopoid"
DIRECTORY_VARIABLE = "OCTOPOID_DIR"

SOCKET_PATH_MAX = 100
"""Longest path of a UNIX socket we use, in bytes; Linux takes 107, macOS 103."""

GITIGNORE = """\
# Configuration, roles and task files may be committed; all else is this machine's own.
/*
!/.gitignore
!/config.yaml
!/agents.yaml
!/roles/
!/tasks/
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths inside of a `.octopoid` folder. Nothing here touches the disk."""

    root: Path

    @property
    def project(self) -> Path:
        """The folder that holds `.octopoid`."""
        return self.root.parent

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def agents(self) -> Path:
        return self.root / "agents.yaml"

    @property
    def gitignore(self) -> Path:
        return self.root / ".gitignore"

    @property
    def roles(self) -> Path:
        """Prompts that replace the shipped ones of the same name."""
        return self.root / "roles"

    @property
    def tasks(self) -> Path:
        """Task files, for those who like to keep them in the repository."""
        return self.root / "tasks"

    @property
    def database(self) -> Path:
        return self.root / "octopoid.db"

    @property
    def cache(self) -> Path:
        """The mirror of a server's state."""
        return self.root / "cache.db"

    @property
    def owner_lock(self) -> Path:
        """Held by the one process that owns the database."""
        return self.root / "owner.lock"

    @property
    def instance(self) -> Path:
        """What tells this folder from every other that may go by the same machine id."""
        return self.root / "instance"

    @property
    def scheduler_lock(self) -> Path:
        """Held by the one process that runs the scheduler."""
        return self.root / "scheduler.lock"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def worktrees(self) -> Path:
        return self.root / "worktrees"

    @property
    def homes(self) -> Path:
        """What agent programs remember of a task from run to run: a folder per task and role."""
        return self.root / "homes"

    @property
    def hub(self) -> Path:
        return self.root / "hub.git"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def attendance(self) -> Path:
        """When a person last did something on the screen."""
        return self.root / "attendance.json"

    @property
    def bin(self) -> Path:
        """Programs that agents find on their PATH."""
        return self.root / "bin"

    def socket(self, environ: Mapping[str, str] | None = None) -> Path:
        """The owner's UNIX socket; in the user's runtime folder where the path would be too long."""
        near = self.root / "octopoid.sock"
        if len(os.fsencode(near)) <= SOCKET_PATH_MAX:
            return near
        environ = os.environ if environ is None else environ
        runtime = environ.get("XDG_RUNTIME_DIR") or f"/tmp/octopoid-{os.getuid()}"
        digest = hashlib.sha256(os.fsencode(self.root.resolve())).hexdigest()[:16]
        return Path(runtime) / f"octopoid-{digest}.sock"


def find_octopoid_dir(start: Path, environ: Mapping[str, str] | None = None) -> Path:
    """The `.octopoid` folder of the repository that `start` is in.

    Looks in `start` and its parents up to the root of the repository, and no further, so that nobody
    else's configuration is picked up; outside of a repository only in `start`. `OCTOPOID_DIR` overrides.

    Raises:
        NotFound: if there is none.
    """
    environ = os.environ if environ is None else environ
    given = environ.get(DIRECTORY_VARIABLE)
    if given:
        return _given(Path(given).expanduser().absolute())
    start = start.absolute()
    for folder in _up_to_repository(start):
        if (folder / DIRECTORY).is_dir():
            return folder / DIRECTORY
    raise NotFound(f"no {DIRECTORY} folder in {start} or its repository", "run `octopoid init --local`")


def _up_to_repository(start: Path) -> list[Path]:
    folders = []
    for folder in (start, *start.parents):
        folders.append(folder)
        if (folder / ".git").exists():
            return folders
    return [start]


def _given(path: Path) -> Path:
    if (path / "config.yaml").exists() or (path.is_dir() and path.name == DIRECTORY):
        return path
    if (path / DIRECTORY).is_dir():
        raise NotFound(
            f"{DIRECTORY_VARIABLE} is {path}, which is no {DIRECTORY} folder",
            f"set {DIRECTORY_VARIABLE}={path / DIRECTORY}",
        )
    raise NotFound(
        f"{DIRECTORY_VARIABLE} is {path}, which is no {DIRECTORY} folder",
        "correct it, or unset it and run `octopoid init --local`",
    )
