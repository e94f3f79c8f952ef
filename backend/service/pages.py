"""Pages of what only grows: runs, sessions, messages and evidence, in the order in which they came."""

from __future__ import annotations

from backend.errors import BadInput
from backend.model import Evidence, Message, Run
from backend.pages import MessageFilter, RunFilter, SessionFilter, Span
from backend.service.context import Context
from backend.sessions import Session


class Pages:
    """What is not on a page is not read."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store.pages

    def runs(self, wanted: RunFilter, span: Span) -> list[Run]:
        return self._store.runs(wanted, self._place("runs", span), span.limit)

    def sessions(self, wanted: SessionFilter, span: Span) -> list[Session]:
        return self._store.sessions(wanted, self._place("sessions", span), span.limit, self._context.now())

    def messages(self, wanted: MessageFilter, span: Span) -> list[Message]:
        return self._store.messages(wanted, self._place("messages", span), span.limit)

    def evidence(self, span: Span) -> list[Evidence]:
        return self._store.evidence(self._place("evidence", span), span.limit)

    def _place(self, noun: str, span: Span) -> int:
        """
        Raises:
            BadInput: there is nothing with the id to go on after.
        """
        if span.after is None:
            return 0
        place = self._store.place(noun, span.after)
        if place is None:
            raise BadInput(
                f"none of the {noun} has the id {span.after[:80]!r}, after which the page begins",
                "use the next_cursor of a page of this list",
            )
        return place
