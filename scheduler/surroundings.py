"""Noticing what was changed around the agents: files that decide what git in the user's repository does.

An agent that is not contained can write there as its user can. What changed is told, and left as it is: it
may be the person's own doing. No git is run on what was found, and nothing found here stops a run.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import stat
from datetime import timedelta
from itertools import islice
from pathlib import Path

from backend.clean import clean_line
from backend.clock import Clock, from_ms
from backend.errors import OctopoidError
from backend.interface import Backend
from scheduler.fleet import Fleet
from scheduler.git.hub import Hub
from scheduler.git.run import Git
from scheduler.project import Project

log = logging.getLogger(__name__)

SETTINGS = ("config", "config.worktree", "info/attributes", "info/exclude")
READ_LIMIT = 1 << 20
HOOKS_LIMIT = 1000
NAMED = 6
"""Things that are named; of more only the number is told."""

TOLD_FOR = timedelta(days=1)
FAILURES = (OctopoidError, OSError, ValueError)
"""What a look can meet. Names of files need not be text."""

BRANCH = re.compile(rb"^\[branch \"[^\]\[\\]*\"\]\s*$")
BOOKKEEPING = re.compile(rb"^\s+(remote|merge|rebase|pushremote|vscode-merge-base)\s*=[^\\]*$")
"""What `git push -u` and `git switch` write below a branch; it runs nothing."""

State = dict[str, str]
"""What each file is like, by its name below the repository's git directory."""


class Surroundings:
    """Looks before the first of several runs starts, and whenever one of them has ended."""

    def __init__(self, backend: Backend, project: Project, fleet: Fleet, hub: Hub, clock: Clock) -> None:
        self._backend = backend
        self._project = project
        self._fleet = fleet
        self._hub = hub
        self._clock = clock
        self._looking = asyncio.Lock()
        self._begun: set[str] = set()
        """Runs that started since this process did."""
        self._base: State | None = None
        self._git_dir: Path | None = None

    async def before(self, run_id: str) -> None:
        """Remember how things are, unless other runs are at work: then the state before them counts."""
        if not self._project.config.repo.watch:
            return
        async with self._looking:
            self._begun &= self._fleet.following.keys() | self._fleet.starting.keys()
            if not self._begun or self._base is None:
                self._base = await self._look()
            self._begun.add(run_id)

    async def after(self, who: str) -> None:
        """Tell what has changed since the last look.

        Args:
            who: the agents that worked meanwhile, as a person knows them.
        """
        if not self._project.config.repo.watch:
            return
        async with self._looking:
            before = self._base
            self._base = now = await self._look() if before is not None else None
            if before is None or now is None or before == now:
                return
            found = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
            try:
                await self._tell(found, who)
            except FAILURES as error:
                log.warning("it could not be told what changed while %s worked: %s", who, error)

    async def _look(self) -> State | None:
        try:
            return await asyncio.to_thread(self._read)
        except FAILURES as error:
            log.warning("it is not noticed what agents change in the repository's settings: %s", error)
            return None

    def _read(self) -> State:
        if self._git_dir is None:
            found = Git.user(self._hub.source).text("rev-parse", "--path-format=absolute", "--git-common-dir")
            self._git_dir = Path(found)
        return read(self._git_dir)

    async def _tell(self, found: list[str], who: str) -> None:
        names = ", ".join(clean_line(name, 60) for name in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        where = clean_line(str(self._git_dir), 120)
        text = f"changed in {where} while {who} worked, and not by Octopoid: {names}{more}; was it you?"
        log.warning("%s", text)
        until = from_ms(self._clock.now_ms()) + TOLD_FOR
        # A later finding must not take the place of an earlier one.
        key = hashlib.sha256("\n".join(found).encode()).hexdigest()[:12]
        await self._backend.raise_alert(f"settings:{self._project.orchestrator_id}:{key}", text, until=until)


def read(git_dir: Path) -> State:
    """The state of now. Blocking, brief, whatever the files are: what cannot be read is a state too."""
    state = {name: _content(git_dir / name) for name in SETTINGS}
    hooks = git_dir / "hooks"
    try:
        with os.scandir(os.fsencode(hooks)) as entries:
            for entry in islice(entries, HOOKS_LIMIT):
                if not entry.name.endswith(b".sample"):
                    path = hooks / os.fsdecode(entry.name)
                    state[f"hooks/{entry.name.decode('utf-8', 'backslashreplace')}"] = _content(path)
    except FileNotFoundError:
        pass  # a repository needs no hooks
    except OSError as error:
        state["hooks"] = f"not to be listed: {error.errno}"
    return {name: what for name, what in state.items() if what}


def _content(path: Path) -> str:
    """What a file is like; empty where there is none. A pipe is not waited for, and a link not followed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        target = hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest() if path.is_symlink() else ""
        return f"not to be read: {error.errno} {target}"
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > READ_LIMIT:
            return f"{found.st_mode:o} {found.st_size} {found.st_mtime_ns}"
        return f"{found.st_mode:o} {_digest(os.read(fd, READ_LIMIT))}"
    finally:
        os.close(fd)


def _digest(text: bytes) -> str:
    digest = hashlib.sha256()
    below_branch = False
    for line in text.splitlines(keepends=True):
        if BRANCH.match(line):
            below_branch = True
        elif not (below_branch and BOOKKEEPING.match(line)):
            below_branch = False
            digest.update(line)
    return digest.hexdigest()
