"""Keys to the REST API, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping

from backend.clock import from_ms
from backend.keys import ApiKey, KeyScope, NewKey
from backend.store.interface import StoredKey
from backend.store.rows import Row, ms_of
from backend.store.sql import Session


class SqlKeys:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def insert(self, key_id: str, new: NewKey, digest: str, now: int) -> None:
        values = {
            "id": key_id,
            "label": new.label,
            "scope": new.scope.value,
            "digest": digest,
            "orchestrator_id": new.orchestrator_id,
            "now": now,
            "expires_at": ms_of(new.expires_at),
        }
        self._execute(self._sql["insert_key"], values)

    def read(self, key_id: str) -> StoredKey | None:
        row = self._execute(self._sql["read_key"], {"id": key_id}).fetchone()
        return None if row is None else StoredKey(key_of(row), row["digest"])

    def find_all(self) -> list[ApiKey]:
        return [key_of(row) for row in self._execute(self._sql["list_keys"])]

    def revoke(self, key_id: str, now: int) -> bool:
        return self._execute(self._sql["revoke_key"], {"id": key_id, "now": now}).rowcount == 1

    def use(self, key_id: str, now: int) -> None:
        self._execute(self._sql["use_key"], {"id": key_id, "now": now})


def key_of(row: Row) -> ApiKey:
    times = {
        name: None if row[name] is None else from_ms(row[name])
        for name in ("expires_at", "last_used_at", "revoked_at")
    }
    return ApiKey(
        id=row["id"],
        label=row["label"],
        scope=KeyScope(row["scope"]),
        orchestrator_id=row["orchestrator_id"],
        created_at=from_ms(row["created_at"]),
        **times,
    )
