"""The only module that starts git.

No shell, no discovery inside a directory an agent can write to, no inherited `GIT_*` variables, no
hooks, no prompts, no background maintenance, bounded time and output.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from scheduler.git.errors import (
    DiskFull,
    GitError,
    GitMissing,
    GitTimeout,
    NotARepository,
    OutputTooLarge,
    RepoLocked,
)
from scheduler.git.lock import held_descriptors
from scheduler.waiting import wait_for

OVERRIDES: tuple[str, ...] = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.pager=cat",
    "core.sshCommand=ssh -oBatchMode=yes",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "submodule.recurse=false",
    "diff.ignoreSubmodules=all",
    "fetch.fsckObjects=true",
    "safe.bareRepository=explicit",
    "commit.gpgSign=false",
)
BOT_NAME = "Octopoid"
BOT_EMAIL = "octopoid@localhost"
NO_HOME = "/nonexistent"
MAX_OUTPUT = 64 << 20
STDERR_CAP = 64 << 10
TERM_GRACE_S = 2.0


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment a git of ours gets; nothing is inherited but PATH and TMPDIR."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": NO_HOME,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_AUTHOR_NAME": BOT_NAME,
        "GIT_AUTHOR_EMAIL": BOT_EMAIL,
        "GIT_COMMITTER_NAME": BOT_NAME,
        "GIT_COMMITTER_EMAIL": BOT_EMAIL,
    }
    if "TMPDIR" in os.environ:
        env["TMPDIR"] = os.environ["TMPDIR"]
    return env | dict(extra or {})


@dataclass(frozen=True, slots=True)
class Result:
    """What a git command left: its output, and whether the output was cut at the cap."""

    stdout: bytes
    stderr: str
    returncode: int
    truncated: bool = False

    @property
    def text(self) -> str:
        """Output as text without the last newline; bytes that are no UTF-8 become surrogates."""
        return self.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    @property
    def fields(self) -> list[str]:
        """NUL-separated output, without the empty end."""
        parts = self.stdout.decode("utf-8", "surrogateescape").split("\0")
        return parts[:-1] if parts and not parts[-1] else parts


@dataclass(frozen=True, slots=True)
class Git:
    """Git bound to one repository by its explicit directory.

    Args:
        git_dir: the repository; None only for commands that need none (`init`, `clone`).
        work_tree: the files, for commands that need some.
        env: additions to the environment, such as `GIT_INDEX_FILE`.
        config: further `key=value` overrides; they win over the safe ones.
    """

    git_dir: Path | None
    work_tree: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    config: tuple[str, ...] = ()

    @classmethod
    def user(cls, path: Path) -> Git:
        """Git for the user's own repository, found from any path inside it; its local config counts.

        Raises:
            NotARepository: if the path is in no repository.
        """
        path = path.resolve()
        if not path.is_dir():
            raise NotARepository(f"{path} is not a directory", "give the path of a git repository")
        if (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir():
            return cls(path)
        found = cls(None).run("-C", str(path), "rev-parse", "--absolute-git-dir", "--show-toplevel")
        lines = found.text.splitlines()
        return cls(Path(lines[0]), Path(lines[1]))

    def with_env(self, **env: str) -> Git:
        """The same git with additions to its environment."""
        return Git(self.git_dir, self.work_tree, {**self.env, **env}, self.config)

    def run(
        self,
        *args: str,
        input: bytes | None = None,  # noqa: A002 - the word subprocess uses
        timeout: float = 60,
        ok_codes: Collection[int] = (0,),
        max_output: int = MAX_OUTPUT,
        cut: bool = False,
    ) -> Result:
        """Run one command to its end.

        Args:
            input: what git reads on standard input; nothing by default.
            timeout: seconds, after which git and its children are stopped.
            ok_codes: exit statuses that are an answer and no error.
            max_output: bytes of output kept.
            cut: True to stop git quietly at `max_output`, False to raise.

        Raises:
            GitError: or one of its kinds, when git failed.
        """
        process = self._start(args, input is not None)
        limit = _Limit(process, max_output)
        threads = [
            threading.Thread(target=limit.read_stdout, daemon=True),
            threading.Thread(target=limit.read_stderr, daemon=True),
        ]
        if input is not None:
            threads.append(threading.Thread(target=_feed, args=(process.stdin, input), daemon=True))
        for thread in threads:
            thread.start()
        try:
            returncode = wait_for(process, timeout)
        except subprocess.TimeoutExpired:
            _stop(process)
            raise GitTimeout(
                f"git {args[0]} did not end within {timeout:g} s and was stopped",
                "check the disk and the load of this machine, then try again",
                command=args,
            ) from None
        except BaseException:
            _stop(process)
            raise
        finally:
            for thread in threads:
                thread.join(TERM_GRACE_S)
            _close(process)
        return self._result(args, limit, returncode, ok_codes, cut)

    def text(self, *args: str, timeout: float = 60) -> str:
        """Run, and return the output as stripped text."""
        return self.run(*args, timeout=timeout).text.strip()

    def says(self, *args: str) -> bool:
        """Run a command that answers yes by 0 and no by 1."""
        return self.run(*args, ok_codes=(0, 1)).returncode == 0

    def argv(self, *args: str) -> list[str]:
        """The full command line."""
        line = ["git"]
        for override in (*OVERRIDES, *self.config):
            line += ["-c", override]
        if self.git_dir is not None:
            line.append(f"--git-dir={self.git_dir}")
        if self.work_tree is not None:
            line.append(f"--work-tree={self.work_tree}")
        return [*line, *args]

    def _start(self, args: tuple[str, ...], fed: bool) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.argv(*args),
                stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(self.env),
                cwd="/",  # never in a directory that git could discover something in
                start_new_session=True,
                pass_fds=held_descriptors(),
            )
        except FileNotFoundError as error:
            if self.work_tree is not None and not self.work_tree.is_dir():
                raise NotARepository(f"{self.work_tree} does not exist", "check the path") from error
            raise GitMissing("there is no git program on PATH", "install git 2.38 or newer") from error

    def _result(
        self, args: tuple[str, ...], limit: _Limit, returncode: int, ok_codes: Collection[int], cut: bool
    ) -> Result:
        stdout, stderr = bytes(limit.stdout), limit.stderr.decode("utf-8", "replace")
        if limit.exceeded:
            if cut:
                return Result(stdout, stderr, 0, truncated=True)
            raise OutputTooLarge(
                f"git {args[0]} wrote more than {limit.max_output} bytes",
                "the change is too large to be handled as a whole; split it",
                command=args,
            )
        if returncode in ok_codes:
            return Result(stdout, stderr, returncode)
        raise self.failure(args, returncode, stderr)

    def failure(self, args: tuple[str, ...], returncode: int, stderr: str) -> GitError:
        """The error for a command that ended with a status nobody expected."""
        where = self.work_tree or self.git_dir
        command = next((arg for arg in args if not arg.startswith("-")), args[0]) if args else "git"
        lines = [line for line in stderr.strip().splitlines() if line]
        reason = next((ln for ln in lines if ln.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
        place = f" in {where}" if where is not None else ""
        problem = f"git {command} failed{place} with status {returncode}"
        problem += f" ({reason[:300]})" if reason else ""
        for needles, kind, hint in _KNOWN:
            if any(needle in stderr for needle in needles):
                return kind(problem, hint, command=args, returncode=returncode, stderr=stderr)
        if ".lock': File exists" in stderr:
            return RepoLocked(
                problem,
                "another git works there; if none does, delete the .lock file git names",
                holder="git",
            )
        return GitError(
            problem, "see the details; `octopoid doctor` checks git", command=args, returncode=returncode,
            stderr=stderr,
        )  # fmt: skip


_KNOWN: tuple[tuple[tuple[str, ...], type[GitError], str], ...] = (
    (("No space left on device", "Disk quota exceeded"), DiskFull, "free some space; nothing was lost"),
    (
        ("detected dubious ownership",),
        NotARepository,
        "the repository belongs to another user: fix its owner",
    ),
    (("not a git repository",), NotARepository, "run `git init` there, or give another path"),
)


class _Limit:
    """Reads a process's output up to a limit, and stops the process when it writes more."""

    def __init__(self, process: subprocess.Popen[bytes], max_output: int) -> None:
        self.process = process
        self.max_output = max_output
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.exceeded = False

    def read_stdout(self) -> None:
        assert self.process.stdout is not None
        while chunk := os.read(self.process.stdout.fileno(), 1 << 16):
            room = self.max_output - len(self.stdout)
            self.stdout += chunk[:room]
            if len(chunk) > room:
                self.exceeded = True
                _signal(self.process, signal.SIGTERM)
                return

    def read_stderr(self) -> None:
        assert self.process.stderr is not None
        while chunk := os.read(self.process.stderr.fileno(), 1 << 14):
            self.stderr += chunk
            del self.stderr[:-STDERR_CAP]


def _feed(stdin: IO[bytes] | None, data: bytes) -> None:
    assert stdin is not None
    # Git that ends early closes its end; its exit status says why.
    with suppress(BrokenPipeError):
        stdin.write(data)
    with suppress(BrokenPipeError):
        stdin.close()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The group is our own new session; it exists as long as we have not reaped its leader.
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def _stop(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGTERM)  # lets git remove its lock files
    try:
        process.wait(TERM_GRACE_S)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
