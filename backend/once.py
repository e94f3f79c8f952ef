"""Changes that are made once, however often they are asked for: what is asked, and what was answered."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from backend.interface import Backend

KEPT_MS = 7 * 24 * 3600 * 1000
"""How long an answer is kept for whoever asks again."""
BATCH = 500
"""Answers forgotten in one transaction, so that no change waits for a week's worth."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A change that somebody asks for under a key of their own choice."""

    caller: str
    """Whose keys these are: two callers may choose the same one."""
    key: str
    fingerprint: str
    """A digest of all that was asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer to a request; header names and values as they go over the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    again: Answer | None = None
    """What is answered to the same request later, where this may be said but once."""


class Declined(Exception):
    """The change was answered with a refusal: whatever was done towards it has to be undone."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"declined with {answer.status}")
        self.answer = answer


Act = Callable[[Backend], Coroutine[Any, Any, Answer]]
"""Makes a change through the backend it is given, and its answer. It waits for nothing else."""


@runtime_checkable
class Once(Protocol):
    """A backend that keeps an answer with the change it belongs to, in one transaction."""

    async def once(self, asked: Asked, act: Act) -> tuple[Answer, bool]:
        """Do what is asked, unless that has been done; the answer, and whether it is one of before.

        Args:
            act: makes the change and its answer. It may be called more than once, and in another thread; what
                it does to a store of this machine is kept together with its answer, or not at all.

        Raises:
            KeyReused: the key was used for something else.
        """
        ...
