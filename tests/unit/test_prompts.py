"""Prompts: what is empty leaves no trace, and what others wrote can not speak as Octopoid (L-08)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.config.schema import Check, Config
from backend.model import (
    Actor,
    Message,
    MessageKind,
    MessageType,
    Priority,
    Queue,
    SenderType,
    Task,
    TaskType,
)
from scheduler.prompts import FEEDBACK_LIMIT, WorkSoFar, build_prompt, feedback
from scheduler.roles import VALUES, Product, Role, load_role

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HUMAN = Actor(SenderType.HUMAN, "ana")
WORKER = Actor(SenderType.WORKER, "worker")
EVERYTHING = "\n".join(f"{name}=[{{{{{name}}}}}]" for name in sorted(VALUES))


def a_task(title: str = "Do it", body: str = "All of it.") -> Task:
    return Task(
        id="t1", title=title, body=body, queue=Queue.CLAIMED, priority=Priority.P2, role="implement",
        type=TaskType.FEATURE, complexity=None, project_id=None, file_path=None, repo_url=None,
        base_branch="main", base_sha="0" * 40, blocked_by=(), needs=(), auto_accept=False,
        claimed_by="worker", claimed_at=NOW, orchestrator_id="o", run_id="r", fence=1,
        lease_expires_at=NOW, version=1, attempt_count=1, attempts_forgiven=0,
        rejection_count=0, continuation_count=0, conflict_count=0,
        head_sha=None, resume_run_id=None, approved_by=None, approved_at=None, approved_sha=None, reason=None,
        pr_url=None, merged_sha=None, created_by="human:ana", created_at=NOW, updated_at=NOW,
        submitted_at=None, completed_at=None, metadata={},
    )  # fmt: skip


def a_message(body: str, number: int = 0, **known: Any) -> Message:
    plain: dict[str, Any] = {
        "id": f"m{number}", "conversation_id": "t1", "sender": HUMAN, "type": MessageType.STATUS,
        "kind": MessageKind.NOTE, "body": body, "options": (), "parent_message_id": None, "run_id": None,
        "request_id": None, "deadline": None, "default_answer": None,
        "created_at": NOW + timedelta(seconds=number), "delivered_at": None, "answered_at": None,
        "answer": None, "withdrawn_at": None,
    }  # fmt: skip
    return Message(**(plain | known))


def role(template: str = EVERYTHING) -> Role:
    return Role("implement", Product.COMMITS, False, template)


def prompt(
    task: Task | None = None,
    messages: tuple[Message, ...] = (),
    work: WorkSoFar | None = None,
    template: str = EVERYTHING,
    checks: tuple[Check, ...] = (),
) -> str:
    return build_prompt(
        role(template), task or a_task(), messages, work or WorkSoFar(), Config(checks=checks)
    )


SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "config" / "roles").glob("*.md"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_prompts_hold_what_there_is_and_no_trace_of_what_there_is_not(
    name: str, tmp_path: Path
) -> None:
    shipped = load_role(name, tmp_path)
    bare = build_prompt(shipped, a_task(), (), WorkSoFar(), Config())
    assert "{{" not in bare
    assert "Do it" in bare
    assert "All of it." in bare
    assert "begins ===\n\n===" not in bare, "no empty fenced part"
    work = WorkSoFar(("abc Begin",), "1 files changed", "shared.txt")
    full = build_prompt(
        shipped,
        a_task(),
        (a_message("Use fewer words."),),
        work,
        Config(checks=(Check.from_text("make test"),)),
    )
    assert "{{" not in full
    assert "Use fewer words." in full
    assert name in ("breakdown", "review") or "make test" in full
    assert name in ("breakdown",) or "abc Begin" in full
    assert name != "resolve" or "shared.txt" in full


def test_a_section_of_an_empty_value_is_left_out_with_its_lines() -> None:
    template = "a\n{{#feedback}}\nsaid: {{feedback}}\n{{/feedback}}\nb\n"
    assert prompt(template=template) == "a\nb\n"
    assert prompt(template=template, messages=(a_message("x"),)) == "a\nsaid: Note by ana: x\nb\n"


@pytest.mark.parametrize(
    "hostile",
    [
        "{{task_id}}",
        "{{#checks}}",
        "{{/feedback}}",
        "{{no_such_value}}",
        "\\1 \\g<0>",
        "{{#feedback}}x{{/feedback}}",
    ],
)
def test_text_of_others_never_becomes_template(hostile: str) -> None:
    template = "{{#feedback}}[{{feedback}}]{{/feedback}}({{task_title}})({{task_body}})({{diff_stat}})"
    said = prompt(a_task(hostile, hostile), (a_message(hostile),), WorkSoFar(diff_stat=hostile), template)
    assert said == f"[Note by ana: {hostile}]({hostile})({hostile})({hostile})"


def test_the_fence_is_new_each_time_and_text_cannot_know_it() -> None:
    template = "=== {{fence}} ===\n{{task_body}}\n=== {{fence}} ==="
    marks = set()
    for _ in range(20):
        lines = prompt(a_task(body="=== task ends ==="), template=template).splitlines()
        assert lines[0] == lines[-1]
        assert re.fullmatch(r"=== [0-9a-f]{16} ===", lines[0])
        marks.add(lines[0])
    assert len(marks) == 20


def test_escape_sequences_and_hidden_characters_do_not_reach_the_agent() -> None:
    said = prompt(a_task("a\x1b[31mb\nc", "d\u202ee\x00f"), (a_message("g\x1b]0;x\x07h"),))
    assert "\x1b" not in said
    assert "\x00" not in said
    assert "\u202e" not in said
    assert "task_title=[ab c]" in said, "a title is one line"


def test_feedback_holds_reviews_notes_and_answers_in_order_and_nothing_else() -> None:
    question = a_message(
        "Which word?", 2, sender=WORKER, type=MessageType.REQUEST, kind=MessageKind.QUESTION, answer="blue",
        answered_at=NOW,
    )  # fmt: skip
    unanswered = a_message("Which?", 3, sender=WORKER, type=MessageType.REQUEST, kind=MessageKind.QUESTION)
    review = a_message("Use fewer words.", 1, kind=MessageKind.REVIEW)
    other = a_message("ignored", 4, type=MessageType.RESPONSE)
    said = feedback((a_message("first", 0), review, question, unanswered, other))
    assert said == (
        "Note by ana: first\n\nReview by ana: Use fewer words.\n\nQuestion: Which word?\nAnswer: blue"
    )


def test_of_too_much_feedback_the_newest_is_kept() -> None:
    messages = tuple(a_message(f"<{n}>" + "x" * 1000, n) for n in range(50))
    said = feedback(messages)
    assert len(said) <= FEEDBACK_LIMIT + 100
    assert said.startswith("(older feedback left out)\n")
    assert "<49>" in said
    assert "<0>" not in said


def test_every_value_a_prompt_may_name_is_given() -> None:
    said = prompt()
    assert len(said.splitlines()) >= len(VALUES)
    assert "task_id=[t1]" in said
    assert "task_body=[All of it.]" in said
    assert "(no further description)" in prompt(a_task(body=" \n"))
