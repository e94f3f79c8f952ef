"""Conversations, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.model import Message, NewMessage
from backend.store.rows import dump, message_of, new_message_values
from backend.store.sql import Session


class SqlMessages:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def _many(self, name: str, values: Mapping[str, object]) -> list[Message]:
        # All rows at once: a statement that writes ends only when its last row has been read.
        return [message_of(row) for row in self._execute(self._sql[name], values).fetchall()]

    def _one(self, name: str, values: Mapping[str, object]) -> Message | None:
        return next(iter(self._many(name, values)), None)

    def insert(self, new: NewMessage, now: int) -> None:
        self._execute(self._sql["insert_message"], new_message_values(new) | {"now": now})

    def read(self, message_id: str) -> Message | None:
        return self._one("read_message", {"id": message_id})

    def find_request(self, run_id: str, request_id: str) -> Message | None:
        return self._one("find_request", {"run_id": run_id, "request_id": request_id})

    def answer(self, message_id: str, text: str, now: int) -> Message | None:
        return self._one("answer_message", {"id": message_id, "answer": text, "now": now})

    def withdraw(self, message_id: str, now: int) -> Message | None:
        return self._one("withdraw_message", {"id": message_id, "now": now})

    def deliver(self, message_id: str, now: int) -> Message | None:
        return self._one("deliver_message", {"id": message_id, "now": now})

    def of_conversation(self, conversation_id: str) -> list[Message]:
        return self._many("list_messages", {"conversation_id": conversation_id})

    def open(self) -> list[Message]:
        return self._many("list_open_questions", {})

    def undelivered(self, run_ids: Sequence[str]) -> list[Message]:
        return self._many("list_undelivered", {"run_ids": dump(list(run_ids))})
