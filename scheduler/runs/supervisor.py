"""The process that owns one agent from start to end, so that the agent outlives the scheduler.

Started as `python -I -S supervisor.py RUN_DIR`; goes into the background once it holds the run's lock.
It needs the standard library only, has one thread, and speaks to whichever scheduler is there through
files of the run directory: `started.json`, `exit.json`, and commands in `control.fifo` (`stop`, `kill`,
`eof`, one a line).
"""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

if not __package__:  # run as a program, and isolated: find our own modules, after all others
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from scheduler.runs import durable, process_tree
from scheduler.runs.agent_process import AgentProcess, explain, start_agent
from scheduler.runs.ending import STRAY_GRACE_S, Ending
from scheduler.runs.lock import take_lock
from scheduler.runs.spec import RunSpec, decode_spec
from scheduler.runs.spool import Spool

LOCKED = 11  # exit status: another supervisor holds this run
ALREADY_RAN = 12  # exit status: a run is never started twice

SPEC_LIMIT = 16 << 20
READ_BYTES = 65536
DRAIN_BYTES = 2 << 20  # twice what a pipe can hold
LONGEST_SLEEP_S = 5.0  # how soon it is noticed that the run directory is gone
STDERR_SHARE = 4  # stderr.log may take a quarter of the transcript's cap
EXIT_ROOM = 4096
MAX_ERROR = 1000


class Supervisor:
    """Start the agent, copy its output, end its whole process tree, record how it ended."""

    def __init__(self, directory: int) -> None:
        self._directory = directory
        self._exit_file = durable.ReservedFile(directory, "exit.json", EXIT_ROOM)
        own = process_tree.inspect(os.getpid())
        self._since = own.starttime if own else 0
        self._spec: RunSpec | None = None
        self._agent: AgentProcess | None = None
        self._spools: list[Spool] = []
        self._streams: dict[int, Spool] = {}
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], object]] = {}
        self._command = b""
        self._stdin: int | None = None
        self._status: int | None = None
        self._ending = Ending(frozenset(), self._since, self._reap)
        self._deadline = math.inf
        self._error = ""

    def run(self) -> None:
        """Supervise one run, from `spec.json` to `exit.json`."""
        try:
            self._start()
        except (OSError, ValueError, durable.UnsafeFile, subprocess.SubprocessError) as error:
            self._ending.cause, self._error = "spawn_failed", explain(error, self._spec)
        else:
            try:
                self._record_start()
                while not self._ending.done:
                    self._turn()
            except BaseException:
                self._ending.kill_now()
                raise
            self._drain()
        self._record_exit()

    # Start

    def _start(self) -> None:
        spec = self._spec = decode_spec(durable.read_regular(self._directory, "spec.json", SPEC_LIMIT))
        self._ending = Ending(spec.marks(), self._since, self._reap)
        self._watch_signals()
        # Opened in both directions, so that it is never at its end while nobody writes.
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
        self._watch(os.open("control.fifo", flags, dir_fd=self._directory), self._read_control)
        self._spools = [
            Spool(self._directory, "transcript.jsonl", spec.spool_cap_bytes),
            Spool(self._directory, "stderr.log", spec.spool_cap_bytes // STDERR_SHARE),
        ]
        agent = self._agent = start_agent(spec, self._directory)
        self._stdin, self._ending.leader = agent.stdin, agent.popen.pid
        for fd, spool in zip((agent.stdout, agent.stderr), self._spools, strict=True):
            self._streams[fd] = spool
            self._watch(fd, self._read_stream)
        if spec.wall_clock_s is not None:
            self._deadline = time.monotonic() + spec.wall_clock_s

    def _watch_signals(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # the agent gets the default; SIG_IGN it would inherit
        self._watch(reader, self._read_signals)

    def _watch(self, fd: int, handler: Callable[[int], object]) -> None:
        self._handlers[fd] = handler
        self._poll.register(fd, select.POLLIN)

    def _record_start(self) -> None:
        assert self._agent is not None
        assert self._spec is not None
        pid = self._agent.popen.pid
        leader = process_tree.inspect(pid)
        record = {
            "supervisor_pid": os.getpid(),
            "pid": pid,
            "starttime": leader.starttime if leader else self._since,
            "boot_id": process_tree.boot_id(),
            "nonce": self._spec.nonce,
            "at": durable.utc_stamp(),
        }
        try:
            durable.write_file(self._directory, "started.json", durable.encode_json(record))
        except OSError as error:
            self._error = f"the agent was stopped at once: started.json cannot be written ({error.strerror})"
            self._end("spawn_failed", 0.0)

    # Loop

    def _turn(self) -> None:
        until = min(self._deadline, self._ending.next_round)
        left_s = min(max(0.0, until - time.monotonic()), LONGEST_SLEEP_S)
        for fd, _ in self._poll.poll(math.ceil(left_s * 1000)):
            self._handlers[fd](fd)
        self._reap()
        now = time.monotonic()
        if not self._ending.cause and self._status is not None:
            self._end("exited", STRAY_GRACE_S)
        elif not self._ending.cause and now >= self._deadline:
            self._end_gently("wall_clock")
        elif not self._ending.cause and not os.fstat(self._directory).st_nlink:
            # Without its directory nobody can reach, adopt or stop this run ever again.
            self._end("killed", 0.0)
        self._ending.round(now)

    def _read_stream(self, fd: int) -> int:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return 0
        if data:
            self._streams[fd].write(data)
        else:
            self._poll.unregister(fd)
            del self._streams[fd]
            os.close(fd)
        return len(data)

    def _read_control(self, fd: int) -> None:
        *lines, rest = (self._command + os.read(fd, 4096)).split(b"\n")
        self._command = rest[-64:]
        for line in lines:
            if line == b"eof":
                self._close_stdin()
            elif line == b"stop":
                self._end_gently("stopped")
            elif line == b"kill":
                self._end("killed", 0.0)

    def _read_signals(self, fd: int) -> None:
        numbers = os.read(fd, 4096)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._end_gently("stopped")

    def _reap(self) -> bool:
        """Collect ended children, never losing the agent's status; returns whether there are no others."""
        assert self._agent is not None
        leader = self._agent.popen
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            code = os.waitstatus_to_exitcode(status)
            if pid == leader.pid:
                self._status = leader.returncode = code
                self._ending.leader_ended()
            else:
                self._ending.reaped(pid, code)

    # End

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def _end_gently(self, cause: str) -> None:
        if not self._ending.cause and self._spec:
            self._end(cause, self._spec.grace_s)

    def _end(self, cause: str, grace_s: float) -> None:
        self._deadline = math.inf
        self._close_stdin()
        self._ending.begin(cause, grace_s)

    def _drain(self) -> None:
        """Take what is still in the pipes; somebody we could not end may hold their other side."""
        for fd in list(self._streams):
            taken = 0
            while fd in self._streams and taken < DRAIN_BYTES:
                size = self._read_stream(fd)
                if not size:
                    break
                taken += size
        for spool in self._spools:
            spool.close()
            self._error = self._error or spool.error

    def _record_exit(self) -> None:
        """Write `exit.json`, and hold the lock until that has worked or the run directory is gone."""
        status = self._status
        record = {
            "code": status if status is not None and status >= 0 else None,
            "signal": -status if status is not None and status < 0 else None,
            "at": durable.utc_stamp(),
            "cause": self._ending.cause,
            "error": self._error[:MAX_ERROR],
            "bytes_out": self._spools[0].received if self._spools else 0,
            "bytes_err": self._spools[1].received if self._spools else 0,
            "dropped": sum(spool.dropped for spool in self._spools),
            "strays_killed": self._ending.strays,
            "survivors": self._ending.survivors,
        }
        pause = 0.05
        while os.fstat(self._directory).st_nlink:
            try:
                self._exit_file.write(durable.encode_json(record))
                return
            except OSError as error:
                print(f"exit.json cannot be written yet: {error}", file=sys.stderr, flush=True)  # noqa: T201
                time.sleep(pause)
                pause = min(2 * pause, 5.0)


def main(arguments: list[str]) -> int:
    """Take the run's lock and go into the background; returns there, once the run has ended."""
    directory = durable.open_directory(arguments[0])
    if take_lock(directory) is None:
        return LOCKED
    if durable.exists(directory, "started.json") or durable.exists(directory, "exit.json"):
        return ALREADY_RAN
    if os.fork():
        os._exit(0)  # whoever started us reaps this process now; the run's parent is init
    os.setsid()
    process_tree.adopt_orphans()
    process_tree.hide_from_debuggers()
    Supervisor(directory).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
