"""Which rule answers a request. Pure: no I/O, no clock.

A rule is for requests of its kind, from within its scope, that fit its pattern: a request word for word,
or one with `*` for any part of a line, and then only because a person wrote the `*`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backend.model import Message, MessageKind, Rule, RuleScope

ANY = "*"
PATTERN_LIMIT = 16_000
CUT_AT = 16_000
"""Longer requests are cut when they are stored: what is cut off is not known, and no rule answers it."""

LITERAL_LEAST = 3
"""Characters that a pattern has to name: fewer fit nearly anything."""

NARROWEST_FIRST = (RuleScope.TASK, RuleScope.AGENT, RuleScope.ROLE, RuleScope.PROJECT)
PERMITS = frozenset({"allow", "always", "yes", "y"})
"""How an answer to a permission begins that gives it; every other one denies it."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Where a request comes from."""

    task_id: str
    agent: str
    role: str
    project: str

    def of(self, scope: RuleScope) -> str:
        """What a rule of this scope made here is bound to."""
        bound = {
            RuleScope.TASK: self.task_id,
            RuleScope.AGENT: self.agent,
            RuleScope.ROLE: self.role,
            RuleScope.PROJECT: self.project,
        }
        return bound[scope]


def choose(rules: Iterable[Rule], message: Message, asker: Asker) -> Rule | None:
    """The rule that answers a request: denials first, then the narrowest, then the newest."""
    fitting = [
        rule
        for rule in rules
        if rule.kind is message.kind and rule.scope_id == asker.of(rule.scope) and fits(rule, message.body)
    ]
    return min(fitting, key=_rank, default=None)


def fits(rule: Rule, body: str) -> bool:
    """Whether a request reads as the rule's pattern says."""
    if len(body) >= CUT_AT:
        return False
    if rule.exact:
        return rule.pattern == body
    wanted, lines = rule.pattern.split("\n"), body.split("\n")
    return len(wanted) == len(lines) and all(map(_line_fits, wanted, lines))


def pattern_problem(pattern: str) -> str | None:
    """Why a pattern cannot be used; None if it can."""
    if len(pattern) > PATTERN_LIMIT:
        return f"is longer than {PATTERN_LIMIT} characters"
    if len(pattern.replace(ANY, "").strip()) < LITERAL_LEAST:
        return "would fit nearly anything"
    return None


def denies(rule: Rule) -> bool:
    """Whether a rule refuses a permission."""
    words = rule.answer.casefold().replace(":", " ").split()
    return rule.kind is MessageKind.PERMISSION and words[:1] != [] and words[0] not in PERMITS


def _rank(rule: Rule) -> tuple[bool, int, float, str]:
    return (
        not denies(rule),
        NARROWEST_FIRST.index(rule.scope),
        -rule.created_at.timestamp(),
        rule.id,
    )


def _line_fits(pattern: str, line: str) -> bool:
    """One line; each literal part is looked for once, from where the last one ended."""
    first, *rest = pattern.split(ANY)
    if not rest:
        return pattern == line
    *middle, last = rest
    if not line.startswith(first) or len(line) < len(first) + len(last) or not line.endswith(last):
        return False
    at, end = len(first), len(line) - len(last)
    for part in middle:
        found = line.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
