"""The server is killed at every point of a change; whoever asks again under the same key finds one change."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import postgres
import pytest
from server_process import Server, dying

from backend.store.audit import audit
from backend.store.postgres_audit import audit as audit_postgres
from backend.store.postgres_session import connect

CLAIM = {"orchestrator_id": "c-m", "agent_name": "a"}
"""It names no run and no task: nothing but the key tells that it comes again."""
LEAST_POINTS = 6


@dataclass(slots=True)
class Place:
    """A database that outlives its servers."""

    folder: Path
    url: str | None

    @property
    def order(self) -> Path:
        """Where the next transaction's death is ordered."""
        return self.folder / "order"

    def start(self) -> Server:
        where = self.url or f"sqlite:///{self.folder}/state.db"
        return Server(self.folder, "--no-auth", "--db", where, program=dying(self.order))

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        if self.url is not None:
            with connect(self.url) as connection:
                return [tuple(row) for row in connection.execute(statement)]
        with closing(sqlite3.connect(self.folder / "state.db")) as file:
            return file.execute(statement).fetchall()

    def claims(self) -> int:
        """How many there have been; nobody serves the file meanwhile."""
        return int(self.query("SELECT count(*) FROM events WHERE kind = 'claim'")[0][0])

    def audit(self) -> list[str]:
        if self.url is not None:
            with connect(self.url) as connection:
                return audit_postgres(connection)
        with closing(sqlite3.connect(self.folder / "state.db")) as file:
            return audit(file)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        yield Place(tmp_path, None)
    else:
        with postgres.server().database() as url:
            yield Place(tmp_path, url)


def post(server: Server, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return httpx.post(f"{server.url}/api/v1/{path}", json=body, headers=headers, trust_env=False, timeout=60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_killed_between_any_two_statements_of_a_claim_claims_once(place: Place) -> None:
    """F1: before BEGIN, between all that follows, and after COMMIT before the answer. L-21"""
    server = place.start()
    try:
        assert post(server, "orchestrators/register", {"cluster": "c", "machine_id": "m"}).status_code == 201
        kept = Counter[bool]()
        for point in count():
            assert post(server, "tasks", {"id": f"t{point}", "role": "implement"}).status_code == 201
            place.order.write_text(str(point))
            try:
                answer = post(server, "tasks/claim", CLAIM, f"claim {point}")
            except httpx.TransportError:
                assert server.wait() == -signal.SIGKILL, server.said
            else:
                assert answer.status_code == 200
                assert not place.order.exists(), "the claim was not the transaction that was counted"
                break
            place.order.unlink()
            server.close()
            was_kept = place.claims() == point + 1
            assert place.claims() - point in (0, 1)
            kept[was_kept] += 1
            server = place.start()
            answer = post(server, "tasks/claim", CLAIM, f"claim {point}")
            assert (answer.status_code, answer.json()["id"]) == (200, f"t{point}")
            assert ("idempotency-replayed" in answer.headers) == was_kept
            again = post(server, "tasks/claim", CLAIM, f"claim {point}")
            assert again.content == answer.content
            url = f"{server.url}/api/v1/events?limit=10000"
            events = httpx.get(url, trust_env=False, timeout=60).json()["events"]
            assert sum(event["kind"] == "claim" for event in events) == point + 1
        assert point >= LEAST_POINTS
        assert kept[False] >= LEAST_POINTS - 2
        assert kept[True] >= 1
        assert server.end() == 0
        claimed = place.query("SELECT fence, attempt_count, version FROM tasks")
        assert set(claimed) == {(1, 1, 2)}
        runs = place.query("SELECT id, run_id FROM tasks")
        live = place.query("SELECT task_id, id FROM runs WHERE status <> 'ended'")
        assert sorted(runs) == sorted(live)
        assert place.audit() == []
    finally:
        server.close()
