"""A project with one agent of the kind on trial, and what its tests often do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, Lacking, Script, Step
from harness import Work, at_work, make_project, until

from backend.model import Message, MessageKind, Queue, Run
from scheduler.agents.events import AgentEvent
from scheduler.desk import TaskDraft


class House:
    """One project with one agent of the kind on trial."""

    def __init__(self, bench: Bench, place: Path) -> None:
        self.bench = bench
        self.place = place
        self.repo = make_project(place)
        self.configure()

    def configure(self, config: str = "", **keys: Any) -> None:
        """Write agents.yaml anew, with these keys besides those of the bench."""
        octopoid = self.repo / ".octopoid"
        given = self.bench.agent(self.place)
        env = {**given.get("env", {}), **keys.pop("env", {})}
        entry = {"name": "worker", "role": "implement", **given, **keys, "env": env}
        (octopoid / "agents.yaml").write_text(json.dumps([entry]))
        (octopoid / "config.yaml").write_text("repo:\n  main_branch: main\n" + config)

    def script(self, *steps: Step) -> Script:
        try:
            return self.bench.script(self.place, *steps)
        except Lacking as reason:
            pytest.skip(f"{self.bench.adapter.name}: {reason}")

    @asynccontextmanager
    async def at(self, script: Script | None = None) -> AsyncIterator[Work]:
        async with at_work(self.repo) as work:
            if script is not None:
                draft = TaskDraft("Do it", body=script.body, id=script.task_id, metadata=script.metadata)
                await work.desk.enqueue(draft)
            yield work


def needs(house: House, *caps: str) -> None:
    """Skip, with the reason on screen, what this kind of agent cannot do."""
    for cap in caps:
        if not getattr(house.bench.adapter.caps, cap):
            pytest.skip(f"{house.bench.adapter.name} lacks the capability {cap!r}")


async def allow_all(work: Work) -> None:
    """Work until nothing goes on without a person, allowing every tool."""
    while True:
        await work.scheduler.run_until_idle()
        asked = [m for m in await work.backend.open_questions() if m.kind is MessageKind.PERMISSION]
        if not asked:
            return
        for message in asked:
            await work.desk.answer(message.id, "allow")


async def one_question(work: Work) -> Message:
    (question,) = await work.backend.open_questions()
    return question


async def the_run(work: Work, script: Script) -> Run:
    (run,) = await work.backend.list_runs(task_id=script.task_id)
    return run


async def events_of(work: Work, run: Run) -> list[AgentEvent]:
    """All of them: one reading has an end."""
    events, offset = await work.desk.read_events(run.id)
    while True:
        more, offset = await work.desk.read_events(run.id, offset)
        if not more:
            return events
        events += more


async def queue_of(work: Work, script: Script) -> Queue:
    return (await work.backend.get_task(script.task_id)).queue


async def waiting(work: Work, house: House, script: Script) -> None:
    """Work until the agent is in its `Wait`."""

    async def waits() -> bool:
        await work.scheduler.run_once()
        return house.bench.waits(script)

    await until(waits, "the agent to wait")


async def told(work: Work, script: Script, text: str) -> None:
    """Work until the agent has been sent a person's words."""

    async def sent() -> bool:
        await work.scheduler.run_once()
        events = await events_of(work, await the_run(work, script))
        return text in [event.data.get("text") for event in events if event.kind == "sent"]

    await until(sent, "the note to be sent")


async def ended(work: Work, script: Script) -> Run:
    """Work until the task's first run has ended."""

    async def over() -> bool:
        await work.scheduler.run_once()
        runs = await work.backend.list_runs(task_id=script.task_id)
        return bool(runs) and runs[0].outcome is not None

    await until(over, "the run to end")
    return (await work.backend.list_runs(task_id=script.task_id))[0]


async def why_it_rests(work: Work) -> str:
    """Work until the one agent says why it takes no work."""

    async def says() -> bool:
        await work.scheduler.run_once()
        (agent,) = await work.backend.list_agents()
        return bool(agent.reason)

    await until(says, "the agent to say why it rests")
    return (await work.backend.list_agents())[0].reason or ""
