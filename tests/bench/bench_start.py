"""How long from queueing a task to its agent's start, as a multiple of what git and the kernel need.

    python tests/bench/bench_start.py [--smoke]

Both sides start the same program, which writes down when it began: once by hand, after a bare
`git clone --shared` of the same repository, and once through the whole scheduler (store, gates, lease,
worktree, prompt, run directory, supervisor). Medians; a figure to look at, never a test of time.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from aims import arguments, report
from harness import at_work, make_project, running, until

from backend.model import Queue
from scheduler.desk import TaskDraft

FILES = 500
SCRIPT = """\
date +%s.%N > "$STARTS/.$OCTOPOID_TASK_ID"
mv "$STARTS/.$OCTOPOID_TASK_ID" "$STARTS/$OCTOPOID_TASK_ID"
echo done > done.txt
"""


def make(tmp: Path) -> tuple[Path, Path]:
    """A project with some files, and the folder in which agents note their start."""
    starts = tmp / "starts"
    starts.mkdir()
    repo = make_project(tmp, SCRIPT, agent=f"  env: {{STARTS: '{starts}'}}\n")
    for number in range(FILES):
        path = repo / f"src/{number % 20}/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 50)
    subprocess.run(["git", "-C", repo, "add", "-A"], check=True)
    subprocess.run(["git", "-C", repo, "commit", "-q", "-m", "Files"], check=True)
    return repo, starts


def bare(tmp: Path, repo: Path, starts: Path, number: int) -> float:
    """Seconds from now to the program's start in a fresh shared clone."""
    name, place = f"bare-{number}", tmp / f"clone-{number}"
    env = {"STARTS": str(starts), "OCTOPOID_TASK_ID": name, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    began = time.time()
    subprocess.run(["git", "clone", "--quiet", "--shared", repo, place], check=True)
    subprocess.run([tmp / "agent.sh"], cwd=place, env=env, check=True)
    return float((starts / name).read_text()) - began


async def scheduled(repo: Path, starts: Path, count: int) -> list[float]:
    """Seconds from the call of `enqueue` to the agent's start, one task after another."""
    taken = []
    async with at_work(repo) as work, running(work):
        for number in range(count):
            name = f"task-{number}"

            async def started(name: str = name) -> bool:
                return (starts / name).exists()

            async def rests(name: str = name) -> bool:
                return (await work.backend.get_task(name)).queue is Queue.PROVISIONAL

            began = time.time()
            await work.desk.enqueue(TaskDraft(name, id=name))
            await until(started, "the agent to start")
            taken.append(float((starts / name).read_text()) - began)
            await until(rests, "the work to be collected")
    return taken


def main() -> None:
    count = 2 if arguments(__doc__).smoke else 15
    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        repo, starts = make(tmp)
        by_hand = [bare(tmp, repo, starts, number) for number in range(count)]
        through = asyncio.run(scheduled(repo, starts, count))
    hand, ours = statistics.median(by_hand), statistics.median(through)
    detail = f"{ours * 1000:.0f} / {hand * 1000:.0f} ms, medians of {count}"
    report("enqueue to agent started / clone and start", ours / hand, detail)


if __name__ == "__main__":
    main()
