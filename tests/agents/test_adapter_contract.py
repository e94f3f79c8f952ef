"""What every kind of agent must do, through the real scheduler, supervisor and FIFO, with real programs."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench, Flood, LongLine, OutOfTurns, Question, Refused, Say, Shell, Wait, Write
from bench_acp import ClaudeAcpBench
from bench_anthropic import AnthropicBench
from bench_claude import ClaudeBench
from bench_codex import CodexBench
from bench_plain import CommandBench, DemoBench
from harness import at_work, until
from house import (
    House,
    allow_all,
    ended,
    events_of,
    needs,
    one_question,
    queue_of,
    the_run,
    told,
    waiting,
    why_it_rests,
)

from backend.interface import Action
from backend.model import MessageKind, Outcome, Queue, RunStatus
from scheduler.runs.process_tree import inspect

BENCHES: list[type[Bench]] = [
    AnthropicBench,
    ClaudeAcpBench,
    ClaudeBench,
    CodexBench,
    CommandBench,
    DemoBench,
]


@pytest.fixture(scope="module", params=BENCHES, ids=lambda bench: bench.__name__)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    kind: type[Bench] = request.param
    if kind.missing is not None:
        pytest.skip(kind.missing)
    with kind() as made:
        yield made


@pytest.fixture
def house(bench: Bench, tmp_path: Path) -> House:
    return House(bench, tmp_path)


def running_commands() -> Iterator[str]:
    """The command lines of all processes of this machine."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            yield process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


async def test_a_task_is_done_and_what_it_says_is_recorded(house: House) -> None:
    script = house.script(Write("a.txt", "alpha"), Say("All is done."))
    async with house.at(script) as work:
        await allow_all(work)
        assert await queue_of(work, script) is Queue.PROVISIONAL
        assert "+alpha" in await work.desk.diff(script.task_id)
        run = await the_run(work, script)
        assert (run.outcome, run.exit_code) == (Outcome.SUBMITTED, 0)
        events = await events_of(work, run)
    assert any("All is done." in str(event.data.get("text")) for event in events)
    if house.bench.adapter.two_way:
        assert run.session_id
        kinds = [event.kind for event in events]
        assert kinds.index("session.started") < kinds.index("turn.finished")


async def test_a_question_waits_for_its_answer_and_own_words_arrive_whole(house: House) -> None:
    words = 'neither: use "green" \\ ü\nand a second line'
    script = house.script(
        Question("Which word?", ("red", "blue")), Write("word.txt", "{last}"),
        Question("Which other word?"), Write("other.txt", "{last}"), Say("Done."),
    )  # fmt: skip
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        question = await one_question(work)
        assert "Which word?" in question.body
        assert question.options == ("red", "blue")
        assert (await the_run(work, script)).status is RunStatus.WAITING
        await work.desk.answer(question.id, "blue")
        await allow_all(work)
        asked = [m for m in await work.backend.list_messages(script.task_id) if m.id == question.id]
        assert asked[0].delivered_at is not None
        other = await one_question(work)
        assert "Which other word?" in other.body
        await work.desk.answer(other.id, words)
        await allow_all(work)
        assert await queue_of(work, script) is Queue.PROVISIONAL
        diff = await work.desk.diff(script.task_id)
    assert "blue" in diff
    for line in words.splitlines():
        assert f"+{line}" in diff


async def test_a_question_outlives_the_scheduler_and_is_answered_by_or_before_the_next(house: House) -> None:
    """L-65: nothing is sent again, and what was answered while no scheduler ran is brought."""
    script = house.script(
        Question("Which word?"), Write("word.txt", "{last}"),
        Question("Which other word?"), Write("other.txt", "{last}"), Say("Done."),
    )  # fmt: skip
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
    async with house.at() as work:
        assert work.scheduler.live_runs == 1
        await work.scheduler.run_until_idle()
        question = await one_question(work)
        await work.desk.answer(question.id, "green")
        await allow_all(work)
        assert "Which other word?" in (await one_question(work)).body
    async with at_work(house.repo, start=False) as work:
        await work.desk.answer((await one_question(work)).id, "yellow")
    async with house.at() as work:
        await allow_all(work)
        run = await the_run(work, script)
        assert (run.attempt, run.outcome) == (1, Outcome.SUBMITTED)
        diff = await work.desk.diff(script.task_id)
        sent = [event.data["send_id"] for event in await events_of(work, run) if event.kind == "sent"]
        questions = [m for m in await work.backend.list_messages(script.task_id) if "Which word?" in m.body]
    assert "+green" in diff
    assert "+yellow" in diff
    assert len(sent) == len(set(sent))
    assert len(questions) == 1


async def test_a_tool_is_used_only_when_it_is_allowed(house: House) -> None:
    needs(house, "permissions")
    script = house.script(Write("a.txt", "alpha"), Say("It said: {last}"))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        asked = await one_question(work)
        assert asked.kind is MessageKind.PERMISSION
        assert "a.txt" in asked.body
        assert "+alpha" in asked.body, "what it would change is shown"
        run = await the_run(work, script)
        opened = [event for event in await events_of(work, run) if event.kind == "request.opened"]
        assert opened[0].data["tool"]
        assert "alpha" in str(opened[0].data["input"])
        await work.desk.answer(asked.id, "deny: use the interface instead")
        await work.scheduler.run_until_idle()
        assert await work.desk.diff(script.task_id) == ""
        said = [e.data["text"] for e in await events_of(work, run) if e.kind == "message"]
    assert any("use the interface instead" in text for text in said), said


async def test_what_a_tool_is_called_with_can_be_changed_before_it_is_allowed(house: House) -> None:
    needs(house, "permissions", "edit_input")
    script = house.script(Write("a.txt", "alpha"), Say("Done."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        await work.desk.answer((await one_question(work)).id, 'allow {"content": "beta"}')
        await allow_all(work)
        diff = await work.desk.diff(script.task_id)
    assert "+beta" in diff
    assert "alpha" not in diff


async def test_an_agent_is_told_something_while_it_works(house: House) -> None:
    needs(house, "steer")
    script = house.script(Wait(), Say("unreachable"))
    follow_up = house.script(Write("b.txt", "beta"), Say("As you say."))
    async with house.at(script) as work:
        await waiting(work, house, script)
        await work.desk.note(script.task_id, follow_up.body)
        await told(work, script, follow_up.body)
        house.bench.release(script)
        await allow_all(work)
        assert "+beta" in await work.desk.diff(script.task_id)
        assert (await the_run(work, script)).outcome is Outcome.SUBMITTED


async def test_a_turn_is_broken_off_and_another_begun(house: House) -> None:
    needs(house, "steer", "interrupt")
    script = house.script(Wait(), Say("unreachable"))
    follow_up = house.script(Write("b.txt", "beta"), Say("As you say."))
    async with house.at(script) as work:
        await waiting(work, house, script)
        await work.desk.note(script.task_id, follow_up.body, interrupt=True)
        await allow_all(work)
        run = await the_run(work, script)
        turns = [e.data["outcome"] for e in await events_of(work, run) if e.kind == "turn.finished"]
        assert turns == ["interrupted", "completed"]
        assert run.outcome is Outcome.SUBMITTED
        assert "+beta" in await work.desk.diff(script.task_id)


async def test_the_next_run_goes_on_with_the_session(house: House) -> None:
    needs(house, "resume", "usage")
    script = house.script(Write("a.txt", "alpha"), Say("Done."))
    async with house.at(script) as work:
        await allow_all(work)
        (first,) = await work.backend.list_runs(task_id=script.task_id)
        again = house.script(Write("b.txt", "beta"), Say("Done again."))
        await work.desk.reject(script.task_id, f"Not enough. {again.body}")
        await allow_all(work)
        first, second = await work.backend.list_runs(task_id=script.task_id)
        diff = await work.desk.diff(script.task_id)
    assert second.session_id == first.session_id
    assert "+alpha" in diff
    assert "+beta" in diff
    assert second.tokens_output == first.tokens_output, "each run has its own use, not the session's"
    if house.bench.adapter.caps.cost:
        assert second.cost_usd == pytest.approx(first.cost_usd)


async def test_a_killed_agent_is_tried_again(house: House) -> None:
    script = house.script(Wait(), Write("a.txt", "alpha"), Say("Done."))
    async with house.at(script) as work:
        await waiting(work, house, script)
        started = work.desk.run_dir((await the_run(work, script)).id).started()
        assert started is not None
        os.kill(started.pid, signal.SIGKILL)

        async def tried_again() -> bool:
            await work.scheduler.run_once()
            return len(await work.backend.list_runs(task_id=script.task_id)) > 1

        await until(tried_again, "the second attempt")
        first, second = (await work.backend.list_runs(task_id=script.task_id))[:2]
    assert first.outcome is Outcome.CRASHED
    assert "signal 9" in (first.reason or "")
    assert second.attempt == 2


async def test_a_silent_agent_is_ended(house: House) -> None:
    """L-30"""
    house.configure("limits:\n  attempts: 1\n", idle_timeout="1s")
    script = house.script(Wait())
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        run = await the_run(work, script)
        started = work.desk.run_dir(run.id).started()
    assert run.outcome is Outcome.TIMED_OUT
    assert "silent" in (run.reason or "")
    assert started is not None
    found = inspect(started.pid)
    assert found is None or found.starttime != started.starttime, "it is gone; its number may be another's"


async def test_a_cancelled_task_ends_its_agent(house: House) -> None:
    script = house.script(Wait())
    async with house.at(script) as work:
        await waiting(work, house, script)
        await work.desk.act(script.task_id, Action.CANCEL, reason="not needed")
        await work.scheduler.run_until_idle()
        assert (await the_run(work, script)).outcome is Outcome.STOPPED


async def test_nothing_that_an_agent_started_outlives_it(house: House) -> None:
    """L-31"""
    pid_file = house.place / "pid"  # an agent's sandbox may number its processes anew
    seconds = f"600.{random.randrange(10**9)}"
    daemon = f"setsid sh -c 'echo $$ > {pid_file}; exec sleep {seconds}' > /dev/null 2>&1 & "
    script = house.script(
        Shell(f"{daemon} while [ ! -s {pid_file} ]; do sleep 0.05; done"),
        Write("a.txt", "alpha"),
        Say("Done."),
    )
    async with house.at(script) as work:
        await allow_all(work)
        assert (await the_run(work, script)).outcome is Outcome.SUBMITTED
    assert pid_file.read_text().strip()
    assert not [command for command in running_commands() if seconds in command]


async def test_much_output_does_no_harm_and_a_line_of_many_megabytes_is_read(house: House) -> None:
    """L-60"""
    script = house.script(Flood(20_000), Write("a.txt", "alpha"), LongLine(3_000_000))
    async with house.at(script) as work:
        await allow_all(work)
        run = await the_run(work, script)
        assert run.outcome is Outcome.SUBMITTED
        lines = work.desk.run_dir(run.id).transcript.read_bytes().splitlines()
        texts = [str(event.data.get("text")) for event in await events_of(work, run)]
    assert max(map(len, lines)) >= 3_000_000
    assert any(text.startswith("x" * 1000) for text in texts)


async def test_a_provider_that_refuses_work_leaves_the_task_blameless(house: House) -> None:
    """L-54"""
    script = house.script(Refused(429))
    async with house.at(script) as work:
        await ended(work, script)
        task = await work.backend.get_task(script.task_id)
        why = await work.desk.why(script.task_id)
        assert (await the_run(work, script)).outcome is Outcome.RATE_LIMITED
    assert (task.queue, task.attempts_counted) == (Queue.INCOMING, 0)
    assert "refuses work" in str(why)


async def test_a_bad_key_stops_its_agents_and_no_task(house: House) -> None:
    script = house.script(Refused(401))
    async with house.at(script) as work:
        await ended(work, script)
        run, task = await the_run(work, script), await work.backend.get_task(script.task_id)
        assert (run.outcome, task.queue, task.attempts_counted) == (Outcome.SYSTEM_FAILED, Queue.INCOMING, 0)
        assert "401" in await why_it_rests(work)
        assert "401" in str(await work.desk.why(script.task_id))


async def test_an_agent_out_of_turns_is_gone_on_with(house: House) -> None:
    """L-52"""
    house.configure(**({"max_turns": 1} if house.bench.adapter.two_way else {}))
    script = house.script(OutOfTurns(), Say("I go on."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        runs = await work.backend.list_runs(task_id=script.task_id)
    assert runs[0].outcome is Outcome.OUT_OF_TURNS
    assert len(runs) > 1
    if house.bench.adapter.caps.resume:
        assert runs[1].session_id == runs[0].session_id
