"""`octopoid demo`: scripted agents at work in a throw-away repository."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from backend.config.shipped import shipped
from backend.errors import OctopoidError
from backend.model import Actor, Json, Outcome, Queue, SenderType, Task, TaskFilter
from octopoid_tui.cli.output import say, say_json, warn
from octopoid_tui.cli.session import own_store
from scheduler.desk import Desk
from scheduler.loop import Scheduler
from scheduler.project import Project

NO_MODEL = "The agents of this demo are scripted: no model is called, no network is used, nothing is spent."
REJECTED = "docs"
REJECTION = "Name the fallback language too."
PATIENCE_S = 120.0
"""Longest time without any event before the headless demo gives up."""

CONFIG = """\
mode: local
repo:
  main_branch: main
checks:
  - name: unit tests
    command: python3 -m unittest discover -q
    timeout_s: 60
agents:
  max_concurrent: 3
notify:
  bell: false
"""
AGENTS = """\
- name: demo
  role: implement
  adapter: demo
  max_instances: 3
  env:
    OCTOPOID_DEMO_PACE: "{pace}"
"""


def demo(headless: bool, json: bool, keep: bool) -> int:
    """Play the demo; returns the exit status."""
    place = Path(tempfile.mkdtemp(prefix="octopoid-demo-"))
    keep = keep or headless  # its result names the repository, to be looked at
    try:
        repo = make_repository(place, pace=0 if headless else 1)
        if headless:
            return asyncio.run(play(repo, as_json=json))
        from octopoid_tui.screen import show

        warn(NO_MODEL)
        asyncio.run(fill(repo))
        return show(repo, banner=NO_MODEL)
    finally:
        stop_agents(place)
        if keep:
            warn(f"the repository is kept in {place / 'repository'}")
        else:
            shutil.rmtree(place, ignore_errors=True)


def make_repository(place: Path, *, pace: float) -> Path:
    """A small git repository with its `.octopoid` folder, from the files that ship with the product."""
    repo = place / "repository"
    shutil.copytree(shipped("demo/repository"), repo, ignore=shutil.ignore_patterns("__pycache__"))
    octopoid = repo / ".octopoid"
    octopoid.mkdir()
    (octopoid / ".gitignore").write_text("*\n")
    (octopoid / "config.yaml").write_text(CONFIG)
    (octopoid / "agents.yaml").write_text(AGENTS.format(pace=pace))
    (repo / ".gitignore").write_text("__pycache__/\n")
    for command in (
        ("init", "-q", "-b", "main"),
        ("config", "user.name", "Demo"),
        ("config", "user.email", "demo@localhost"),
        ("add", "-A"),
        ("commit", "-q", "-m", "Begin"),
    ):
        subprocess.run(["git", "-C", str(repo), *command], check=True, stdin=subprocess.DEVNULL)
    return repo


def task_files() -> list[Path]:
    """The demo's tasks; those that others wait for come first."""
    return sorted(shipped("demo/tasks").glob("*.md"), key=lambda path: (path.stem == REJECTED, path.stem))


async def fill(repo: Path) -> None:
    """Queue the demo's tasks."""
    project = Project.open(repo)
    async with own_store(project, "command") as backend:
        desk = Desk(backend, project, actor=Actor(SenderType.HUMAN, "demo"))
        for path in task_files():
            await desk.enqueue_file(path, file_path=None)


def stop_agents(place: Path) -> None:
    """End what still runs in the throw-away repository: its files go, so nobody could adopt it."""
    from scheduler.runs.adopt import find_runs, stop

    for run_dir, _ in find_runs(place / "repository" / ".octopoid" / "runs"):
        try:
            stop(run_dir, "kill")
        except OctopoidError as error:
            warn(str(error))


@dataclass(slots=True)
class Score:
    """What the one who plays has done."""

    answered: int = 0
    rejected: int = 0


async def play(repo: Path, *, as_json: bool) -> int:
    """Work the demo without a screen: answer, reject once, accept, until all is done."""
    await fill(repo)
    project = Project.open(repo)
    async with own_store(project, "run") as backend:
        desk = Desk(backend, project, actor=Actor(SenderType.HUMAN, "demo"))
        scheduler = Scheduler(backend, project)
        warn(NO_MODEL)
        await scheduler.start()
        working = asyncio.create_task(scheduler.run())
        score = Score()
        try:
            await _attend(desk, score)
        finally:
            await scheduler.stop()
            await working
        result = await _result(desk, score, repo)
    if as_json:
        say_json(result)
    else:
        say(f"{result['done']} of {result['tasks']} tasks are done and merged")
    return 0 if result["done"] == result["tasks"] and not _missing(repo, result["merged"]) else 1


async def _attend(desk: Desk, score: Score) -> None:
    """Do what a person would do, whenever something changes, until nothing is left to wait for."""
    feed = desk.backend.watch(0)
    while not await _step(desk, score):
        async with asyncio.timeout(PATIENCE_S):
            for event in await anext(feed):
                if event.entity in ("task", "message"):
                    moved = f" -> {event.to_state}" if event.to_state else ""
                    why = f"  ({event.reason})" if event.reason else ""
                    warn(f"{event.entity} {event.entity_id}: {event.kind}{moved}{why}")


async def _step(desk: Desk, score: Score) -> bool:
    """Answer and decide what can be; returns whether every task has come to its end."""
    for question in await desk.backend.open_questions():
        await desk.answer(question.id, question.options[0] if question.options else "Yes")
        score.answered += 1
    tasks = await desk.backend.list_tasks(TaskFilter())
    done = {task.id for task in tasks if task.queue is Queue.DONE}
    # Merged one by one as they come, two tasks that change the same line might never meet.
    all_in = not any(_at_work(task) and done.issuperset(task.blocked_by) for task in tasks)
    for task in tasks:
        if all_in and _reviewable(task):
            await _review(desk, task, score)
    ends = (Queue.DONE, Queue.FAILED, Queue.CANCELLED, Queue.ESCALATED)
    return all(task.queue in ends for task in tasks)


def _at_work(task: Task) -> bool:
    return task.queue in (Queue.INCOMING, Queue.CLAIMED)


def _reviewable(task: Task) -> bool:
    return task.queue is Queue.PROVISIONAL and task.approved_by is None and task.claimed_by is None


async def _review(desk: Desk, task: Task, score: Score) -> None:
    if task.id == REJECTED and not score.rejected:
        await desk.reject(task.id, REJECTION)
        score.rejected += 1
        return
    assert await desk.diff(task.id), f"task {task.id} is provisional without a change"
    await desk.accept(task.id, wait=False)


async def _result(desk: Desk, score: Score, repo: Path) -> Json:
    tasks = await desk.backend.list_tasks(TaskFilter())
    runs = await desk.backend.list_runs()
    resolved = {run.task_id for run in runs if run.role == "resolve" and run.outcome is Outcome.SUBMITTED}
    return {
        "tasks": len(tasks),
        "done": sum(task.queue is Queue.DONE for task in tasks),
        "failed": sum(task.queue in (Queue.FAILED, Queue.ESCALATED, Queue.CANCELLED) for task in tasks),
        "questions_answered": score.answered,
        "rejected_once": sum(task.rejection_count == 1 for task in tasks),
        "conflicts_resolved": len(resolved),
        "repo": str(repo),
        "merged": {task.id: task.merged_sha for task in tasks},
    }


def _missing(repo: Path, merged: dict[str, str | None]) -> list[str]:
    """Tasks whose accepted commit is not on the main branch."""

    def on_main(sha: str) -> bool:
        asked = ["git", "-C", str(repo), "merge-base", "--is-ancestor", sha, "main"]
        return subprocess.run(asked, check=False, stdin=subprocess.DEVNULL).returncode == 0

    return [task for task, sha in merged.items() if sha is None or not on_main(sha)]
