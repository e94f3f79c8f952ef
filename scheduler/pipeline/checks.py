"""The project's checks: commands run on one exact commit, in a fresh checkout, each leaving evidence."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.clean import clean
from backend.clock import Clock, from_ms
from backend.config.schema import Check
from backend.ids import new_id
from backend.interface import Backend
from backend.model import Evidence, Task
from scheduler.environment import base_environment
from scheduler.git.hub import Hub
from scheduler.git.workspace import checkout
from scheduler.project import Project
from scheduler.runs.adopt import stop
from scheduler.runs.launch import launch
from scheduler.runs.rundir import BadRunFile, Exit, ExitCause, RunDir, RunDirState
from scheduler.runs.tail import read_block

POLL_S = 0.05
TAIL_BYTES = 16 << 10
OUTPUT_CAP = 8 << 20
OUTPUT_READ = OUTPUT_CAP + (1 << 20)
"""What is read of a file that the check could have made longer itself."""


@dataclass(frozen=True, slots=True)
class CheckResults:
    """The evidence for one commit, one entry a check."""

    evidence: tuple[Evidence, ...]

    @property
    def passed(self) -> bool:
        return all(item.passed for item in self.evidence)

    def feedback(self) -> str:
        """What the next attempt is told: each failed check with the end of its output."""
        failed = [item for item in self.evidence if not item.passed]
        return "\n\n".join(
            f"Check {item.check!r} failed ({ending(item.exit_code)}): {item.command}\n"
            f"{item.output_tail.strip()}"
            for item in failed
        )


def ending(exit_code: int | None) -> str:
    return "it did not finish" if exit_code is None else f"exit status {exit_code}"


class Checks:
    """Runs the configured checks through the same supervisor as agents, so that nothing outlives them."""

    def __init__(self, backend: Backend, project: Project, hub: Hub, clock: Clock) -> None:
        self._backend = backend
        self._project = project
        self._hub = hub
        self._clock = clock

    async def run(self, task: Task, commit: str, base: str, run_id: str | None) -> CheckResults:
        """Run every check on `commit`; what already has evidence for this commit is not run again."""
        known = {
            item.check: item
            for item in await self._backend.list_evidence(task.id)
            if item.commit_sha == commit and item.exit_code is not None
        }
        wanted = self._project.config.checks
        if all(check.name in known for check in wanted):
            return CheckResults(tuple(known[check.name] for check in wanted))
        place = self._project.checks_dir / new_id()
        opened = checkout(self._hub, place, commit)
        tree = await asyncio.to_thread(opened.__enter__)
        try:
            results = [
                known.get(check.name) or await self._one(check, task, commit, base, run_id, place, tree)
                for check in wanted
            ]
        finally:
            await asyncio.to_thread(opened.__exit__, None, None, None)
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        return CheckResults(tuple(results))

    async def _one(
        self, check: Check, task: Task, commit: str, base: str, run_id: str | None, place: Path, tree: Path
    ) -> Evidence:
        started = self._clock.now_ms()
        check_id = new_id()
        run_dir = RunDir.create(place / "runs", check_id)
        run_dir.write_spec(
            ("/bin/sh", "-c", check.command),
            cwd=tree,
            env=base_environment(place / "home", None, {"CI": "1"}),
            stdin="null",
            wall_clock_s=check.timeout_s,
            spool_cap_bytes=OUTPUT_CAP,
        )
        try:
            await asyncio.to_thread(launch, run_dir)
            end = await self._wait(run_dir)
        except asyncio.CancelledError:
            stop(run_dir, "kill")
            raise
        output = await asyncio.to_thread(_output, run_dir)
        evidence = Evidence(
            id=check_id,
            task_id=task.id,
            run_id=run_id,
            check=check.name,
            command=check.command,
            commit_sha=commit,
            base_sha=base,
            exit_code=end.code if end is not None and end.cause is ExitCause.EXITED else None,
            output_tail=clean(output[-TAIL_BYTES:].decode("utf-8", "replace")),
            output_digest=hashlib.sha256(output).hexdigest(),
            duration_ms=self._clock.now_ms() - started,
            at=from_ms(self._clock.now_ms()),
        )
        await self._backend.add_evidence(evidence)
        return evidence

    async def _wait(self, run_dir: RunDir) -> Exit | None:
        """How the check ended; None when its supervisor vanished, or what it left cannot be read."""
        while True:
            if await asyncio.to_thread(_is_over, run_dir):
                try:
                    return run_dir.exit()
                except BadRunFile:
                    return None
            await asyncio.sleep(POLL_S)


def _is_over(run_dir: RunDir) -> bool:
    """Whether nothing of a check runs any more; a record of its end proves nothing, it could be its own."""
    return run_dir.state() in (RunDirState.ENDED, RunDirState.LOST) and not run_dir.is_alive()


def _output(run_dir: RunDir) -> bytes:
    """What the check wrote: standard output, then standard error. Blocking."""
    parts = []
    for path in (run_dir.transcript, run_dir.stderr_log):
        with contextlib.suppress(BadRunFile):
            parts.append(read_block(path, 0, OUTPUT_READ)[0])
    return b"".join(parts)


def missing(wanted: Sequence[Check], evidence: Sequence[Evidence], commit: str) -> list[str]:
    """The names of checks that have not passed on this commit."""
    passed = {item.check for item in evidence if item.commit_sha == commit and item.passed}
    return [check.name for check in wanted if check.name not in passed]
