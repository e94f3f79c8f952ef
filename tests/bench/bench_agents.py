"""How soon agents work and are heard, against the same without Octopoid.

    python tests/bench/bench_agents.py [--smoke]

- start: from `enqueue` until the program is at work, against a bare `git clone --shared` and the same
  program started in it. At work is the scripted agent with its first line of output, Claude Code with its
  first request to the model, which is a scripted one on this machine. Claude Code is left out where it is not
  installed.
- asking: from the moment in which an agent leaves a question until it is in the picture that the screen
  draws, against the same question put straight into the store.

Medians.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "agents"))

from aims import arguments, p50_p99, report, say
from bench import Bench, Script, Wait
from bench_claude import ClaudeBench, find_claude
from bench_plain import DemoBench
from harness import Work, at_work, end_runs, make_project, running, until

from backend.clock import SystemClock, from_ms
from backend.interface import Action
from octopoid_tui.feed import Feed, FeedStatus
from octopoid_tui.snapshot import Snapshot
from scheduler.agents.demo import PROGRAM
from scheduler.desk import TaskDraft
from scheduler.questions import post_request
from scheduler.runs.outbox import OutboxItem

POLL_S = 0.002
PATIENCE_S = 60.0
PATH = "/usr/local/bin:/usr/bin:/bin"


@asynccontextmanager
async def at(repo: Path) -> AsyncIterator[Work]:
    """The scheduler at work; no agent outlives it."""
    try:
        async with at_work(repo) as work, running(work):
            yield work
    finally:
        end_runs(repo / ".octopoid" / "runs")


def project(place: Path, agent: dict[str, object]) -> Path:
    repo = make_project(place)
    entry = {"name": "worker", "role": "implement", **agent}
    (repo / ".octopoid" / "agents.yaml").write_text(json.dumps([entry]))
    return repo


# Starting


Waits = Callable[[Script, int], bool]
"""Whether the agent of a script is at work, so many having been before it."""


async def started_through(place: Path, bench: Bench, waits: Waits, count: int) -> list[float]:
    """Seconds from `enqueue` until the program is at work, one task after another."""
    taken = []
    async with at(project(place, bench.agent(place))) as work:
        for number in range(count):
            script = bench.script(place, Wait())
            draft = TaskDraft("Do it", body=script.body, id=script.task_id, metadata=script.metadata)
            began = time.monotonic()
            await work.desk.enqueue(draft)
            while not waits(script, number):
                if time.monotonic() - began > PATIENCE_S:
                    raise TimeoutError(f"{bench.adapter.name} was not at work in {PATIENCE_S:.0f} s")
                await asyncio.sleep(POLL_S)
            taken.append(time.monotonic() - began)
            await work.desk.act(script.task_id, Action.CANCEL)

            async def ended() -> bool:
                return work.scheduler.live_runs == 0

            await until(ended, "the agent to end")
    return taken


def demo_waits(place: Path) -> Waits:
    """By its first line of output."""

    def waits(script: Script, number: int) -> bool:
        transcripts = place.glob("repo/.octopoid/runs/*/transcript.jsonl")
        return sum(transcript.stat().st_size > 0 for transcript in transcripts) > number

    return waits


def started_by_hand(
    repo: Path, place: Path, command: list[str], env: dict[str, str], at_work: Callable[[], bool]
) -> float:
    """Seconds until the program is at work in a bare clone."""
    place.mkdir()
    began = time.monotonic()
    subprocess.run(["git", "clone", "--quiet", "--shared", repo, place / "clone"], check=True)
    with (place / "out").open("wb") as out:
        program = subprocess.Popen(
            command, cwd=place / "clone", env={"PATH": PATH, "HOME": str(place), **env},
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        while not at_work():
            if program.poll() is not None or time.monotonic() - began > PATIENCE_S:
                said = (place / "out").read_text()[-500:]
                raise RuntimeError(f"{command[0]} is not at work by hand: {said}")
            time.sleep(POLL_S)
        return time.monotonic() - began
    finally:
        program.kill()
        program.wait()


def demo_by_hand(repo: Path, place: Path, bench: Bench, count: int) -> list[float]:
    taken = []
    for number in range(count):
        run = place / f"run-{number}"
        script = {"role": "implement", "attempt_in_role": 1, "script": {"implement": [[{"wait": 3600}]]}}
        (place / "task.json").write_text(json.dumps(script))
        env = {"OCTOPOID_RUN": "r", "OCTOPOID_RUN_DIR": str(place), "OCTOPOID_WORKTREE": str(run / "clone")}
        command = [sys.executable, "-I", str(PROGRAM)]
        out = run / "out"
        taken.append(started_by_hand(repo, run, command, env, lambda out=out: out.stat().st_size > 0))  # type: ignore[misc]
    return taken


def claude_by_hand(repo: Path, place: Path, bench: Bench, count: int) -> list[float]:
    taken = []
    for number in range(count):
        script = bench.script(place, Wait())
        program = str(find_claude())
        command = [program, "-p", script.body, "--output-format", "stream-json", "--verbose"]
        env = dict(bench.agent(place)["env"])
        run = place / f"run-{number}"
        taken.append(started_by_hand(repo, run, command, env, lambda s=script: bench.waits(s)))  # type: ignore[misc]
        bench.release(script)
    return taken


def compare_starts(
    name: str,
    place: Path,
    bench: Bench,
    waits: Waits,
    by_hand: Callable[[Path, Path, Bench, int], list[float]],
    count: int,
) -> None:
    """`place` is a folder with the folders `ours` and `hand`."""
    ours, _ = p50_p99(asyncio.run(started_through(place / "ours", bench, waits, count)))
    hand, _ = p50_p99(by_hand(place / "ours" / "repo", place / "hand", bench, count))
    report(f"start of {name}, ours / by hand", ours / hand, f"{1000 * ours:.0f} / {1000 * hand:.0f} ms")


# Asking


class Screen:
    """What a screen does with the feed: take each picture. Notes when a question first was in one."""

    def __init__(self, work: Work) -> None:
        self.seen: dict[str, float] = {}
        self.live = asyncio.Event()
        self.changed = asyncio.Event()
        self.feed = Feed(work.backend, publish=self._publish, report=self._report)

    def _publish(self, snapshot: Snapshot) -> None:
        for question in snapshot.questions:
            self.seen.setdefault(question.message.body, time.time())
        self.changed.set()

    def _report(self, state: object) -> None:
        if getattr(state, "status", None) is FeedStatus.LIVE:
            self.live.set()

    async def shown(self, text: str) -> float:
        """When the question was in a picture, by the clock."""
        while text not in self.seen:
            self.changed.clear()
            async with asyncio.timeout(PATIENCE_S):
                await self.changed.wait()
        return self.seen[text]


async def asked(place: Path, count: int) -> tuple[list[float], list[float]]:
    """Seconds until questions are in the picture: asked by an agent, and put straight into the store."""
    # The pauses differ, so that the questions come at any time between two looks.
    steps = [
        step
        for number in range(count)
        for step in ({"wait": 0.3 + 0.1 * number / count}, {"ask": {"question": f"Question {number}?"}})
    ]
    metadata = {"demo": {"implement": [[*steps, {"wait": 3600}]]}}
    through, straight = [], []
    async with at(project(place, {"adapter": "demo", "env": {"OCTOPOID_DEMO_PACE": "1"}})) as work:
        screen = Screen(work)
        feed = asyncio.create_task(screen.feed.run())
        await screen.live.wait()
        await work.desk.enqueue(TaskDraft("Ask", id="ask", metadata=metadata))
        for number in range(count):
            shown = await screen.shown(f"Question {number}?")
            (run,) = await work.backend.list_runs(task_id="ask")
            left = work.desk.run_dir(run.id).outbox / f"ask-{number + 1}.json"
            through.append(shown - left.stat().st_mtime)
            (message,) = await work.backend.open_questions()
            await work.desk.answer(message.id, "yes")
        for number in range(count):
            await asyncio.sleep(0.3 + 0.1 * number / count)
            item = OutboxItem(f"straight-{number}", "ask", {"question": f"Straight {number}?"})
            began = time.time()
            await post_request(work.backend, run, item, from_ms(SystemClock().now_ms()))
            straight.append(await screen.shown(f"Straight {number}?") - began)
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
    return through, straight


def compare_asking(place: Path, count: int) -> None:
    place.mkdir()
    through, straight = (p50_p99(seconds) for seconds in asyncio.run(asked(place, count)))
    detail = f"{1000 * through[0]:.0f} (p99 {1000 * through[1]:.0f}) / {1000 * straight[0]:.0f} ms"
    report("question on screen, agent asks / put in store", through[0] / straight[0], detail)


def main() -> int:
    smoke = arguments(__doc__).smoke
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("demo/ours", "demo/hand", "claude/ours", "claude/hand"):
            (place / name).mkdir(parents=True)
        demo = place / "demo"
        compare_starts(
            "the scripted agent",
            demo,
            DemoBench(),
            demo_waits(demo / "ours"),
            demo_by_hand,
            2 if smoke else 15,
        )
        if ClaudeBench.missing is None:
            with ClaudeBench() as claude:
                waits = lambda script, _: claude.waits(script)  # noqa: E731
                compare_starts(
                    "Claude Code", place / "claude", claude, waits, claude_by_hand, 1 if smoke else 5
                )
        else:
            say(f"the start of Claude Code was not measured: {ClaudeBench.missing}")
        compare_asking(place / "asking", 4 if smoke else 20)
    return 0


if __name__ == "__main__":
    sys.exit(main())
