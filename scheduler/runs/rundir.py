"""The directory of one run: all that scheduler, supervisor and agent know of each other.

An agent may write in here, so nothing is read through links, beyond a limit, or from what is no regular
file; and nothing in here is believed without being checked.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar

from backend.clock import from_iso
from backend.errors import Duplicate, NotFound, OctopoidError
from backend.ids import check_id
from scheduler.runs import durable, lock
from scheduler.runs.outbox import BadOutboxItem, OutboxItem, read_outbox
from scheduler.runs.spec import RunSpec, decode_spec

T = TypeVar("T")

RECORD_LIMIT = 65536
SPEC_LIMIT = 16 << 20
DEFAULT_GRACE_S = 10.0
DEFAULT_SPOOL_CAP = 64 << 20
FIFOS = ("stdin.fifo", "control.fifo")


class BadRunFile(OctopoidError):
    """A file of a run directory is there, and is not what it must be."""

    slug = "bad-run-file"


class RunDirState(StrEnum):
    """What the files of a run directory prove about its run."""

    PREPARED = "prepared"  # never started
    STARTING = "starting"  # a supervisor is there, no agent yet
    ALIVE = "alive"
    ENDED = "ended"  # there is an exit.json
    LOST = "lost"  # started, its supervisor is gone, and nothing tells how it ended


class ExitCause(StrEnum):
    """Why a run ended."""

    EXITED = "exited"  # by itself
    STOPPED = "stopped"  # it was asked to, and possibly killed after the grace time
    KILLED = "killed"
    WALL_CLOCK = "wall_clock"
    SPAWN_FAILED = "spawn_failed"  # the program never ran


@dataclass(frozen=True, slots=True)
class Started:
    """The agent's process as its supervisor started it; `starttime` in clock ticks since boot."""

    supervisor_pid: int
    pid: int
    starttime: int
    boot_id: str
    nonce: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Exit:
    """How a run ended. Exactly one of `code` and `signal` is set, unless the agent never ran.

    `dropped` counts bytes of output that are not in the files; `strays_killed` processes that still ran
    when the agent had ended; `survivors` those that could not be killed.
    """

    code: int | None
    signal: int | None
    at: datetime
    cause: ExitCause
    error: str
    bytes_out: int
    bytes_err: int
    dropped: int
    strays_killed: int
    survivors: int


@dataclass(frozen=True, slots=True)
class RunDir:
    """One run's directory. Its name is the run's id."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def task_json(self) -> Path:
        return self.path / "task.json"

    @property
    def prompt_md(self) -> Path:
        return self.path / "prompt.md"

    @property
    def env_json(self) -> Path:
        return self.path / "env.json"

    @property
    def spec_json(self) -> Path:
        return self.path / "spec.json"

    @property
    def conversation_json(self) -> Path:
        return self.path / "conversation.json"

    @property
    def stdin_fifo(self) -> Path:
        return self.path / "stdin.fifo"

    @property
    def control_fifo(self) -> Path:
        return self.path / "control.fifo"

    @property
    def transcript(self) -> Path:
        return self.path / "transcript.jsonl"

    @property
    def stderr_log(self) -> Path:
        return self.path / "stderr.log"

    @property
    def events_jsonl(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def outbox(self) -> Path:
        return self.path / "outbox"

    @property
    def inbox(self) -> Path:
        return self.path / "inbox"

    @property
    def started_json(self) -> Path:
        return self.path / "started.json"

    @property
    def exit_json(self) -> Path:
        return self.path / "exit.json"

    @property
    def alive_lock(self) -> Path:
        return self.path / "alive.lock"

    @property
    def supervisor_err(self) -> Path:
        return self.path / "supervisor.err"

    @classmethod
    def create(cls, root: Path, run_id: str) -> RunDir:
        """Make the directory of a new run, for this user's eyes only.

        Raises:
            BadInput: if the id cannot be a name.
            Duplicate: if the run exists already.
        """
        path = root.absolute() / check_id(run_id, "run id")
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o700)
        except FileExistsError as error:
            raise Duplicate(f"run {run_id} exists already at {path}", "use a new id for a new run") from error
        for name in ("outbox", "inbox"):
            (path / name).mkdir(mode=0o700)
        for name in FIFOS:
            os.mkfifo(path / name, 0o600)
        return cls(path)

    # What the scheduler writes

    def write_inputs(
        self,
        task: Mapping[str, object],
        prompt: str,
        env: Mapping[str, str],
        conversation: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """Write `task.json`, `prompt.md`, `env.json` and `conversation.json`."""
        with self._opened() as directory:
            durable.write_file(directory, "conversation.json", durable.encode_json(dict(conversation)))
            durable.write_file(directory, "task.json", durable.encode_json(task))
            durable.write_file(directory, "prompt.md", prompt.encode())
            durable.write_file(directory, "env.json", durable.encode_json(env))

    def write_spec(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: Literal["fifo", "null"] = "fifo",
        wall_clock_s: float | None = None,
        grace_s: float = DEFAULT_GRACE_S,
        spool_cap_bytes: int = DEFAULT_SPOOL_CAP,
    ) -> RunSpec:
        """Write `spec.json`: what the supervisor starts. `env` is the agent's whole environment."""
        if not argv or not all(math.isfinite(limit) and limit >= 0 for limit in (wall_clock_s or 0, grace_s)):
            raise ValueError("a run needs a program, and limits that are finite and not negative")
        spec = RunSpec(
            tuple(argv), str(cwd.absolute()), dict(env), stdin, wall_clock_s, grace_s, spool_cap_bytes,
            nonce=secrets.token_hex(16), mark=self.id,
        )  # fmt: skip
        with self._opened() as directory:
            durable.write_file(directory, "spec.json", durable.encode_json(spec._asdict()))
        return spec

    def write_inbox(self, item_id: str, payload: Mapping[str, object]) -> None:
        """Give the agent a reply, as `inbox/<id>.json`. Writing the same reply again changes nothing."""
        name = f"{check_id(item_id, 'inbox id')}.json"
        try:
            with self._opened() as directory:
                inbox = durable.open_directory("inbox", directory)
                try:
                    durable.write_file(inbox, name, durable.encode_json(payload))
                finally:
                    os.close(inbox)
        except OSError as error:
            raise BadRunFile(f"cannot write {self.inbox / name}: {error.strerror}") from error

    def prompt(self) -> str:
        """What the agent was told to do.

        Raises:
            BadRunFile: if it is not there any more, or damaged.
        """
        text = self._record("prompt.md", bytes.decode, SPEC_LIMIT)
        if text is None:
            raise BadRunFile(f"{self.prompt_md} is gone", "the agent may have removed it; stop the run")
        return text

    def conversation(self) -> dict[str, object]:
        """What the conversation with the agent was begun with; empty before `write_inputs`."""
        return self._record("conversation.json", _object, SPEC_LIMIT) or {}

    # What the agent writes

    def read_outbox(self, seen: Collection[str] = ()) -> list[OutboxItem | BadOutboxItem]:
        """The agent's requests whose ids are not in `seen`, oldest first; unusable ones say why."""
        with self._opened() as directory:
            return read_outbox(directory, frozenset(seen))

    # What the supervisor writes

    def spec(self) -> RunSpec | None:
        """What the run was started with, or None before `write_spec`."""
        return self._record("spec.json", decode_spec, SPEC_LIMIT)

    def started(self) -> Started | None:
        """The agent's process, or None when it was never started.

        Raises:
            BadRunFile: if `started.json` is damaged.
        """
        return self._record("started.json", _decode_started)

    def exit(self) -> Exit | None:
        """How the run ended, or None while that is not known.

        Raises:
            BadRunFile: if `exit.json` is damaged: it says that the run ended, not how.
        """
        return self._record("exit.json", _decode_exit)

    def is_alive(self) -> bool:
        """Whether the run has a supervisor now."""
        with self._opened() as directory:
            return lock.is_held(directory)

    def state(self) -> RunDirState:
        """What the files prove. An `exit.json` decides, whatever else is there."""
        with self._opened() as directory:
            if durable.exists(directory, "exit.json"):
                return RunDirState.ENDED
            held = lock.is_held(directory)
            started = durable.exists(directory, "started.json")
            if held:
                return RunDirState.ALIVE if started else RunDirState.STARTING
            # The supervisor may have written it, and gone, between the two looks.
            if durable.exists(directory, "exit.json"):
                return RunDirState.ENDED
            return RunDirState.LOST if started else RunDirState.PREPARED

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            directory = durable.open_directory(self.path)
        except FileNotFoundError as error:
            raise NotFound(f"there is no run directory {self.path}") from error
        except OSError as error:
            raise BadRunFile(f"{self.path} is not a usable directory ({error.strerror})") from error
        try:
            yield directory
        finally:
            os.close(directory)

    def _record(self, name: str, decode: Callable[[bytes], T], limit: int = RECORD_LIMIT) -> T | None:
        with self._opened() as directory:
            try:
                return decode(durable.read_regular(directory, name, limit))
            except FileNotFoundError:
                return None
            except (durable.UnsafeFile, OSError, ValueError, KeyError, TypeError) as error:
                raise BadRunFile(
                    f"{self.path / name} is damaged ({type(error).__name__}: {error})",
                    "look at the files beside it; nothing was changed",
                ) from error


def _decode_started(data: bytes) -> Started:
    raw = _object(data)
    return Started(
        supervisor_pid=_number(raw, "supervisor_pid"),
        pid=_number(raw, "pid"),
        starttime=_number(raw, "starttime"),
        boot_id=str(raw["boot_id"]),
        nonce=str(raw["nonce"]),
        at=from_iso(str(raw["at"])),
    )


def _decode_exit(data: bytes) -> Exit:
    raw = _object(data)
    return Exit(
        code=None if raw["code"] is None else _number(raw, "code"),
        signal=None if raw["signal"] is None else _number(raw, "signal"),
        at=from_iso(str(raw["at"])),
        cause=ExitCause(str(raw["cause"])),
        error=str(raw["error"]),
        bytes_out=_number(raw, "bytes_out"),
        bytes_err=_number(raw, "bytes_err"),
        dropped=_number(raw, "dropped"),
        strays_killed=_number(raw, "strays_killed"),
        survivors=_number(raw, "survivors"),
    )


def _object(data: bytes) -> dict[str, object]:
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _number(raw: Mapping[str, object], name: str) -> int:
    value = raw[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} is not a whole number")
    return value
