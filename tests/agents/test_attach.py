"""A person with a terminal and a running agent: attach, tell, interrupt, while the scheduler is elsewhere."""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bench import Question, Say, Script, Wait, Write
from bench_claude import ClaudeBench
from bench_plain import CommandBench
from harness import PATIENCE_S, Work, at_work, until
from house import House, allow_all, one_question, queue_of, the_run, told, waiting

from backend.errors import Refused
from backend.model import Queue, RunStatus
from scheduler.desk import TaskDraft

ROOT = Path(__file__).parents[2]


class Attached:
    """`octopoid attach` as a process, with what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""

    async def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()

    async def read(self) -> None:
        assert self.process.stdout is not None
        decoder = codecs.getincrementaldecoder("utf-8")()  # a character may come in two pieces
        while chunk := await self.process.stdout.read(4096):
            self.text += decoder.decode(chunk)


@asynccontextmanager
async def attached(repo: Path, name: str) -> AsyncIterator[Attached]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("OCTOPOID_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "octopoid_tui", "attach", name, cwd=repo, env={**env, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    one = Attached(process)
    reading = asyncio.create_task(one.read())
    try:
        yield one
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def command(repo: Path, *arguments: str) -> tuple[int, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("OCTOPOID_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "octopoid_tui", *arguments, cwd=repo, env={**env, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


@asynccontextmanager
async def serving(house: House, script: Script) -> AsyncIterator[Work]:
    """A scheduler that other processes reach, with the script's task queued."""
    async with at_work(house.repo, serve=True) as work:
        await work.desk.enqueue(
            TaskDraft("Do it", body=script.body, id=script.task_id, metadata=script.metadata)
        )
        yield work


@pytest.fixture
def plain(tmp_path: Path) -> House:
    return House(CommandBench(), tmp_path)


async def test_what_is_typed_answers_the_question_and_leaving_lets_the_agent_go_on(plain: House) -> None:
    script = plain.script(Say("I begin."), Question("Which word?", ("red", "blue")), Wait(), Say("Done."))
    async with serving(plain, script) as work:
        await work.scheduler.run_until_idle()
        await one_question(work)
        async with attached(plain.repo, script.task_id) as terminal:

            async def asked() -> bool:
                await work.scheduler.run_once()
                return "? Which word?" in terminal.text

            await until(asked, "the question on the terminal")
            await terminal.type("9")

            async def refused() -> bool:
                return "has no option 9" in terminal.text

            await until(refused, "the refusal")
            await terminal.type("2")

            async def answered() -> bool:
                await work.scheduler.run_once()
                return "answered: blue" in terminal.text and plain.bench.waits(script)

            await until(answered, "the answer")
            await terminal.type("/nothing")
            await terminal.type("remember the tests")
            await terminal.type("/detach")
            await asyncio.wait_for(terminal.process.wait(), PATIENCE_S)

            async def said() -> bool:
                return f"detached: run {run.id} goes on" in terminal.text

            run = await the_run(work, script)
            await until(said, "the last line")
            assert "I begin." in terminal.text
            assert "there is no /nothing here" in terminal.text
            assert "kept: this agent does not listen while it works" in terminal.text
        assert (await the_run(work, script)).status is not RunStatus.ENDED
        notes = [one.body for one in await work.backend.list_messages(script.task_id)]
        assert "remember the tests" in notes
        plain.bench.release(script)
        await work.scheduler.run_until_idle()
        assert (await the_run(work, script)).status is RunStatus.ENDED


async def test_an_agent_that_cannot_be_interrupted_is_not(plain: House) -> None:
    script = plain.script(Wait())
    async with serving(plain, script) as work:
        await waiting(work, plain, script)
        run = await the_run(work, script)
        with pytest.raises(Refused, match="command agents do not take it"):
            await work.desk.interrupt(run.id)
        plain.bench.release(script)
        await work.scheduler.run_until_idle()
        with pytest.raises(Refused, match="has ended"):
            await work.desk.interrupt(script.task_id)
        assert [one for one in await work.backend.list_messages(script.task_id) if one.options] == []
    status, text = await command(plain.repo, "interrupt", run.id)
    assert (status, "has ended" in text) == (4, True)
    status, text = await command(plain.repo, "agents", "--json")
    assert status == 0
    (agent,) = json.loads(text)
    assert (agent["name"], agent["adapter"], agent["capabilities"]) == ("worker", "command", [])
    status, text = await command(plain.repo, "tell", run.id, "use tabs")
    assert (status, text.strip()) == (0, f"told {script.task_id}: use tabs")


# With an agent that listens


@pytest.fixture(scope="module")
def bench() -> Iterator[ClaudeBench]:
    if ClaudeBench.missing is not None:
        pytest.skip(ClaudeBench.missing)
    with ClaudeBench() as made:
        yield made


async def test_a_person_attaches_breaks_in_and_leaves(bench: ClaudeBench, tmp_path: Path) -> None:
    house = House(bench, tmp_path)
    script = house.script(Wait(), Say("unreachable"))
    follow_up = house.script(Write("b.txt", "beta"), Say("As you say."))
    async with serving(house, script) as work:
        await waiting(work, house, script)
        run = await the_run(work, script)
        async with attached(house.repo, run.id) as terminal:
            await terminal.type(f"/interrupt {follow_up.body}")
            await told(work, script, follow_up.body)

            async def seen() -> bool:
                return "interrupting" in terminal.text and f"› {follow_up.body}" in terminal.text

            await until(seen, "what was said on the terminal")
            assert terminal.process.stdin is not None
            terminal.process.stdin.close()  # ctrl-d
            await asyncio.wait_for(terminal.process.wait(), PATIENCE_S)
        await allow_all(work)
        assert await queue_of(work, script) is Queue.PROVISIONAL
        assert "+beta" in await work.desk.diff(script.task_id)
