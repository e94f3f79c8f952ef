"""How the process tree of a run is brought to its end: asked, given time, killed until nothing is left.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable

from scheduler.runs import process_tree
from scheduler.runs.process_tree import Process, Proof

STRAY_GRACE_S = 0.5  # for what is left when the agent itself has ended
KILL_LIMIT_S = 30.0  # a process that cannot be killed (stuck in the kernel) is reported, not waited for
TERM_ROUND_S = 0.1
KILL_ROUND_S = 0.01
SLOW_ROUND_S = 0.5  # once two seconds of killing have not been enough
SWEEP_S = 0.02  # of direct children, again and again, in one round


class Ending:
    """The end of one run. `cause` is empty while the run goes on; `done` once no process is left.

    Args:
        marks: what the environment of the run's processes holds; finds those that got away.
        since: start of the supervisor in clock ticks; what is older is not of this run.
        reap: collects ended children; returns whether there are no others. For a process that adopts
            orphans that means no descendants either, which no look at /proc can prove.

    Where there is no /proc, only the process group of `leader` is ended, and only while that lives.
    """

    def __init__(self, marks: frozenset[bytes], since: int, reap: Callable[[], bool]) -> None:
        self._marks = marks
        self._since = since
        self._reap = reap
        self._kill_at = math.inf
        self._asked: set[Process] = set()
        self._strays: set[int] = set()
        self._leader_ended = False
        self.leader = 0
        self.cause = ""
        self.next_round = math.inf
        self.done = False
        self.survivors = 0

    @property
    def strays(self) -> int:
        """How many processes still ran when the agent itself had ended, and had to be signalled."""
        return len(self._strays)

    def begin(self, cause: str, grace_s: float) -> None:
        """End the run, or end it sooner. The first cause stands once the agent has ended."""
        if not self.cause or not self._leader_ended:
            self.cause = cause
        self._kill_at = min(self._kill_at, time.monotonic() + grace_s)
        self.next_round = 0.0

    def leader_ended(self) -> None:
        """The agent itself has ended: what is left has little time."""
        self._leader_ended = True
        self._kill_at = min(self._kill_at, time.monotonic() + STRAY_GRACE_S)
        self._look_again()

    def reaped(self, pid: int, code: int) -> None:
        """Another process of the run has ended: there may be nothing left."""
        if self._leader_ended and code in (-signal.SIGTERM, -signal.SIGKILL):
            self._strays.add(pid)
        self._look_again()

    def round(self, now: float) -> None:
        """Look at what is left and ask it to end, or kill it when its time is up."""
        if now < self.next_round:
            return
        left, proof = process_tree.descendants(os.getpid()), process_tree.unchanged
        if self._reap() and self._leader_ended:
            left, proof = process_tree.marked(self._marks, self._since), self._still_marked
            self.done = not left
        if now < self._kill_at:
            self._ask(left, proof)
            self.next_round = min(now + TERM_ROUND_S, self._kill_at)
        else:
            self._kill(left, proof)
            self.next_round = now + (KILL_ROUND_S if now < self._kill_at + 2.0 else SLOW_ROUND_S)
        if now >= self._kill_at + KILL_LIMIT_S:
            self.survivors, self.done = len(left), True

    def kill_now(self) -> None:
        """One round of SIGKILL, for a supervisor that cannot go on."""
        self._kill(process_tree.descendants(os.getpid()), process_tree.unchanged)

    def _look_again(self) -> None:
        if self.cause:
            self.next_round = min(self.next_round, time.monotonic() + KILL_ROUND_S)

    def _still_marked(self, process: Process) -> bool:
        return process_tree.unchanged(process) and process_tree.has_marks(process, self._marks)

    def _ask(self, left: list[Process], proof: Proof) -> None:
        self._signal_group(signal.SIGTERM)
        for process in left:
            if process not in self._asked and self._signal(process, signal.SIGTERM, proof):
                # A stopped process acts on SIGTERM only when it goes on.
                process_tree.signal_proven(process, signal.SIGCONT, proof)
                self._asked.add(process)

    def _kill(self, left: list[Process], proof: Proof) -> None:
        self._signal_group(signal.SIGKILL)
        for process in left:
            self._signal(process, signal.SIGKILL, proof)
        until = time.monotonic() + SWEEP_S
        while not self._reap() and time.monotonic() < until:
            process_tree.kill_children()

    def _signal_group(self, number: int) -> None:
        if not process_tree.AVAILABLE and not self._leader_ended:
            os.killpg(self.leader, number)  # an unreaped leader's number is still its own

    def _signal(self, process: Process, number: int, proof: Proof) -> bool:
        sent = process_tree.signal_proven(process, number, proof)
        if sent and self._leader_ended:
            self._strays.add(process.pid)
        return sent
