"""What Octopoid costs per running agent, as multiples of the least that reads their output.

    python tests/bench/bench_fleet.py [--smoke]

50 scripted agents (8 with --smoke) run through the whole scheduler: first silent, then each with 20 events a
second. CPU is the kernel's, of all threads: of this process, which is the scheduler and does nothing else
meanwhile, and of the supervisors, one per agent. By hand, the same programs write into pipes, and one loop
reads and decodes their lines: nothing is kept, and nothing outlives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from aims import arguments, report, say
from harness import Work, at_work, end_runs, make_project, running, until

from scheduler.agents.demo import PROGRAM
from scheduler.desk import TaskDraft

PER_SECOND = 20
SILENT = {"wait": 3600}
TALKATIVE = {"stream": {"per_second": PER_SECOND, "seconds": 600}}
SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of CPU in a window of time, bytes of memory, and events read."""

    alone_s: float
    """Of our process, before there were any agents."""
    ours_s: float
    supervisors_s: float
    ours_bytes: int
    supervisors_bytes: int
    events: int


def cpu_s(pid: int) -> float:
    """What all threads of a process have used, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def own_memory(pid: int) -> int:
    """Bytes that would be free without this process: what it shares with others does not count."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def make(place: Path, agents: int) -> Path:
    repo = make_project(place, config=f"agents:\n  max_concurrent: {agents}\n")
    (repo / ".octopoid" / "agents.yaml").write_text(
        f"- {{name: worker, role: implement, adapter: demo, max_instances: {agents}}}\n"
    )
    return repo


@contextmanager
def ended(runs: Path) -> Iterator[None]:
    """No agent outlives the block."""
    try:
        yield
    finally:
        end_runs(runs)


async def start(work: Work, agents: int, step: dict[str, Any]) -> list[int]:
    """Start so many agents that do this; returns their supervisors."""
    metadata = {"demo": {"implement": [[step]]}}
    for number in range(agents):
        await work.desk.enqueue(TaskDraft(f"Task {number}", metadata=metadata))

    async def all_at_work() -> bool:
        return work.scheduler.live_runs == agents

    await until(all_at_work, "all agents to start")
    started = [following.run_dir.started() for following in work.scheduler.fleet.following.values()]
    return [record.supervisor_pid for record in started if record is not None]


async def through(place: Path, agents: int, step: dict[str, Any], seconds: float) -> Cost:
    """What they cost here for so long, once all have been started."""
    repo = make(place, agents)
    runs, us = repo / ".octopoid" / "runs", os.getpid()
    with ended(runs):
        async with at_work(repo) as work, running(work):
            await asyncio.sleep(SETTLE_S)
            memory = own_memory(us)
            (alone_s,) = await spent([us], seconds)
            supervisors = await start(work, agents, step)
            await asyncio.sleep(SETTLE_S)
            events = count(runs)
            ours_s, *theirs_s = await spent([us, *supervisors], seconds)
            return Cost(
                alone_s,
                ours_s,
                sum(theirs_s),
                own_memory(us) - memory,
                sum(map(own_memory, supervisors)),
                count(runs) - events,
            )


async def spent(processes: list[int], seconds: float) -> list[float]:
    """Seconds of CPU of each process in the time that follows."""
    before = list(map(cpu_s, processes))
    await asyncio.sleep(seconds)
    return [cpu_s(pid) - used for pid, used in zip(processes, before, strict=True)]


def count(runs: Path) -> int:
    """Events on record."""
    return sum(path.read_bytes().count(b"\n") for path in runs.glob("*/events.jsonl"))


def by_hand(place: Path, agents: int, seconds: float) -> tuple[float, int]:
    """Seconds of CPU, and lines read, of a loop that only decodes what the same programs write."""
    task = {"role": "implement", "attempt_in_role": 1, "script": {"implement": [[TALKATIVE]]}}
    (place / "task.json").write_text(json.dumps(task))
    env = {"OCTOPOID_RUN": "r", "OCTOPOID_RUN_DIR": str(place), "OCTOPOID_WORKTREE": str(place)}
    command = [sys.executable, "-I", str(PROGRAM)]
    programs = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE) for _ in range(agents)]
    try:
        with selectors.DefaultSelector() as selector:
            for program in programs:
                assert program.stdout is not None
                selector.register(program.stdout, selectors.EVENT_READ)
            read(selector, SETTLE_S)
            began = cpu_s(os.getpid())
            lines = read(selector, seconds)
            return cpu_s(os.getpid()) - began, lines
    finally:
        for program in programs:
            program.kill()
            program.communicate()


def read(selector: selectors.BaseSelector, seconds: float) -> int:
    """Decode what comes, for so long; returns how many lines there were."""
    rests: dict[int, bytes] = {}
    lines = 0
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            *whole, rests[key.fd] = (rests.get(key.fd, b"") + os.read(key.fd, 65536)).split(b"\n")
            lines += len([json.loads(line) for line in whole])
    return lines


def main() -> int:
    smoke = arguments(__doc__).smoke
    agents, seconds = (8, 2.0) if smoke else (50, 8.0)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        silent = asyncio.run(through(place / "silent", agents, SILENT, seconds))
        loud = asyncio.run(through(place / "loud", agents, TALKATIVE, seconds))
        hand_s, lines = by_hand(place, agents, seconds)
    per_line, per_event = hand_s / lines, loud.ours_s / loud.events
    detail = f"{1e6 * per_event:.0f} / {1e6 * per_line:.0f} µs; {loud.events / seconds:.0f} events/s"
    report("one event, our process / decoded by hand", per_event / per_line, detail, most=2.0)
    per_event = (loud.ours_s + loud.supervisors_s) / loud.events
    report("the same, with the supervisors", per_event / per_line, f"{1e6 * per_event:.0f} µs")
    for name, cost in (("silent", silent), ("talkative", loud)):
        added_s = cost.ours_s - cost.alone_s
        ours, theirs = (100 * used / seconds / agents for used in (added_s, cost.supervisors_s))
        kib, mib = cost.ours_bytes / agents / 2**10, cost.supervisors_bytes / agents / 2**20
        in_ours, in_theirs = f"{ours:.3f} % of a core and {kib:.0f} KiB", f"{theirs:.3f} % and {mib:.1f} MiB"
        say(f"a {name} agent: {in_ours} in our process, {in_theirs} in its supervisor")
    say(f"our process without agents: {100 * silent.alone_s / seconds:.2f} % of a core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
