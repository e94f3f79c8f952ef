"""The filter language: words that all have to match, `!word` that must not, and `key:value`.

Keys are queue, p (priority), agent, role, type and id. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from backend.model import Task

Match = Callable[[Task], bool]

FIELDS: dict[str, Callable[[Task], str]] = {
    "queue": lambda task: task.queue.value,
    "p": lambda task: task.priority.value,
    "agent": lambda task: task.claimed_by or "",
    "role": lambda task: task.role,
    "type": lambda task: task.type.value,
    "id": lambda task: task.id,
}


def haystack(task: Task) -> str:
    """What a bare word is looked for in."""
    return f"{task.id} {task.title} {task.claimed_by or ''} {task.reason or ''}".lower()


def parse(text: str) -> Match | None:
    """A predicate for the text, None when it filters nothing."""
    matches = [_word(word) for word in text.lower().split() if word != "!"]
    if not matches:
        return None
    return lambda task: all(match(task) for match in matches)


def _word(word: str) -> Match:
    if word.startswith("!"):
        inner = _word(word[1:])
        return lambda task: not inner(task)
    key, colon, value = word.partition(":")
    field = FIELDS.get(key)
    if colon and field is not None:
        return lambda task: value in field(task).lower()
    return lambda task: word in haystack(task)
