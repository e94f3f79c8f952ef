"""Contract: rules, alerts, what was used, and tasks that become several."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.clock import ManualClock, from_ms
from backend.errors import BadInput, Duplicate, NotFound, Refused, VersionConflict
from backend.interface import Action, Backend
from backend.model import (
    Actor,
    Message,
    MessageKind,
    MessageType,
    NewMessage,
    NewRule,
    NewTask,
    Queue,
    Rule,
    RuleScope,
    RunPatch,
    SenderType,
    UsageBy,
)

ANA = Actor(SenderType.HUMAN, "ana")
BOT = Actor(SenderType.WORKER, "impl-1")
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


async def ask(
    backend: Backend, message_id: str, body: str, task_id: str = "t", kind: MessageKind = MessageKind.QUESTION
) -> Message:
    new = NewMessage(message_id, task_id, BOT, MessageType.REQUEST, kind, body)
    return await backend.post_message(new)


async def make(backend: Backend, message_id: str, answer: str | None = "yes", **more: Any) -> Rule:
    known = {"id": f"rule-{message_id}", "scope": RuleScope.PROJECT, "answer": answer} | more
    return await backend.create_rule(NewRule(message_id=message_id, **known), actor=ANA)


# Rules


async def test_a_rule_answers_its_question_the_open_ones_and_those_to_come(
    acts: Any, backend: Backend
) -> None:
    await acts.create()
    await acts.create("u")
    await ask(backend, "m1", "May I?")
    await ask(backend, "m2", "May I?", "u")
    rule = await make(backend, "m1")
    assert (rule.scope_id, rule.exact, rule.author, rule.uses) == ("", True, "human:ana", 1)
    later = await ask(backend, "m3", "May I?", "u")
    assert (later.answer, later.open) == ("yes", False)
    assert [(await backend.get_message(one)).answer for one in ("m1", "m2")] == ["yes", "yes"]
    (known,) = await backend.list_rules()
    assert known.uses == 2, "the question it was made from was answered by a person"
    assert known.last_used_at is not None
    said = [one for one in await backend.list_messages("u") if one.type is MessageType.RESPONSE]
    assert [one.parent_message_id for one in said] == ["m2", "m3"]
    assert f"answered by rule {rule.id} of human:ana: yes" in said[0].body
    assert await acts.kinds(rule.id) == ["create", "use", "use"]


async def test_a_rule_answers_nothing_but_what_it_is_for(acts: Any, backend: Backend) -> None:
    await acts.create()
    await acts.create("u", project_id="p")
    await ask(backend, "m1", "Run: git status", kind=MessageKind.PERMISSION)
    await make(backend, "m1", "allow")
    for number, (body, task_id, kind) in enumerate(
        [
            ("Run: git status; rm -rf /", "t", MessageKind.PERMISSION),
            ("Run: git status\n", "t", MessageKind.PERMISSION),
            ("Run: git status", "t", MessageKind.QUESTION),
            ("Run: git status", "u", MessageKind.PERMISSION),
        ]
    ):
        assert (await ask(backend, f"other-{number}", body, task_id, kind)).open
    assert not (await ask(backend, "same", "Run: git status", kind=MessageKind.PERMISSION)).open


@pytest.mark.parametrize(
    ("scope", "scope_id", "elsewhere"),
    [(RuleScope.TASK, "t", True), (RuleScope.AGENT, "impl-1", False), (RuleScope.ROLE, "implement", False)],
)
async def test_scopes(acts: Any, backend: Backend, scope: RuleScope, scope_id: str, elsewhere: bool) -> None:
    await acts.create()
    await acts.create("u")
    await ask(backend, "m1", "May I?")
    assert (await make(backend, "m1", scope=scope)).scope_id == scope_id
    assert not (await ask(backend, "m2", "May I?")).open
    assert (await ask(backend, "m3", "May I?", "u")).open is elsewhere


async def test_a_rule_that_denies_comes_before_one_that_allows(acts: Any, backend: Backend) -> None:
    await acts.create()
    await ask(backend, "m1", "Run: rm a", kind=MessageKind.PERMISSION)
    await make(backend, "m1", "deny: never", pattern="Run: rm *")
    await ask(backend, "m2", "Run: ls", kind=MessageKind.PERMISSION)
    await make(backend, "m2", "allow", scope=RuleScope.TASK, pattern="Run: *")
    assert (await ask(backend, "m3", "Run: rm b", kind=MessageKind.PERMISSION)).answer == "deny: never"
    assert (await ask(backend, "m4", "Run: cat b", kind=MessageKind.PERMISSION)).answer == "allow"


async def test_rules_end_by_time_or_by_a_person(acts: Any, backend: Backend, clock: ManualClock) -> None:
    await acts.create()
    await ask(backend, "m1", "May I?")
    until = from_ms(clock.now_ms()) + timedelta(hours=1)
    rule = await make(backend, "m1", expires_at=until)
    assert rule.expires_at == until
    clock.advance(3601)
    assert (await ask(backend, "m2", "May I?")).open
    other = await make(backend, "m2")
    revoked = await backend.revoke_rule(other.id, actor=ANA)
    assert revoked.revoked_at is not None
    assert await backend.revoke_rule(other.id, actor=ANA) == revoked
    assert (await ask(backend, "m3", "May I?")).open
    with pytest.raises(NotFound):
        await backend.revoke_rule("nobody", actor=ANA)


async def test_what_no_rule_can_be(acts: Any, backend: Backend) -> None:
    await acts.create()
    await ask(backend, "m1", "May I run it?")
    with pytest.raises(Refused, match="only a person"):
        await backend.create_rule(NewRule("r", "m1", RuleScope.TASK, "yes"), actor=BOT)
    for wrong, why in (
        ({"pattern": "*"}, "would fit nearly anything"),
        ({"pattern": "Something else*"}, "does not fit the request"),
        ({"answer": " "}, "no answer"),
        ({"answer": None}, "no answer"),
        ({"expires_at": LONG_AGO}, "over already"),
    ):
        with pytest.raises(BadInput, match=why):
            await make(backend, "m1", **wrong)
    assert (await backend.get_message("m1")).open
    assert await backend.list_rules() == []
    first = await make(backend, "m1")
    assert await make(backend, "m1") == first, "the same again is no error"


# Alerts


async def test_an_alert_holds_until_its_time_and_is_told_once(
    acts: Any, backend: Backend, clock: ManualClock
) -> None:
    until = from_ms(clock.now_ms()) + timedelta(minutes=5)
    first = await backend.raise_alert("quota:m:claude", "it refuses work", until=until)
    assert await backend.raise_alert("quota:m:claude", "it refuses work", until=until) == first
    await backend.raise_alert("budget:day:usd", "nearly used", until=None)
    assert [one.key for one in await backend.list_alerts()] == ["budget:day:usd", "quota:m:claude"]
    assert await acts.kinds("quota:m:claude") == ["raise"]
    clock.advance(301)
    assert [one.key for one in await backend.list_alerts()] == ["budget:day:usd"]
    await backend.clear_alert("budget:day:usd")
    await backend.clear_alert("budget:day:usd")
    assert await backend.list_alerts() == []
    assert await acts.kinds("budget:day:usd") == ["raise", "clear"]
    with pytest.raises(BadInput):
        await backend.raise_alert("key", " ", until=None)


# Use


async def test_what_was_used_is_added_up(acts: Any, backend: Backend, clock: ManualClock) -> None:
    began = from_ms(clock.now_ms())
    for number, (task_id, project) in enumerate([("a", "p"), ("b", None), ("c", "p")], 1):
        await acts.create(task_id, project_id=project)
        run = (await acts.claim(task_id=task_id, run_id=f"run-{task_id}")).run
        await backend.update_run(
            run.id, RunPatch(cost_usd=float(number), tokens_input=10, tokens_cache_read=5)
        )
        clock.advance(60)
    by_project = await backend.usage(UsageBy.PROJECT, since=LONG_AGO)
    assert [(one.key, one.runs, one.cost_usd, one.tokens) for one in by_project] == [
        ("p", 2, 4.0, 20),
        ("", 1, 2.0, 10),
    ]
    since = began + timedelta(seconds=30)
    assert [one.key for one in await backend.usage(UsageBy.TASK, since=since)] == ["c", "b"]
    (agent,) = await backend.usage(UsageBy.AGENT, since=LONG_AGO)
    assert (agent.key, agent.runs, agent.cost_usd, agent.tokens_cache_read) == ("impl-1", 3, 6.0, 15)


# Splitting


def part(task_id: str, *blocked_by: str) -> NewTask:
    return NewTask(
        task_id, f"Part {task_id}", "implement", "main", "b" * 40, "human:ana", blocked_by=blocked_by
    )


async def test_a_task_becomes_several_and_is_waited_for_as_all_of_them(acts: Any, backend: Backend) -> None:
    await acts.provisional()
    await acts.create("after", blocked_by=("t",))
    parts = [part("t-a"), part("t-b", "t-a")]
    with pytest.raises(Refused, match="it is not approved"):
        await backend.split_task("t", parts, actor=ANA)
    approved = await acts.do("t", Action.APPROVE)
    done = await backend.split_task("t", parts, actor=ANA, version=approved.version)
    assert (done.queue, done.merged_sha) == (Queue.DONE, None)
    assert done.completed_at is not None
    assert await acts.queue("t-a") is Queue.INCOMING
    assert await acts.queue("t-b") is Queue.BLOCKED
    after = await backend.get_task("after")
    assert (after.queue, after.blocked_by) == (Queue.BLOCKED, ("t", "t-a", "t-b"))
    assert await backend.split_task("t", parts, actor=ANA) == done, "a lost answer is given again"


async def test_splitting_makes_everything_or_nothing(acts: Any, backend: Backend) -> None:
    await acts.provisional()
    await acts.create("t-b")
    approved = await acts.do("t", Action.APPROVE)
    with pytest.raises(Duplicate):
        await backend.split_task("t", [part("t-a"), part("t-b")], actor=ANA)
    with pytest.raises(NotFound):
        await backend.split_task("t", [part("t-a", "nobody")], actor=ANA)
    with pytest.raises(BadInput):
        await backend.split_task("t", [], actor=ANA)
    with pytest.raises(VersionConflict):
        await backend.split_task("t", [part("t-a")], actor=ANA, version=approved.version - 1)
    with pytest.raises(NotFound):
        await backend.get_task("t-a")
    assert await backend.get_task("t") == approved
