"""The real Claude Code with a scripted model: what its protocol alone can show."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from bench import Question, Say, Script, Shell, Wait, Write
from bench_claude import ClaudeBench
from harness import PATIENCE_S, git, running, until
from house import (
    House,
    allow_all,
    ended,
    events_of,
    one_question,
    queue_of,
    the_run,
    told,
    waiting,
    why_it_rests,
)

from backend.model import MessageKind, Outcome, Queue
from octopoid_tui.app import OctopoidApp
from scheduler.agents.claude.adapter import ClaudeAdapter
from scheduler.agents.interface import AgentUnavailable, Assignment
from scheduler.agents.registry import command_for

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(ClaudeBench.missing is not None, reason=str(ClaudeBench.missing))


@pytest.fixture(scope="module")
def bench() -> Iterator[ClaudeBench]:
    with ClaudeBench() as made:
        yield made


@pytest.fixture
def house(bench: ClaudeBench, tmp_path: Path) -> House:
    return House(bench, tmp_path)


def raw(house: House, *steps: dict[str, object]) -> Script:
    """A script of the model's answers as they are on the wire."""
    assert isinstance(house.bench, ClaudeBench)
    mark = house.bench.model.script(*steps)
    return Script(f"t-{mark[3:9]}", f"Do as {mark} says.", {})


def octopoid(repo: Path, *arguments: str) -> str:
    """Run a command as a process of its own, in the repository."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OCTOPOID_")}
    done = subprocess.run(
        [sys.executable, "-m", "octopoid_tui", *arguments], cwd=repo, env={**env, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


async def test_the_main_line_from_a_task_to_accepted_work(house: House) -> None:
    """A permission answered by a command, a question in the chat pane, reviewed and accepted."""
    script = house.script(
        Question("Which word?", ("red", "blue")), Write("word.txt", "the word is {last}"), Say("Done.")
    )
    async with house.at(script) as work, running(work):
        app = OctopoidApp(work.desk, zone=UTC, bell=False)
        async with app.run_test(size=(120, 40)) as pilot:

            async def painted() -> bool:
                await pilot.pause(0.01)
                rows = app.screen._compositor.render_strips()
                return any("2 blue" in "".join(segment.text for segment in row) for row in rows)

            await until(painted, "the question on the screen")
            await pilot.press("4")
            await pilot.press("i")
            await pilot.press("2", "enter")

            async def asked_for_permission() -> bool:
                await pilot.pause(0.01)
                found = await work.backend.open_questions()
                return [message.kind for message in found] == [MessageKind.PERMISSION]

            await until(asked_for_permission, "the permission")
    listed = json.loads(await asyncio.to_thread(octopoid, house.repo, "questions", "--json"))
    assert [one["kind"] for one in listed] == ["permission"]
    await asyncio.to_thread(octopoid, house.repo, "answer", listed[0]["id"], "allow")
    async with house.at() as work:
        await work.scheduler.run_until_idle()
        assert await queue_of(work, script) is Queue.PROVISIONAL
    await asyncio.to_thread(octopoid, house.repo, "accept", script.task_id)
    assert "blue" in git(house.repo, "show", "main:word.txt")


async def test_a_repositorys_own_hooks_and_servers_are_not_run(house: House) -> None:
    """The program asks nobody for trust when it runs unattended; neither file may count."""
    proof = house.place / "executed"
    touch = f"touch {proof}"
    hook = {"hooks": [{"type": "command", "command": touch}]}
    events = {name: [hook] for name in ("SessionStart", "UserPromptSubmit", "Stop")}
    (house.repo / ".claude").mkdir()
    (house.repo / ".claude" / "settings.json").write_text(json.dumps({"hooks": events}))
    server = {"command": "sh", "args": ["-c", f"{touch}; cat"]}
    (house.repo / ".mcp.json").write_text(json.dumps({"mcpServers": {"evil": server}}))
    git(house.repo, "add", "-A")
    git(house.repo, "commit", "-q", "-m", "Plant hooks")
    script = house.script(Write("a.txt", "alpha"), Say("Done."))
    async with house.at(script) as work:
        await allow_all(work)
        assert await queue_of(work, script) is Queue.PROVISIONAL
        await work.desk.diff(script.task_id)
        tree = git(house.repo, "ls-tree", "-r", "--name-only", "main")
    assert ".mcp.json" in tree
    assert not proof.exists()


async def test_what_is_sent_twice_counts_once(house: House) -> None:
    """A scheduler killed after writing and before recording repeats what it wrote: L-65."""
    script = house.script(Question("Which word?"), Write("word.txt", "{last}"), Say("Done."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        run = await the_run(work, script)
        record = work.desk.run_dir(run.id).events_jsonl
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(line for line in lines if b'"kind":"sent"' not in line))
    async with house.at() as work:
        await work.scheduler.run_until_idle()
        await work.desk.answer((await one_question(work)).id, "green")
        await allow_all(work)
        run = await the_run(work, script)
        assert run.outcome is Outcome.SUBMITTED
        turns = [event for event in await events_of(work, run) if event.kind == "turn.finished"]
        assert "+green" in await work.desk.diff(script.task_id)
    assert len(turns) == 1


async def test_several_questions_at_once_are_answered_one_by_one(house: House) -> None:
    def question(text: str, *labels: str) -> dict[str, object]:
        options = [{"label": label, "description": f"take {label}"} for label in labels]
        return {"question": text, "header": "Choice", "multiSelect": False, "options": options}

    both = [question("Which colour?", "red", "blue"), question("Which size?", "small", "large")]
    script = raw(house, {"tool": "AskUserQuestion", "input": {"questions": both}}, {"text": "{last}"})
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        asked = {message.body.splitlines()[0]: message for message in await work.backend.open_questions()}
        assert list(asked) == ["Which colour?", "Which size?"]
        await work.desk.answer(asked["Which size?"].id, "large")
        await work.scheduler.run_until_idle()
        await work.desk.answer(asked["Which colour?"].id, "neither, green")
        await work.scheduler.run_until_idle()
        run = await the_run(work, script)
        (said,) = [e.data["text"] for e in await events_of(work, run) if e.kind == "message"]
    assert "neither, green" in said
    assert "large" in said


async def test_a_tool_that_is_allowed_always_is_not_asked_for_again(house: House) -> None:
    commit = "git commit -q --allow-empty -m 'One more'"
    script = house.script(Shell(commit), Shell(commit), Say("Done."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        asked = await one_question(work)
        assert "allow always" in asked.options
        assert commit in asked.body
        assert "Always, for the rest of the session: Bash(git commit *)" in asked.body
        await work.desk.answer(asked.id, "allow always")
        await work.scheduler.run_until_idle()
        assert await queue_of(work, script) is Queue.PROVISIONAL
    assert not (house.repo / ".claude").exists(), "no rule is written into the user's checkout"


@pytest.mark.parametrize("permissions", ["accept-edits", ["Write", "Bash(echo *)"]])
async def test_what_agents_yaml_allows_is_not_asked_for(house: House, permissions: object) -> None:
    house.configure(permissions=permissions)
    script = house.script(Write("a.txt", "alpha"), Say("Done."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        assert await queue_of(work, script) is Queue.PROVISIONAL


async def test_a_plan_is_approved_by_a_person(house: House) -> None:
    house.configure(args=["--permission-mode=plan"])
    plan = {"tool": "ExitPlanMode", "input": {"plan": "# Plan\n\nWrite a.txt."}}
    script = raw(house, plan, {"tool": "Write", "input": {"file_path": "{cwd}/a.txt", "content": "alpha"}})
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        asked = await one_question(work)
        assert asked.body.startswith("May it go on with this plan?")
        await work.desk.answer(asked.id, "allow")
        await allow_all(work)
        assert "+alpha" in await work.desk.diff(script.task_id)


async def test_progress_becomes_a_note(house: House) -> None:
    report = {"tool": "mcp__octopoid__report_progress", "input": {"text": "half way"}}
    script = raw(house, report, {"text": "{last}"})
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        notes = [m for m in await work.backend.list_messages(script.task_id) if m.kind is MessageKind.NOTE]
    assert [(note.body, note.sender.id) for note in notes] == [("half way", "worker")]


async def test_a_question_is_taken_back_when_the_turn_is_broken_off(house: House) -> None:
    script = house.script(Question("Which word?", ("red", "blue")), Say("unreachable"))
    follow_up = house.script(Say("As you say."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        asked = await one_question(work)
        await work.desk.note(script.task_id, follow_up.body, interrupt=True)
        await ended(work, script)
        assert (await work.backend.get_message(asked.id)).withdrawn_at is not None
        assert (await the_run(work, script)).outcome is Outcome.EMPTY


async def test_what_runs_use_is_right_though_one_was_killed(house: House) -> None:
    """Totals are the session's, but a killed program has not saved its own; neither may be booked twice."""
    script = house.script(Wait())
    second = house.script(Wait(), Say("Done."))
    async with house.at(script) as work:
        await waiting(work, house, script)
        await work.desk.note(script.task_id, second.body)
        await told(work, script, second.body)
        house.bench.release(script)
        await waiting(work, house, second)

        async def booked() -> bool:
            await work.scheduler.run_once()
            return (await the_run(work, script)).tokens_output > 0

        await until(booked, "the first turn's use")
        started = work.desk.run_dir((await the_run(work, script)).id).started()
        assert started is not None
        os.kill(started.pid, signal.SIGKILL)
        house.bench.release(second)

        async def gone_on() -> bool:
            await work.scheduler.run_once()
            return len(await work.backend.list_runs(task_id=script.task_id)) == 2

        await until(gone_on, "the second run")
        await allow_all(work)
        first, last = await work.backend.list_runs(task_id=script.task_id)
    assert (first.tokens_output, last.tokens_output) == (50, 50), "one answer of the model each"
    assert first.session_id == last.session_id


async def test_without_a_login_the_agent_rests_and_says_why(house: House) -> None:
    given = house.bench.agent(house.place)["env"]
    house.configure(env={**given, "ANTHROPIC_API_KEY": ""})
    script = house.script(Say("unreachable"))
    async with house.at(script) as work:
        await ended(work, script)
        run, task = await the_run(work, script), await work.backend.get_task(script.task_id)
        assert (run.outcome, task.attempts_counted) == (Outcome.SYSTEM_FAILED, 0)
        assert "log" in (await why_it_rests(work)).lower()


async def test_a_task_that_the_model_refuses_is_the_tasks_own_failure(house: House) -> None:
    house.configure("limits:\n  attempts: 1\n")
    script = raw(house, {"status": 400, "error": "invalid_request_error", "message": "prompt is too long"})
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        run = await the_run(work, script)
        assert run.outcome is Outcome.CRASHED
        assert "too long" in (run.reason or "").lower()
        assert await queue_of(work, script) is Queue.FAILED


async def test_an_unreachable_provider_leaves_the_task_blameless(house: House) -> None:
    given = house.bench.agent(house.place)["env"]
    house.configure(env={**given, "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"})
    script = house.script(Say("unreachable"))
    async with house.at(script) as work:
        await ended(work, script)
        assert (await the_run(work, script)).outcome is Outcome.RATE_LIMITED


# Which program


def fake_program(place: Path, says: str) -> str:
    program = place / "claude"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


@pytest.mark.parametrize(
    ("says", "why"),
    [("1.0.128 (Claude Code)", "2.1 or newer is needed"), ("Python 3.11", "is no Claude Code"),
     ("", "is no Claude Code")],
)  # fmt: skip
def test_a_program_that_cannot_be_driven_is_said(tmp_path: Path, says: str, why: str) -> None:
    from backend.config.schema import AgentSpec

    spec = AgentSpec(name="c", role="implement", program=fake_program(tmp_path, says))
    with pytest.raises(AgentUnavailable, match=why) as caught:
        ClaudeAdapter().command(spec, Assignment.trial(tmp_path))
    assert caught.value.next_step


def test_a_missing_program_and_a_missing_variable_are_said(tmp_path: Path) -> None:
    from backend.config.schema import AgentSpec

    nowhere = AgentSpec(name="c", role="implement", env={"PATH": str(tmp_path)})
    with pytest.raises(AgentUnavailable, match="'claude' was not found"):
        ClaudeAdapter().command(nowhere, Assignment.trial(tmp_path))
    unset = AgentSpec(
        name="c", role="implement", program=fake_program(tmp_path, "2.1.329 (Claude Code)"),
        pass_env=("NO_SUCH_VARIABLE",),
    )  # fmt: skip
    with pytest.raises(AgentUnavailable, match="NO_SUCH_VARIABLE"):
        command_for(unset, Assignment.trial(tmp_path))


# The commands


async def test_a_person_breaks_in_by_a_command_while_no_scheduler_runs(house: House) -> None:
    script = house.script(Wait(), Say("unreachable"))
    follow_up = house.script(Write("b.txt", "beta"), Say("As you say."))
    async with house.at(script) as work:
        await waiting(work, house, script)
    await asyncio.to_thread(octopoid, house.repo, "tell", script.task_id, follow_up.body, "--interrupt")
    async with house.at() as work:
        await told(work, script, follow_up.body)
        await allow_all(work)
        run = await the_run(work, script)
        turns = [e.data["outcome"] for e in await events_of(work, run) if e.kind == "turn.finished"]
        assert "+beta" in await work.desk.diff(script.task_id)
    assert turns == ["interrupted", "completed"]


def test_doctor_shows_the_program_its_version_and_a_missing_login(house: House) -> None:
    entry = json.loads((house.repo / ".octopoid" / "agents.yaml").read_text())
    (house.repo / ".octopoid" / "agents.yaml").write_text(json.dumps([{**entry[0], "env": {}}]))
    found = [
        one for one in json.loads(octopoid(house.repo, "doctor", "--json")) if one["what"] == "agent worker"
    ]
    assert [one["level"] for one in found] == ["ok", "warning"]
    assert "_bundled/claude 2.1" in found[0]["text"]
    assert "permissions" in found[0]["text"]
    assert "pass_env" in found[1]["text"]
