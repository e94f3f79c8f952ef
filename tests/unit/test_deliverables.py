"""Verdicts and plans as agents leave them: read as hostile data, each fault named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from backend.errors import BadInput
from backend.model import Complexity, Priority, Queue, Task, TaskType
from scheduler.pipeline.plan import METADATA, PARTS_LIMIT, plan_of, read_plan, tasks_of
from scheduler.pipeline.verdict import Comment, Verdict, read_verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = "a" * 40
PART = {"key": "a", "title": "Do it", "role": "implement"}


def faults(read: Any, *given: Any) -> tuple[str, ...]:
    with pytest.raises(BadInput) as refusal:
        read(*given)
    return refusal.value.details or (refusal.value.next_step,)


def a_task(**known: Any) -> Task:
    plain: dict[str, Any] = {
        "id": "t1", "title": "T", "body": "", "queue": Queue.PROVISIONAL, "priority": Priority.P2,
        "role": "breakdown", "type": TaskType.FEATURE, "complexity": None, "project_id": "p",
        "file_path": None, "repo_url": None, "base_branch": "main", "base_sha": "0" * 40, "blocked_by": (),
        "needs": (), "auto_accept": False, "claimed_by": None, "claimed_at": None, "orchestrator_id": None,
        "run_id": None, "fence": 0, "lease_expires_at": None, "version": 1, "attempt_count": 0,
        "attempts_forgiven": 0, "rejection_count": 0, "continuation_count": 0, "conflict_count": 0,
        "head_sha": HEAD, "resume_run_id": None, "approved_by": None, "approved_at": None,
        "approved_sha": None, "reason": None, "pr_url": None, "merged_sha": None, "created_by": "human:ana",
        "created_at": NOW, "updated_at": NOW, "submitted_at": None, "completed_at": None, "metadata": {},
    }  # fmt: skip
    return Task(**(plain | known))


# Verdicts


def test_a_verdict_with_comments() -> None:
    comments = [{"path": "src/x.py", "line": 12, "text": "Off by one."}, {"text": "And no test."}]
    verdict = read_verdict({"verdict": "Reject", "reason": "Not yet.", "comments": comments}, HEAD)
    assert verdict == Verdict(
        False, "Not yet.", (Comment("src/x.py", 12, "Off by one."), Comment("", None, "And no test."))
    )
    assert verdict.text() == "Not yet.\n- src/x.py:12: Off by one.\n- And no test."


@pytest.mark.parametrize("word", ["accept", "approve", " ACCEPT "])
def test_words_that_accept(word: str) -> None:
    assert read_verdict({"verdict": word, "commit": HEAD[:12]}, HEAD).accepts


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({}, 'neither "accept" nor "reject"'),
        ({"verdict": "LGTM"}, 'neither "accept" nor "reject"'),
        ({"verdict": ["accept"]}, 'neither "accept" nor "reject"'),
        ({"verdict": "reject"}, "a rejection needs a reason"),
        ({"verdict": "accept", "reason": 5}, '"reason" is no text'),
        ({"verdict": "accept", "comments": {}}, '"comments" is no list'),
        ({"verdict": "accept", "comments": ["x"]}, "comment 1 has no text"),
        ({"verdict": "accept", "comments": [{"text": "x"}] * 101}, '"comments" is no list of at most 100'),
        ({"verdict": "accept", "commit": "b" * 40}, "the commit under review"),
        ({"verdict": "accept", "commit": ""}, "the commit under review"),
        ({"verdict": "accept", "commit": 7}, "the commit under review"),
    ],
)
def test_what_is_no_verdict(payload: dict[str, Any], why: str) -> None:
    assert why in " ".join(faults(read_verdict, payload, HEAD))


def test_a_verdict_is_made_harmless_and_bounded() -> None:
    nasty = "\x1b[2J" + "x" * 100_000
    comment = {"path": "a\nb\x07", "line": True, "text": nasty}
    verdict = read_verdict({"verdict": "accept", "reason": nasty, "comments": [comment]}, None)
    assert "\x1b" not in verdict.text()
    assert "\x07" not in verdict.text()
    assert len(verdict.text()) < 11_000
    assert verdict.comments[0].line is None


# Plans


def test_a_plan_is_read_whole_and_reads_the_same_again() -> None:
    parts = [
        PART | {"blocked_by": ["b"], "acceptance": ["It runs."]},
        PART | {"key": "b", "priority": "P0", "type": "docs", "complexity": "XS", "body": "More."},
    ]
    plan = read_plan({"id": "tasks", "summary": "Both.", "tasks": parts})
    assert (plan.parts[1].priority, plan.parts[1].type, plan.parts[1].complexity) == (
        Priority.P0,
        TaskType.DOCS,
        Complexity.XS,
    )
    assert plan_of(a_task(metadata={METADATA: plan.to_json()})) == plan
    assert "### a: Do it\nP2, implement, after b" in plan.text()


def test_tasks_are_made_in_the_order_in_which_they_wait() -> None:
    plan = read_plan(
        {"tasks": [PART | {"blocked_by": ["b"], "acceptance": ["It runs."]}, PART | {"key": "b"}]}
    )
    first, second = tasks_of(plan, a_task(), "c" * 40, "human:ana")
    assert (first.id, second.id, second.blocked_by) == ("t1-b", "t1-a", ("t1-b",))
    assert (second.project_id, second.base_branch, second.base_sha) == ("p", "main", "c" * 40)
    assert second.body == "## Acceptance criteria\n\n- It runs."
    assert (second.metadata, second.auto_accept) == ({"part_of": "t1"}, False)
    long = tasks_of(plan, a_task(id="t" * 63), "c" * 40, "human:ana")
    assert all(len(task.id) <= 64 for task in long)
    assert long[1].blocked_by == (long[0].id,)


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        (None, "a list of 1 to 50 tasks"),
        ([], "a list of 1 to 50 tasks"),
        ([PART] * (PARTS_LIMIT + 1), "a list of 1 to 50 tasks"),
        (["x"], "task 1 is no object"),
        ([{}], "task 1 has no usable key"),
        ([PART | {"key": "../x"}], "no usable key"),
        ([PART | {"key": 1}], "no usable key"),
        ([PART | {"title": "  "}], "title"),
        ([PART | {"title": "x" * 300}], "title is longer than 200 characters"),
        ([PART | {"body": ["x"]}], "body is no text"),
        ([PART | {"body": "x" * 30_000}], "body is longer"),
        ([PART | {"role": ""}], "has no role"),
        ([PART | {"priority": "P9"}], "priority is not one of P0, P1, P2, P3"),
        ([PART | {"priority": ["P1"]}], "priority is not one of"),
        ([PART | {"acceptance": "x"}], "acceptance is no list"),
        ([PART | {"acceptance": [1]}], "acceptance holds something that is no text"),
        ([PART | {"auto_accept": True}], "unknown fields: auto_accept"),
        ([PART, PART], "two tasks have the same key"),
        ([PART | {"blocked_by": ["x"]}], "waits for x, which the plan does not have"),
        ([PART | {"blocked_by": ["a"]}], "in a circle"),
        ([PART | {"blocked_by": ["b"]}, PART | {"key": "b", "blocked_by": ["a"]}], "in a circle"),
    ],
)
def test_what_is_no_plan(tasks: Any, why: str) -> None:
    assert why in " ".join(faults(read_plan, {"tasks": tasks}))


def test_a_plan_may_not_use_every_role() -> None:
    assert faults(read_plan, {"tasks": [PART]}, lambda role: f"no {role}") == ("task 'a': no implement",)


def test_many_faults_are_bounded() -> None:
    assert len(faults(read_plan, {"tasks": [{"title": 1, "body": 2, "role": 3}] * PARTS_LIMIT})) == 50


def test_metadata_that_is_no_plan_is_none() -> None:
    for metadata in ({}, {METADATA: 5}, {METADATA: {"tasks": []}}):
        assert plan_of(a_task(metadata=metadata)) is None
