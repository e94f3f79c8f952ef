"""What a person answers to agents: once, to all who ask the same, or from now on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime

from backend.clean import clean
from backend.errors import BadInput, Refused
from backend.ids import new_id
from backend.interface import Backend
from backend.model import Actor, Message, MessageKind, NewRule, Queue, RuleScope, TaskFilter
from backend.ranking import Question, alike, dependents_of, rank
from scheduler.agents.decision import Allow, read_decision


@dataclass(frozen=True, slots=True)
class RuleWish:
    """That an answer is to be given by itself from now on.

    Without `pattern` it is for exactly this question; with one, `*` stands for any part of a line.
    """

    scope: RuleScope
    pattern: str | None = None
    until: datetime | None = None


async def give_answer(
    backend: Backend, actor: Actor, message_id: str, text: str, rule: RuleWish | None = None
) -> Message:
    """Answer a question, and every other open one that asks the very same.

    Raises:
        Refused: it has another answer already, or was withdrawn.
        BadInput: the answer is empty or no decision, or there can be no such rule.
    """
    said = clean(text).strip()
    if not said:
        raise BadInput("the answer is empty", "write one")
    asked = await backend.get_message(message_id)
    if asked.kind is MessageKind.PERMISSION:
        _check_decision(said, rule)
    twins = [one for one in await backend.open_questions() if alike(one) == alike(asked)]
    if rule is None:
        answered = await backend.answer(message_id, said, actor=actor)
    else:
        wish = NewRule(new_id(), message_id, rule.scope, said, rule.pattern, rule.until)
        await backend.create_rule(wish, actor=actor)
        answered = await backend.get_message(message_id)
    for twin in twins:
        if twin.id != message_id:
            with contextlib.suppress(Refused):  # somebody was quicker
                await backend.answer(twin.id, said, actor=actor)
    return answered


def _check_decision(said: str, rule: RuleWish | None) -> None:
    """A rule gives what it is for, and nothing that its person has not seen."""
    decision = read_decision(said)
    if rule is None or not isinstance(decision, Allow):
        return
    if decision.always:
        raise BadInput("a rule allows what it is for and no more", "answer allow, without always")
    if decision.input is not None and rule.pattern is not None:
        raise BadInput("a changed input is for one request", "leave the pattern out, or answer allow")


async def open_questions(backend: Backend) -> tuple[Question, ...]:
    """Open questions in the order in which answering them helps most; the same ones are one entry."""
    asked = await backend.open_questions()
    blocked = await backend.list_tasks(TaskFilter(queues=frozenset({Queue.BLOCKED})))
    asking = [await backend.get_task(one) for one in {message.conversation_id for message in asked}]
    return rank(asked, {task.id: task for task in asking}, dependents_of(blocked))
