"""From a question to a rule: by a real agent that asks, from the desk and from the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_house import ASKS, House, make_house
from harness import ASK_FIRST, EDIT_AND_COMMIT, at_work, make_project

from backend.errors import BadInput
from backend.model import Actor, MessageKind, MessageType, NewMessage, Queue, RuleScope, SenderType
from scheduler.answers import RuleWish
from scheduler.desk import TaskDraft


async def test_an_answer_that_became_a_rule_answers_the_next_agent(tmp_path: Path) -> None:
    async with at_work(make_project(tmp_path, ASK_FIRST + EDIT_AND_COMMIT)) as work:
        await work.desk.enqueue(TaskDraft("First", id="t1"))
        await work.scheduler.run_until_idle()
        (question,) = await work.backend.open_questions()
        await work.desk.answer(question.id, "red", rule=RuleWish(RuleScope.ROLE))
        await work.scheduler.run_until_idle()
        await work.desk.enqueue(TaskDraft("Second", id="t2"))
        assert await work.scheduler.run_until_idle() == "2 tasks to review", "nobody was asked again"
        messages = await work.backend.list_messages("t2")
        (rule,) = await work.backend.list_rules()
    assert (rule.scope, rule.scope_id, rule.uses) == (RuleScope.ROLE, "implement", 1)
    request, said = messages
    assert (request.answer, request.delivered_at is not None) == ("red", True)
    assert (said.type, said.parent_message_id) == (MessageType.RESPONSE, request.id)
    assert said.body == f"answered by rule {rule.id} of human:ana: red"


async def test_one_answer_is_for_all_who_ask_the_same(tmp_path: Path) -> None:
    repo = make_project(tmp_path, ASK_FIRST + EDIT_AND_COMMIT, instances=2)
    async with at_work(repo) as work:
        for name in ("t1", "t2"):
            await work.desk.enqueue(TaskDraft(name, id=name))
        await work.desk.enqueue(TaskDraft("After t2", id="t3", blocked_by=("t2",)))
        await work.scheduler.run_until_idle()
        (question,) = await work.desk.questions()
        assert (len(question.same), question.unlocks) == (1, 1)
        await work.desk.answer(question.message.id, "blue")
        assert await work.desk.questions() == ()
        await work.scheduler.run_until_idle()
        assert (await work.backend.count_queues())[Queue.PROVISIONAL] == 2
        assert await work.backend.list_rules() == []


async def test_a_rule_for_a_permission_gives_no_more_than_was_seen(tmp_path: Path) -> None:
    """A permission may be widened by a person alone, and only by a pattern."""
    async with at_work(make_project(tmp_path), start=False) as work:
        await work.desk.enqueue(TaskDraft("Any", id="t1"))
        asker, kind = Actor(SenderType.WORKER, "worker"), MessageKind.PERMISSION
        await work.backend.post_message(
            NewMessage("m1", "t1", asker, MessageType.REQUEST, kind, "Run: git status")
        )
        for answer, wish in (
            ("allow always", RuleWish(RuleScope.TASK)),
            ('allow {"command": "ls"}', RuleWish(RuleScope.TASK, "Run: *")),
        ):
            with pytest.raises(BadInput):
                await work.desk.answer("m1", answer, rule=wish)
        assert (await work.backend.get_message("m1")).open
        assert (await work.desk.answer("m1", "allow", rule=RuleWish(RuleScope.TASK))).answer == "allow"


@pytest.fixture
def house(tmp_path: Path, gitrepo: Any, monkeypatch: pytest.MonkeyPatch) -> House:
    return make_house(tmp_path, gitrepo, monkeypatch)


def test_rules_and_costs_from_the_commands(house: House) -> None:
    house.ok("init", "--local")
    house.shell_agent(ASKS)
    house.ok("enqueue", "Choose", "--id", "t1")
    assert house.process("run", "--until-idle").returncode == 0
    (question,) = house.json("questions")
    assert (question["unlocks"], question["same"]) == (0, [])
    house.ok("answer", question["id"], "2", "--rule", "agent", "--pattern", "Which *?")
    (rule,) = house.json("rules")
    assert (rule["scope"], rule["scope_id"], rule["answer"]) == ("agent", "sh", "blue")
    assert "in force" in house.ok("rules")
    house.ok("enqueue", "Choose again", "--id", "t2")
    assert house.process("run", "--until-idle").returncode == 0
    assert house.json("questions") == []
    assert "answered by rule" in house.ok("show", "t2")
    assert house.json("rules")[0]["uses"] == 1
    assert "answers nothing any more" in house.ok("rules", "revoke", rule["id"])
    assert "revoked" in house.ok("rules")
    assert house("rules", "revoke").exit_code == 2
    assert house("answer", question["id"], "2", "--pattern", "x*").exit_code == 2
    assert house("rules", "revoke", "nobody").exit_code == 3
    costs = house.json("costs")
    assert (costs["runs"], costs["cost_usd"]) == (2, 0)
    assert [row["task"] for row in costs["by_task"]] == ["t1", "t2"]
    assert costs["by_agent"][0]["agent"] == "sh"
    assert costs["by_project"][0]["project"] is None
    assert "$0.00, 0 tokens, 2 runs" in house.ok("costs", "--days", "2")
    assert costs["budgets"] == []
    config = house.repo.path / ".octopoid" / "config.yaml"
    config.write_text(config.read_text() + "\nbudgets: {day_usd: 5}\n")
    (budget,) = house.json("costs")["budgets"]
    assert budget == {"reach": "day", "of": None, "unit": "usd", "used": 0, "limit": 5}
    assert "today's budget  0%    $0.00  $5.00" in house.ok("costs")
