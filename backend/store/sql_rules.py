"""Rules and alerts, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping

from backend.model import Alert, MessageKind, Rule
from backend.store.rows import alert_of, ms_of, rule_of
from backend.store.sql import Session


class SqlRules:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def insert(self, rule: Rule, now: int) -> None:
        values = {
            "id": rule.id,
            "scope": rule.scope.value,
            "scope_id": rule.scope_id,
            "kind": rule.kind.value,
            "pattern": rule.pattern,
            "exact": rule.exact,
            "answer": rule.answer,
            "author": rule.author,
            "message_id": rule.message_id,
            "now": now,
            "expires_at": ms_of(rule.expires_at),
        }
        self._execute(self._sql["insert_rule"], values)

    def read(self, rule_id: str) -> Rule | None:
        row = self._execute(self._sql["read_rule"], {"id": rule_id}).fetchone()
        return None if row is None else rule_of(row)

    def find_all(self) -> list[Rule]:
        return [rule_of(row) for row in self._execute(self._sql["list_rules"])]

    def in_force(self, kind: MessageKind, now: int) -> list[Rule]:
        rows = self._execute(self._sql["list_rules_in_force"], {"kind": kind.value, "now": now}).fetchall()
        return [rule_of(row) for row in rows]

    def use(self, rule_id: str, now: int) -> None:
        self._execute(self._sql["use_rule"], {"id": rule_id, "now": now})

    def revoke(self, rule_id: str, now: int) -> None:
        self._execute(self._sql["revoke_rule"], {"id": rule_id, "now": now})


class SqlAlerts:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def save(self, key: str, reason: str, until: int | None, now: int) -> None:
        self._execute(self._sql["save_alert"], {"key": key, "reason": reason, "until": until, "now": now})

    def in_force(self, now: int) -> list[Alert]:
        return [alert_of(row) for row in self._execute(self._sql["list_alerts"], {"now": now})]

    def delete(self, key: str) -> bool:
        return self._execute(self._sql["delete_alert"], {"key": key}).rowcount == 1

    def delete_old(self, before: int) -> None:
        self._execute(self._sql["delete_old_alerts"], {"before": before})
