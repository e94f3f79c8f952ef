"""Answers to changes, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from backend.once import Answer, Asked
from backend.store.rows import dump
from backend.store.sql import Session


class SqlOperations:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def find(self, caller: str, key: str) -> tuple[str, Answer] | None:
        row = self._execute(self._sql["find_operation"], {"caller": caller, "key": key}).fetchone()
        if row is None:
            return None
        headers = msgspec.json.decode(row["headers"], type=tuple[tuple[str, str], ...])
        return row["fingerprint"], Answer(row["status"], headers, row["body"])

    def insert(self, asked: Asked, answer: Answer, now: int) -> None:
        values = {
            "caller": asked.caller,
            "key": asked.key,
            "fingerprint": asked.fingerprint,
            "status": answer.status,
            "headers": dump(answer.headers),
            "body": answer.body,
            "now": now,
        }
        self._execute(self._sql["insert_operation"], values)

    def delete(self, before: int, limit: int) -> int:
        return self._execute(self._sql["delete_operations"], {"before": before, "limit": limit}).rowcount
