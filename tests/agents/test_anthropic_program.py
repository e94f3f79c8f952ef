"""Our own agent over the Anthropic API, with a scripted model: what its tools and its protocol do."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from bench import Question, Say, Script, Shell, Write
from bench_anthropic import AnthropicBench
from harness import at_work, git
from house import House, allow_all, ended, events_of, one_question, queue_of, the_run

from backend.config.schema import AgentSpec
from backend.model import MessageKind, Outcome, Queue
from scheduler.agents.anthropic.adapter import AnthropicAdapter
from scheduler.agents.interface import AgentUnavailable, Assignment
from scheduler.desk import TaskDraft
from scheduler.loop import Scheduler

DONE = {"text": "Done."}
WRITE = {"tool": "write", "input": {"path": "a.txt", "content": "alpha"}}


@pytest.fixture(scope="module")
def bench() -> Iterator[AnthropicBench]:
    with AnthropicBench() as made:
        yield made


@pytest.fixture
def house(bench: AnthropicBench, tmp_path: Path) -> House:
    return House(bench, tmp_path)


def raw(house: House, *steps: dict[str, Any]) -> Script:
    """A script of the model's answers as they are on the wire."""
    assert isinstance(house.bench, AnthropicBench)
    mark = house.bench.model.script(*steps)
    return Script(f"t-{mark[3:9]}", f"Do as {mark} says.", {})


def error(kind: str, status: int, **headers: str) -> dict[str, Any]:
    return {"status": status, "error": kind, "message": f"scripted {kind}", "headers": headers}


def calling(*calls: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One answer of the model that calls several tools."""
    return {"blocks": [{"tool": name, "input": given} for name, given in calls]}


async def tool_results(house: House, script: Script, **keys: Any) -> list[tuple[str, str]]:
    """Let the agent work without a person; how its tools ended, and what the model was told."""
    house.configure(**keys)
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        assert await work.backend.open_questions() == []
        events = await events_of(work, await the_run(work, script))
    return [(e.data["status"], e.data["output"]) for e in events if e.kind == "tool.finished"]


# Errors of the API


async def test_what_passes_is_tried_again(house: House) -> None:
    """Overloaded, cut off, broken, limited briefly: one after the other."""
    house.configure(permissions="accept-edits")
    passing = [
        error("overloaded_error", 529),
        {"text": "half an ans", "cut": True},
        {"broken_by": "api_error"},
        error("rate_limit_error", 429, **{"retry-after": "0"}),
    ]
    steps = [
        {"tool": "write", "input": {"path": f"{number}.txt", "content": "alpha"}, "first": first}
        for number, first in enumerate(passing)
    ]
    script = raw(house, *steps, DONE)
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        run = await the_run(work, script)
        events = await events_of(work, run)
        assert run.outcome is Outcome.SUBMITTED
    happened = [
        e.data.get("attempt", e.data.get("status")) for e in events if e.kind in ("retry", "tool.finished")
    ]
    assert happened == [1, "ok"] * len(passing)


@pytest.mark.parametrize(
    ("step", "seconds"),
    [
        (error("rate_limit_error", 429, **{"retry-after": "1234"}), 1234),
        (error("rate_limit_error", 429, **{"x-should-retry": "false"}), 300),
        (error("overloaded_error", 529), 120),
        ({"text": "half an ans", "cut": True}, 120),
    ],
    ids=["for so long", "for an unknown time", "overloaded", "always cut off"],
)
async def test_a_provider_that_gives_no_answer_is_no_fault_of_the_task(
    house: House, step: dict[str, Any], seconds: int
) -> None:
    """L-54"""
    script = raw(house, step)
    async with house.at(script) as work:
        await ended(work, script)
        run, task = await the_run(work, script), await work.backend.get_task(script.task_id)
        (limit,) = [e.data for e in await events_of(work, run) if e.kind == "rate_limit"]
    assert (run.outcome, task.attempts_counted) == (Outcome.RATE_LIMITED, 0)
    assert limit["resets_in_s"] == seconds
    assert limit["reason"]


async def test_an_unreachable_provider_leaves_the_task_blameless(house: House) -> None:
    given = house.bench.agent(house.place)["env"]
    house.configure(env={**given, "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"})
    script = house.script(Say("unreachable"))
    async with house.at(script) as work:
        await ended(work, script)
        run = await the_run(work, script)
        (limit,) = [e.data for e in await events_of(work, run) if e.kind == "rate_limit"]
    assert run.outcome is Outcome.RATE_LIMITED
    assert "cannot be reached" in limit["reason"]


async def test_without_a_key_the_agent_rests_and_says_why(house: House) -> None:
    given = house.bench.agent(house.place)["env"]
    house.configure(env={**given, "ANTHROPIC_API_KEY": ""})
    script = house.script(Say("unreachable"))
    async with house.at(script) as work:
        await ended(work, script)
        run, task = await the_run(work, script), await work.backend.get_task(script.task_id)
        (agent,) = await work.backend.list_agents()
    assert (run.outcome, task.attempts_counted) == (Outcome.SYSTEM_FAILED, 0)
    assert "no key" in (agent.reason or "")


async def test_a_model_that_does_not_exist_rests_the_agent(house: House) -> None:
    script = raw(house, error("not_found_error", 404))
    async with house.at(script) as work:
        await ended(work, script)
        run = await the_run(work, script)
    assert run.outcome is Outcome.SYSTEM_FAILED
    assert "404" in (run.reason or "")


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (error("invalid_request_error", 400), "scripted invalid_request_error"),
        ({"text": "no", "stop_reason": "refusal"}, "refuses this task"),
        ({"text": "more", "stop_reason": "model_context_window_exceeded"}, "no longer fits"),
    ],
)
async def test_what_the_task_itself_causes_is_its_own_failure(
    house: House, step: dict[str, Any], why: str
) -> None:
    house.configure("limits:\n  attempts: 1\n")
    script = raw(house, step)
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        run = await the_run(work, script)
        assert await queue_of(work, script) is Queue.FAILED
    assert run.outcome is Outcome.CRASHED
    assert why in (run.reason or "")


async def test_a_call_that_was_cut_off_is_not_done(house: House) -> None:
    cut = {**WRITE, "input": {"path": "a.txt", "content": "alp"}, "stop_reason": "max_tokens"}
    script = raw(house, cut, {"text": "and", "stop_reason": "max_tokens"}, DONE)
    assert await tool_results(house, script, permissions="accept-edits") == []
    assert isinstance(house.bench, AnthropicBench)
    last = house.bench.model.requests(house.bench.mark(script))[-1]
    told = json.dumps(last["messages"])
    assert "this was not done" in told
    assert "Go on, in smaller parts" in told


# What it may do


async def test_nothing_outside_of_the_worktree_is_touched_and_nobody_is_asked(house: House) -> None:
    outside = house.place / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("a secret")
    (house.repo / "link").symlink_to(outside)
    git(house.repo, "add", "-A")
    git(house.repo, "commit", "-q", "-m", "Link")
    calls: list[tuple[str, dict[str, str]]] = [
        ("write", {"path": "../out.txt", "content": "x"}),
        ("write", {"path": f"{house.place}/out.txt", "content": "x"}),
        ("write", {"path": "link/out.txt", "content": "x"}),
        ("edit", {"path": "link/secret.txt", "old": "a", "new": "b"}),
        ("read", {"path": "link/secret.txt"}),
        ("list", {"path": "link"}),
        ("search", {"pattern": ".", "path": "../.."}),
    ]
    script = raw(house, calling(*calls), DONE)
    for call, (status, output) in zip(calls, await tool_results(house, script), strict=True):
        assert status == "error", call
        assert "outside of the working directory" in output, (call, output)
    assert [path.name for path in outside.iterdir()] == ["secret.txt"]
    assert not (house.place / "out.txt").exists()


async def test_what_belongs_to_git_is_not_written(house: House) -> None:
    paths = [".git/hooks/pre-commit", "sub/.GIT/config"]
    script = raw(house, calling(*(("write", {"path": path, "content": "x"}) for path in paths)), DONE)
    results = await tool_results(house, script, permissions="accept-edits")
    for path, (status, output) in zip(paths, results, strict=True):
        assert status == "error", path
        assert "belongs to git" in output, (path, output)


async def test_only_plain_commands_are_allowed_by_a_pattern(house: House) -> None:
    house.configure(permissions=["run(echo *)"])
    joined = "echo one; touch two"
    script = house.script(Shell("echo one"), Shell(joined), Say("Done."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        asked = await one_question(work)
        assert asked.kind is MessageKind.PERMISSION
        assert joined in asked.body
        await work.desk.answer(asked.id, "deny")
        await work.scheduler.run_until_idle()
        events = await events_of(work, await the_run(work, script))
    assert [e.data["status"] for e in events if e.kind == "tool.finished"] == ["ok", "denied"]


async def test_a_tool_that_is_allowed_always_is_not_asked_for_again(house: House) -> None:
    script = house.script(Shell("echo one >> a.txt"), Shell("echo one >> a.txt"), Say("Done."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        asked = await one_question(work)
        assert "Always: this very command" in asked.body
        await work.desk.answer(asked.id, "allow always")
        await work.scheduler.run_until_idle()
        assert await queue_of(work, script) is Queue.PROVISIONAL
        assert (await work.desk.diff(script.task_id)).count("+one") == 2


async def test_commands_have_none_of_our_keys_and_wrong_calls_are_told_to_the_model(house: House) -> None:
    calls = [
        ("no-such-tool", {}, "there is no tool"),
        ("write", {"path": "a.txt"}, "missing required field"),
        ("read", {"path": "no-such-file"}, "cannot be read"),
        ("edit", {"path": "README.md", "old": "not there", "new": "x"}, "does not hold that text"),
        ("search", {"pattern": "("}, "grep"),
        ("run", {"command": "echo said; exit 3"}, "exit status 3"),
        ("run", {"command": "echo begun; sleep 60", "timeout_s": 1}, "longer than 1 s"),
    ]
    environment = calling(("run", {"command": "env"}))
    script = raw(house, environment, calling(*((name, given) for name, given, _ in calls)), DONE)
    (status, output), *results = await tool_results(house, script, permissions=["run"])
    assert status == "ok"
    assert "OCTOPOID_RUN=" in output
    assert "test-key" not in output
    assert "ANTHROPIC" not in output
    for (name, _, why), (status, output) in zip(calls, results, strict=True):
        assert status == "error", name
        assert why in output, (name, output)


async def test_files_are_listed_and_searched_and_each_request_is_marked_for_the_cache(house: House) -> None:
    """Files of any name; the system prompt, the tools and the newest message are marked."""
    (Path(os.fsdecode(bytes(house.repo) + b"/odd\xff\x1b[2J.txt"))).write_text("a needle\n")
    git(house.repo, "add", "-A")
    git(house.repo, "commit", "-q", "-m", "Odd")
    search = {"tool": "search", "input": {"pattern": "need.e"}}
    script = raw(
        house, {"tool": "list", "input": {}}, search, {**search, "input": {"pattern": "^hay$"}}, DONE
    )
    (_, listed), (_, found), (_, nothing) = await tool_results(house, script)
    assert "README.md" in listed
    assert "odd" in listed
    assert "needle" in found
    assert nothing == "(not found)"
    assert isinstance(house.bench, AnthropicBench)
    requests = house.bench.model.requests(house.bench.mark(script))
    assert len(requests) == 4
    for request in requests:
        marked = [json.dumps(part).count("cache_control") for part in (request["system"], request["tools"])]
        assert marked == [1, 1]
        assert "cache_control" in request["tools"][-1]
        assert "cache_control" in request["messages"][-1]["content"][-1]
        assert json.dumps(request["messages"]).count("cache_control") == 1
        assert (request["system"], request["tools"]) == (requests[0]["system"], requests[0]["tools"])


# Conversation


async def test_what_is_sent_twice_counts_once(house: House) -> None:
    """A scheduler killed after writing and before recording repeats what it wrote: L-65."""
    script = house.script(Question("Which word?"), Write("word.txt", "{last}"), Say("Done."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        record = work.desk.run_dir((await the_run(work, script)).id).events_jsonl
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


async def test_an_answer_is_brought_as_such_by_a_scheduler_that_has_not_looked_yet(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of a run need not reach as far as what its agent asked last: L-65."""
    script = house.script(Question("Which word?"), Write("word.txt", "{last}"), Say("Done."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
    async with at_work(house.repo, start=False) as work:
        await work.desk.answer((await one_question(work)).id, "green")
    delivered, follow = asyncio.Event(), Scheduler._follow

    async def follow_later(scheduler: Scheduler) -> None:
        await delivered.wait()
        await follow(scheduler)

    monkeypatch.setattr(Scheduler, "_follow", follow_later)
    async with house.at() as work:
        await work.scheduler._attendant.deliver()
        delivered.set()
        await allow_all(work)
        run = await the_run(work, script)
        sent = [event.data["send_id"] for event in await events_of(work, run) if event.kind == "sent"]
        assert "+green" in await work.desk.diff(script.task_id)
    assert sum(send_id.startswith("reply ") for send_id in sent) == 2
    assert not any(send_id.startswith("say ") for send_id in sent)


async def test_a_question_is_taken_back_when_the_turn_is_broken_off(house: House) -> None:
    script = house.script(Question("Which word?", ("red", "blue")), Say("unreachable"))
    follow_up = house.script(Say("As you say: {last}"))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        asked = await one_question(work)
        await work.desk.note(script.task_id, follow_up.body, interrupt=True)
        await ended(work, script)
        assert (await work.backend.get_message(asked.id)).withdrawn_at is not None
        run = await the_run(work, script)
        said = [e.data["text"] for e in await events_of(work, run) if e.kind == "message"]
    assert run.outcome is Outcome.EMPTY
    assert said == ["As you say: A person broke this off before it was done."]


async def test_its_cost_is_estimated_from_the_price_and_unknown_without_one(house: House) -> None:
    script = house.script(Say("Nothing to do."))
    async with house.at(script) as work:
        await work.scheduler.run_until_idle()
        run = await the_run(work, script)
        (usage,) = [e.data for e in await events_of(work, run) if e.kind == "usage"]
    assert (run.tokens_input, run.tokens_output, run.turns) == (100, 50, 1)
    assert run.cost_usd == pytest.approx((100 * 5 + 50 * 25 + 3000 * 0.5 + 20 * 6.25) / 1e6)
    assert usage["estimated"] is True
    house.configure(price=None)
    again = house.script(Say("Nothing to do."))
    async with house.at(again) as work:
        await work.scheduler.run_until_idle()
        run = await the_run(work, again)
        logged = [e.data["text"] for e in await events_of(work, run) if e.kind == "log"]
    assert run.cost_usd is None
    assert any("its cost is not counted" in text for text in logged)


async def test_a_verdict_is_given_by_a_tool_and_mended_when_it_cannot_be_used(house: House) -> None:
    reviewer = {"name": "reviewer", "role": "review", **house.bench.agent(house.place)}
    worker = {"name": "worker", "role": "implement", "adapter": "demo"}
    (house.repo / ".octopoid" / "agents.yaml").write_text(json.dumps([worker, reviewer]))
    config = house.repo / ".octopoid" / "config.yaml"
    config.write_text(config.read_text() + "review: agent\n")
    comment = {"path": "a.txt", "line": 1, "text": "This is beta."}
    script = raw(
        house,
        {"tool": "verdict", "input": {"verdict": "reject", "reason": ""}},
        {"tool": "verdict", "input": {"verdict": "accept", "reason": "Good.", "comments": [comment]}},
        {"text": "{last}"},
    )
    demo = {"implement": [[{"write": {"path": "a.txt", "text": "alpha"}}]]}
    async with house.at() as work:
        await work.desk.enqueue(TaskDraft("Do it", body=script.body, id="t1", metadata={"demo": demo}))
        assert await work.scheduler.run_until_idle() == "everything is done"
        runs = await work.backend.list_runs(task_id="t1")
        (evidence,) = await work.backend.list_evidence("t1")
        events = await events_of(work, runs[-1])
    assert [run.outcome for run in runs] == [Outcome.SUBMITTED, Outcome.REVIEWED]
    assert evidence.passed
    results = [(e.data["status"], e.data["output"]) for e in events if e.kind == "tool.finished"]
    assert results[0][0] == "error"
    assert "a rejection needs a reason" in results[0][1]
    assert results[1] == ("ok", "It was received.")


# What is said before it is started


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial, adapter = Assignment.trial(tmp_path), AnthropicAdapter()
    spec = AgentSpec(name="a", role="implement", adapter="anthropic")
    with pytest.raises(AgentUnavailable, match="but no model") as caught:
        adapter.command(spec, trial)
    assert "model" in caught.value.next_step
    assert ["key" in doubt or "cost" in doubt for doubt in adapter.doubts(spec)] == [True, True]
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(AgentUnavailable, match="is not installed") as caught:
        adapter.command(spec, trial)
    assert ".[anthropic]" in caught.value.next_step
