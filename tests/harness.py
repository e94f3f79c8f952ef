"""A real project in a temporary folder: a git repository, its `.octopoid` folder, agents that are scripts."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from backend.clock import Clock, SystemClock
from backend.interface import Backend
from backend.model import Actor, SenderType
from backend.open import open_backend
from scheduler.desk import Desk
from scheduler.loop import Scheduler
from scheduler.project import Project
from scheduler.runs.adopt import find_runs, stop

ME = Actor(SenderType.HUMAN, "ana")
FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.1
"""Between two looks: a look may start git, and what is waited for needs the processor too."""

PATIENCE_S = 120.0
"""A process may be started meanwhile, on a machine that is busy."""

EDIT_AND_COMMIT = """\
echo "$OCTOPOID_TASK_ID" > "$OCTOPOID_TASK_ID.txt"
git add -A
git commit -q -m "Write $OCTOPOID_TASK_ID.txt"
"""
ASK_FIRST = 'ANSWER=$(octopoid ask "Which word?" --option red --option blue)\n'


def git(repo: Path, *args: str) -> str:
    """Run git in a repository and return what it printed."""
    done = subprocess.run(
        ["git", "-C", str(repo), *args], check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return done.stdout.strip()


def make_repo(path: Path) -> Path:
    """A repository with one commit on main."""
    shutil.copytree(_begun(), path, symlinks=True)
    git(path, "update-index", "-q", "--refresh")
    return path


@cache
def _begun() -> Path:
    """What every repository is a copy of, made once for this process."""
    path = Path(tempfile.mkdtemp(prefix="octopoid-repo-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "user.name", "Ana")
    git(path, "config", "user.email", "ana@example.org")
    (path / "README.md").write_text("# Example\n")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "Begin")
    path.chmod(0o755)
    return path


def make_project(
    tmp_path: Path, script: str = EDIT_AND_COMMIT, *, config: str = "", agent: str = "", instances: int = 1
) -> Path:
    """A repository whose one agent, `worker`, is the given shell script; returns the repository."""
    repo = make_repo(tmp_path / "repo")
    program = tmp_path / "agent.sh"
    program.write_text("#!/bin/sh\nset -e\n" + script)
    program.chmod(0o755)
    octopoid = repo / ".octopoid"
    octopoid.mkdir()
    (octopoid / ".gitignore").write_text("*\n")
    (octopoid / "config.yaml").write_text("repo:\n  main_branch: main\n" + config)
    (octopoid / "agents.yaml").write_text(
        f"- name: worker\n  role: implement\n  adapter: command\n  command: ['{program}']\n"
        f"  max_instances: {instances}\n{agent}"
    )
    return repo


def demo_project(tmp_path: Path, *, config: str = "") -> Path:
    """A repository whose one agent follows the script in its task's metadata."""
    repo = make_project(tmp_path, config=config)
    agents = "- name: worker\n  role: implement\n  adapter: demo\n  env: {OCTOPOID_DEMO_PACE: '0'}\n"
    (repo / ".octopoid" / "agents.yaml").write_text(agents)
    return repo


@dataclass(slots=True)
class Work:
    """An open project with its scheduler, which runs only when told to."""

    project: Project
    backend: Backend
    desk: Desk
    scheduler: Scheduler


@asynccontextmanager
async def at_work(
    repo: Path, *, start: bool = True, clock: Clock | None = None, serve: bool = False
) -> AsyncIterator[Work]:
    """Own the project's store and start its scheduler; both are closed at the end, agents live on.

    Args:
        serve: let other processes in, as `octopoid run` does.
    """
    project = Project.open(repo)
    layout = project.layout
    async with await open_backend(
        layout.database,
        layout.owner_lock,
        layout.socket(),
        what="run",
        serve=serve,
        limits=project.limits,
        clock=clock or SystemClock(),
    ) as opened:
        scheduler = Scheduler(opened.backend, project, clock=clock)
        if start:
            await scheduler.start()
        try:
            desk = Desk(opened.backend, project, actor=ME, clock=clock, fleet=scheduler.fleet)
            yield Work(project, opened.backend, desk, scheduler)
        finally:
            if start:
                await scheduler.stop()


@asynccontextmanager
async def running(work: Work) -> AsyncIterator[None]:
    """Let the scheduler run while the block does."""
    loop = asyncio.create_task(work.scheduler.run())
    try:
        yield
    finally:
        await work.scheduler.stop()
        await loop


async def until(happened: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: it did not come to be in time.
    """
    deadline = time.monotonic() + PATIENCE_S
    pause = FIRST_PAUSE_S
    while not await happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s in vain for: {what}"
        await asyncio.sleep(pause)
        pause = min(1.2 * pause, LONGEST_PAUSE_S)


def end_runs(runs: Path) -> None:
    """Kill what runs in the directories below, and wait until nothing writes there any more. Blocking."""
    for run_dir, _ in find_runs(runs):
        stop(run_dir, "kill")
    deadline = time.monotonic() + PATIENCE_S
    while alive := [run_dir.id for run_dir, _ in find_runs(runs) if run_dir.is_alive()]:
        assert time.monotonic() < deadline, f"these runs do not end: {alive}"
        time.sleep(FIRST_PAUSE_S)


def python(*args: str) -> list[str]:
    """The command line of this interpreter."""
    return [sys.executable, *args]
