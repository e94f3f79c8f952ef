"""The git runner, the lock, and looking at the user's repository."""

from __future__ import annotations

import ast
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import git as gitpython
import pytest

import scheduler.git
from scheduler.git.errors import (
    DiskFull,
    GitError,
    GitMissing,
    GitTimeout,
    NotARepository,
    OutputTooLarge,
    RepoLocked,
)
from scheduler.git.inspect import Remote, inspect
from scheduler.git.lock import RepoLock
from scheduler.git.run import Git


def test_nothing_of_our_environment_reaches_git(git_house, monkeypatch):
    """Story 20, T10: no GIT_* variable, no secret, no home."""
    monkeypatch.setenv("GIT_DIR", "/somewhere/else")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("OCTOPOID_API_KEY", "oct_canary")
    shown = Git(git_house.hub.path).text("-c", "alias.env=!env", "env")
    names = {line.split("=")[0] for line in shown.splitlines()}
    assert "OCTOPOID_API_KEY" not in names
    assert "HOME=/nonexistent" in shown.splitlines()
    assert str(git_house.hub.path) in shown
    assert "/somewhere/else" not in shown


def test_every_command_line_is_explicit_and_safe():
    """X2: the overrides and the repository are on each command line."""
    argv = Git(Path("/x/hub.git")).argv("status")
    for wanted in ("core.hooksPath=/dev/null", "core.fsmonitor=false", "--git-dir=/x/hub.git"):
        assert wanted in argv


def test_only_one_module_starts_programs():
    """X2: `run` is the only module of the package that imports what can start a process."""
    spawning = set()
    for path in Path(scheduler.git.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {"subprocess", "asyncio", "pty", "multiprocessing"} & {name.split(".")[0] for name in names}:
                spawning.add(path.name)
            if isinstance(node, ast.Attribute) and node.attr in ("system", "popen", "posix_spawn", "execv"):
                spawning.add(path.name)
    assert spawning == {"run.py"}


def fake_git(folder: Path, script: str) -> dict[str, str]:
    folder.mkdir()
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_git_that_hangs_is_stopped_with_its_children(tmp_path):
    env = fake_git(tmp_path / "bin", f"sleep 300 & echo $! > {tmp_path}/child; wait")
    number = tmp_path / "child"
    for patience_s in (0.5, 5, 50):
        with pytest.raises(GitTimeout) as caught:
            Git(None, env=env).run("status", timeout=patience_s)
        assert caught.value.systemic
        if number.exists() and number.read_text().strip():
            break  # else the machine was too busy to start the child in that time
    stat = Path(f"/proc/{int(number.read_text())}/stat")
    until = time.monotonic() + 60
    while not _has_ended(stat):
        assert time.monotonic() < until, "a child of git lives on"
        time.sleep(0.01)


def _has_ended(stat: Path) -> bool:
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_output_is_bounded(tmp_path):
    env = fake_git(tmp_path / "bin", "yes")
    with pytest.raises(OutputTooLarge):
        Git(None, env=env).run("log", max_output=100_000)
    cut = Git(None, env=env).run("log", max_output=100_000, cut=True)
    assert cut.truncated
    assert len(cut.stdout) == 100_000


def test_large_input_and_output_at_once_do_not_deadlock(tmp_path):
    data = os.urandom(3_000_000)
    assert Git(None, env=fake_git(tmp_path / "bin", "cat")).run("x", input=data).stdout == data
    env = fake_git(tmp_path / "deaf", "exit 0")
    assert Git(None, env=env).run("x", input=data).stdout == b""


@pytest.mark.parametrize(
    ("said", "kind", "systemic"),
    [
        ("fatal: write error: No space left on device", DiskFull, True),
        ("fatal: not a git repository: x", NotARepository, True),
        ("fatal: Unable to create '/r/index.lock': File exists.", RepoLocked, True),
        ("fatal: something", GitError, True),
    ],
)
def test_failures_are_told_apart(tmp_path, said, kind, systemic):
    env = fake_git(tmp_path / "bin", f'echo "{said}" >&2; exit 128')
    with pytest.raises(GitError) as caught:
        Git(None, env=env).run("status")
    assert type(caught.value) is kind
    assert caught.value.systemic is systemic
    assert caught.value.next_step
    assert said.removeprefix("fatal: ")[:20] in str(caught.value)


def test_missing_program(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitMissing, match="install git"):
        Git(None).run("version")


def test_lock_names_its_holder(tmp_path):
    """F15: a second holder waits, then learns who has it and for what."""
    lock = RepoLock(tmp_path / "x.lock")
    inside, go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.held("integrate t1"):
            inside.set()
            go.wait(300)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(60)
    with (
        pytest.raises(RepoLocked, match=rf"integrate t1 \(pid {os.getpid()} on") as caught,
        lock.held("x", 0.1),
    ):
        pytest.fail("two holders")
    assert caught.value.systemic
    go.set()
    with lock.held("y", 60), lock.held("again in the same thread", 0):
        pass
    thread.join()


def test_lock_file_that_was_unlinked_does_not_make_two_holders(tmp_path, monkeypatch):
    """F15: a lock on a file that nobody else can find any more is no lock."""
    lock = RepoLock(tmp_path / "x.lock")
    calls = []
    flock = fcntl.flock

    def unlinking(fd: int, operation: int) -> None:
        calls.append(fd)
        if len(calls) == 1:
            lock.path.unlink()
        flock(fd, operation)

    monkeypatch.setattr("scheduler.git.lock.fcntl.flock", unlinking)
    with lock.held("write"):
        other = os.open(lock.path, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
    assert len(calls) == 2


def test_lock_lives_as_long_as_the_git_it_covers(tmp_path):
    """F2: the scheduler is killed, its git still writes; the next one waits for it."""
    env = fake_git(tmp_path / "bin", f"echo $$ > {tmp_path}/pid; read -r line < {tmp_path}/fifo")
    os.mkfifo(tmp_path / "fifo")
    code = (
        "import sys, pathlib\n"
        "from scheduler.git.lock import RepoLock\n"
        "from scheduler.git.run import Git\n"
        f"with RepoLock(pathlib.Path({str(tmp_path / 'x.lock')!r})).held('write'):\n"
        f"    Git(None, env={env!r}).run('gc')\n"
    )
    root = Path(scheduler.git.__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    writer = os.open(tmp_path / "fifo", os.O_WRONLY)  # returns once the git is there
    process.kill()
    process.wait(60)
    lock = RepoLock(tmp_path / "x.lock")
    with pytest.raises(RepoLocked), lock.held("next", 0.1):
        pytest.fail("two writers")
    os.close(writer)
    with lock.held("next", 60):
        pass


def test_inspect_agrees_with_gitpython(git_house):
    user = git_house.user
    user.git("branch", "topic/one")
    user.git("remote", "add", "origin", "https://una:secret@example.org/r.git")
    user.git("worktree", "add", "--quiet", "--detach", str(git_house.tmp / "linked"))
    user.write({"src/app.py": "changed", "untracked": "u"})
    before = user.fingerprint()
    got = inspect(user.path / "src")
    with gitpython.Repo(user.path) as repo:
        assert got.head_sha == repo.head.commit.hexsha
        assert got.branches == tuple(sorted(head.name for head in repo.heads)) == ("main", "topic/one")
        assert got.current_branch == repo.active_branch.name
    assert (got.root, got.dirty, got.untracked) == (user.path, 1, 1)
    assert got.remotes == (Remote("origin", "https://example.org/r.git"),)
    assert (got.is_bare, got.is_shallow) == (False, False)
    assert got.linked_worktrees == (git_house.tmp / "linked",)
    assert inspect(git_house.tmp / "linked").current_branch is None
    assert user.fingerprint() == before


def test_inspect_of_an_empty_and_a_bare_repository(tmp_path, gitrepo):
    empty = gitrepo.make(tmp_path / "empty")
    got = inspect(empty.path)
    assert (got.head_sha, got.current_branch, got.branches) == (None, "main", ())
    empty.git("clone", "--quiet", "--bare", str(empty.path), str(tmp_path / "bare.git"))
    assert inspect(tmp_path / "bare.git").is_bare
    with pytest.raises(NotARepository):
        inspect(tmp_path)


def test_import_is_light():
    """Neither GitPython nor a screen is loaded by the modules that do the work."""
    code = "import sys, scheduler.git.merge, scheduler.git.inspect; print('git' in sys.modules)"
    root = Path(scheduler.git.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
