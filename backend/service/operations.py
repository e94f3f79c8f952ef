"""Answers to changes, kept with what they answered."""

from __future__ import annotations

from collections.abc import Callable

from backend.errors import KeyReused
from backend.once import BATCH, KEPT_MS, Answer, Asked, Declined
from backend.service.context import Context


class Operations:
    """What was asked under which key, and how it was answered."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def once(self, asked: Asked, act: Callable[[], Answer]) -> tuple[Answer, bool]:
        """Act, unless that has been done; the answer, and whether it is one of before.

        Raises:
            KeyReused.
            Declined: it was refused; nothing of it may be kept.
        """
        known = self.find(asked)
        if known is not None:
            return known, True
        answer = act()
        if answer.status >= 400:
            raise Declined(answer)
        self._keep(asked, answer)
        return answer, False

    def keep(self, asked: Asked, answer: Answer) -> tuple[Answer, bool]:
        """Keep an answer to what was not done in this transaction, unless one is kept under its key."""
        known = self.find(asked)
        if known is not None:
            return known, True
        self._keep(asked, answer)
        return answer, False

    def forget(self) -> int:
        """Forget a batch of answers that have been kept long enough; how many these were."""
        return self._context.store.operations.delete(self._context.now() - KEPT_MS, BATCH)

    def find(self, asked: Asked) -> Answer | None:
        """What was answered before.

        Raises:
            KeyReused.
        """
        found = self._context.store.operations.find(asked.caller, asked.key)
        if found is None:
            return None
        fingerprint, answer = found
        if fingerprint != asked.fingerprint:
            raise KeyReused("the idempotency key was used for another request", "make a new one")
        return answer

    def _keep(self, asked: Asked, answer: Answer) -> None:
        self._context.store.operations.insert(asked, answer.again or answer, self._context.now())
