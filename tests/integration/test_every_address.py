"""Every address of the API, called as it is meant to be; and each change again, under the same key.

The table of operations says what there is, and this file has to have an example of each. An example has to
succeed: it is no example of an address when it is refused.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.local import LocalBackend
from backend.model import Actor
from backend.server.app import create_app
from backend.server.operations import OPERATIONS, Operation
from backend.server.scopes import TASK_FIELDS
from backend.sync import Choice

Step = tuple[str, str, dict[str, Any]]


APART = {
    "act_on_task": "test_every_address.py::test_another_action_is_404",
    "settle_conflict": "test_every_address.py::test_a_conflict_is_settled_where_there_is_one",
    "chat_socket": "test_server_chat.py::test_a_question_and_its_answer_pass_between_two_clients",
}
"""What needs more than an example, and the test that has it."""


@dataclass(frozen=True, slots=True)
class Example:
    """One call that succeeds, and what there has to be before it."""

    path: str
    body: dict[str, Any] | None = None
    before: tuple[Step, ...] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


MACHINE: tuple[Step, ...] = (("POST", "orchestrators/register", {"cluster": "c", "machine_id": "m"}),)
TASK: tuple[Step, ...] = (("POST", "tasks", {"id": "t", "role": "implement"}),)
HOLDER = {"orchestrator_id": "c-m", "agent_name": "a"}
HELD: tuple[Step, ...] = (*MACHINE, *TASK, ("POST", "tasks/claim", {**HOLDER, "run_id": "r"}))
HANDED_IN: tuple[Step, ...] = (*HELD, ("POST", "tasks/t/submit", {"commits_count": 1}))
WITH_COMMIT: tuple[Step, ...] = (*HELD, ("POST", "tasks/t/submit", {"head_sha": "a" * 40}))
HOLD = {**HOLDER, "role": "review", "adapter": "demo", "run_id": "r2", "lease_seconds": 60}
IN_REVIEW: tuple[Step, ...] = (*HANDED_IN, ("POST", "tasks/t/claim", HOLD))
QUESTION = {
    "id": "q", "conversation_id": "t", "sender_type": "worker", "sender_id": "a", "run_id": "r",
    "message_type": "request", "kind": "question", "body": "Which?",
}  # fmt: skip
ASKED: tuple[Step, ...] = (*HELD, ("POST", "messages", QUESTION))
ANSWERED: tuple[Step, ...] = (*ASKED, ("POST", "messages/q/answer", {"text": "this"}))
FAILED: tuple[Step, ...] = (*HELD, ("POST", "tasks/t/fail", {"reason": "no"}))
BACKLOG: tuple[Step, ...] = (("POST", "tasks", {"id": "t", "role": "implement", "queue": "backlog"}),)
EVIDENCE = {
    "id": "e", "run_id": "r", "check": "tests", "command": "true", "commit_sha": "a", "base_sha": "b",
    "exit_code": 0, "output_tail": "", "output_digest": "", "duration_ms": 1, "at": "2026-01-01T00:00:00Z",
}  # fmt: skip
AGENT = {
    "name": "a", "orchestrator_id": "c-m", "role": "implement", "adapter": "demo", "status": "idle",
    "task_id": None, "run_id": None, "pid": None, "reason": None, "updated_at": "2026-01-01T00:00:00Z",
}  # fmt: skip
PROJECT: tuple[Step, ...] = (("POST", "projects", {"id": "p", "title": "P"}),)
DRAFT: tuple[Step, ...] = (("POST", "drafts", {"id": "d", "title": "D"}),)
WORKER: tuple[Step, ...] = (("POST", "workers", {"id": "w", "name": "w"}),)
ORDER: tuple[Step, ...] = (*WORKER, ("POST", "queue/enqueue", {"id": "t", "title": "T"}))
WORKING: tuple[Step, ...] = (*ORDER, ("POST", "queue/claim", {"worker_id": "w"}))
SESSION: tuple[Step, ...] = (*WORKING, ("POST", "sessions", {"id": "s", "session_id": "s", "worker_id": "w"}))
SAID: tuple[Step, ...] = (*TASK, ("POST", "chat/messages", {"task_id": "t", "message": "hello"}))
RULE = {"id": "rule", "message_id": "q", "scope": "task", "answer": "this", "actor": "human:ana"}
RULED: tuple[Step, ...] = (*ASKED, ("POST", "rules", RULE))
ALERT = {"key": "quota:c-m:demo", "reason": "the provider refuses work", "until": "2100-01-01T00:00:00Z"}
ALERTED: tuple[Step, ...] = (("POST", "alerts", ALERT),)
APPROVED: tuple[Step, ...] = (*WITH_COMMIT, ("POST", "tasks/t/approve", {"actor": "human:ana"}))
PART = {
    "id": "part", "title": "Part", "role": "implement", "base_branch": "main", "base_sha": "b",
    "created_by": "ana",
}  # fmt: skip
KEY: tuple[Step, ...] = (("POST", "keys", {"label": "one", "scope": "read"}),)

EXAMPLES: dict[str, Example] = {
    "health": Example("/api/health"),
    "metrics": Example("/metrics"),
    "export": Example("/api/admin/export"),
    "import": Example("/api/admin/import"),
    "list_tasks": Example("tasks", before=TASK),
    "create_task": Example("tasks", {"role": "implement"}, status=201),
    "claim_task": Example("tasks/claim", HOLDER, (*MACHINE, *TASK)),
    "get_task": Example("tasks/t", before=TASK),
    "edit_task": Example("tasks/t", {"priority": "P0"}, TASK),
    "delete_task": Example("tasks/t", before=TASK, status=204),
    "task_runs": Example("tasks/t/runs", before=HELD),
    "task_messages": Example("tasks/t/messages", before=ASKED),
    "task_history": Example("tasks/t/history", before=TASK),
    "task_evidence": Example("tasks/t/evidence", before=(*HELD, ("POST", "tasks/t/evidence", EVIDENCE))),
    "list_evidence": Example("evidence", before=(*HELD, ("POST", "tasks/t/evidence", EVIDENCE))),
    "add_evidence": Example("tasks/t/evidence", EVIDENCE, HELD, 201),
    "why_task": Example("tasks/t/why", before=TASK),
    "count_queues": Example("counts"),
    "claim_task_in_place": Example("tasks/t/claim", HOLD, HANDED_IN),
    "renew_task": Example("tasks/t/renew", {}, HELD),
    "submit_task": Example("tasks/t/submit", {"commits_count": 1}, HELD),
    "continue_task": Example("tasks/t/continue", {"reason": "out of turns"}, HELD),
    "finish_in_place_task": Example("tasks/t/finish_in_place", {}, IN_REVIEW),
    "release_task": Example("tasks/t/release", {}, HELD),
    "requeue_task": Example("tasks/t/requeue", {}, HELD),
    "approve_task": Example("tasks/t/approve", {"actor": "human:ana"}, WITH_COMMIT),
    "accept_task": Example("tasks/t/accept", {"accepted_by": "ana"}, HANDED_IN),
    "reject_task": Example("tasks/t/reject", {"reason": "no", "rejected_by": "ana"}, HANDED_IN),
    "split_task": Example("tasks/t/split", {"parts": [PART]}, APPROVED),
    "conflict_task": Example("tasks/t/conflict", {"reason": "no"}, WITH_COMMIT),
    "fail_task": Example("tasks/t/fail", {"reason": "no"}, HELD),
    "block_task": Example("tasks/t/block", {}, TASK, 409),
    "unblock_task": Example("tasks/t/unblock", {}, TASK, 409),
    "escalate_task": Example("tasks/t/escalate", {"actor": "human:ana", "reason": "no"}, TASK),
    "retry_task": Example("tasks/t/retry", {}, FAILED),
    "cancel_task": Example("tasks/t/cancel", {}, TASK),
    "hold_task": Example("tasks/t/hold", {}, TASK),
    "enqueue_task": Example("tasks/t/enqueue", {}, BACKLOG),
    "force_task": Example("tasks/t/force", {"actor": "human:ana", "reason": "so", "to": "done"}, TASK),
    "list_runs": Example("runs", before=HELD),
    "get_run": Example("runs/r", before=HELD),
    "edit_run": Example("runs/r", {"turns": 3}, HELD),
    "end_run": Example("runs/r/end", {"outcome": "stopped", "reason": "no"}, HANDED_IN),
    "list_messages": Example("messages?state=open", before=ASKED),
    "post_message": Example("messages", QUESTION, HELD, 201),
    "get_message": Example("messages/q", before=ASKED),
    "answer_message": Example("messages/q/answer", {"text": "this"}, ASKED),
    "withdraw_message": Example("messages/q/withdraw", {"reason": "over"}, ASKED),
    "deliver_message": Example("messages/q/delivered", {}, ANSWERED),
    "list_agents": Example(
        "agents", before=(*MACHINE, ("PUT", "orchestrators/c-m/agents", {"agents": [AGENT]}))
    ),
    "list_orchestrators": Example("orchestrators", before=MACHINE),
    "register_orchestrator": Example(
        "orchestrators/register", {"cluster": "c", "machine_id": "m"}, status=201
    ),
    "get_orchestrator": Example("orchestrators/c-m", before=MACHINE),
    "edit_orchestrator": Example("orchestrators/c-m", {"status": "offline"}, MACHINE),
    "beat_orchestrator": Example("orchestrators/c-m/heartbeat", {}, MACHINE),
    "renew_leases": Example(
        "orchestrators/c-m/renew", {"leases": [{"task_id": "t", "lease_token": 1}], "lease_seconds": 60}, HELD
    ),
    "report_agents": Example("orchestrators/c-m/agents", {"agents": [AGENT]}, MACHINE, 204),
    "sync_now": Example("sync/now", {}),
    "expire_leases": Example("leases/expire", {}),
    "get_pause": Example("pause"),
    "pause": Example("pause", {"reason": "lunch"}),
    "resume": Example("resume", {}),
    "cost": Example("cost?since=2026-01-01T00:00:00Z"),
    "list_usage": Example("usage?by=task&since=2026-01-01T00:00:00Z", before=HELD),
    "list_alerts": Example("alerts", before=ALERTED),
    "raise_alert": Example("alerts", ALERT),
    "clear_alert": Example("alerts/clear", {"key": "quota:c-m:demo"}, ALERTED, 204),
    "list_rules": Example("rules", before=RULED),
    "create_rule": Example("rules", RULE, ASKED, 201),
    "revoke_rule": Example("rules/rule/revoke", {"actor": "human:ana"}, RULED),
    "list_events": Example("events", before=TASK),
    "last_event": Example("events/last"),
    "sync_state": Example("sync"),
    "list_pending": Example("sync/pending"),
    "list_conflicts": Example("sync/conflicts"),
    "poll": Example("scheduler/poll", {"orchestrator_id": "c-m"}, HELD),
    "list_projects": Example("projects", before=PROJECT),
    "create_project": Example("projects", {"title": "P"}, status=201),
    "get_project": Example("projects/p", before=PROJECT),
    "edit_project": Example("projects/p", {"title": "Q"}, PROJECT),
    "delete_project": Example("projects/p", before=PROJECT, status=204),
    "list_drafts": Example("drafts", before=DRAFT),
    "create_draft": Example("drafts", {"title": "D"}, status=201),
    "get_draft": Example("drafts/d", before=DRAFT),
    "edit_draft": Example("drafts/d", {"title": "E"}, DRAFT),
    "delete_draft": Example("drafts/d", before=DRAFT, status=204),
    "promote_draft": Example("drafts/d/promote", {"tasks": [{"id": "t", "role": "implement"}]}, DRAFT),
    "register_worker": Example("workers", {"name": "w"}, status=201),
    "list_workers": Example("workers", before=WORKER),
    "get_worker": Example("workers/w", before=WORKER),
    "beat_worker": Example("workers/w/heartbeat", {}, WORKER),
    "delete_worker": Example("workers/w", before=WORKER, status=204),
    "enqueue_work": Example("queue/enqueue", {"title": "T"}, status=201),
    "claim_work": Example("queue/claim", {"worker_id": "w"}, ORDER),
    "complete_work": Example("queue/complete", {"worker_id": "w", "work_order_id": "t"}, WORKING),
    "fail_work": Example("queue/fail", {"worker_id": "w", "work_order_id": "t", "reason": "no"}, WORKING),
    "queue_status": Example("queue/status"),
    "list_sessions": Example("sessions", before=SESSION),
    "open_session": Example("sessions", {"session_id": "s", "worker_id": "w"}, WORKING, 201),
    "get_session": Example("sessions/s", before=SESSION),
    "touch_session": Example("sessions/s/heartbeat", {}, SESSION),
    "end_session": Example("sessions/s/end", {"reason": "over"}, SESSION),
    "delete_session": Example("sessions/s", before=SESSION, status=204),
    "chat_messages": Example("chat/messages?task_id=t", before=SAID),
    "post_chat_message": Example("chat/messages", {"task_id": "t", "message": "hello"}, TASK, 201),
    "chat_events": Example("chat/events", before=SAID),
    "list_keys": Example("keys", before=KEY),
    "create_key": Example("keys", {"label": "one", "scope": "read"}, status=201),
    "revoke_key": Example("keys/{key_id}/revoke", {}, KEY),
}
EMPTY = {"list_pending", "list_conflicts", "expire_leases"}
"""Lists in which there is nothing on a server of its own."""
REFUSED = {"block_task", "unblock_task"}
"""What a task does by itself as soon as it may: whoever asks for it is too late, or too early."""
ONCE_ALONE = {"create_key"}
"""What is not told a second time."""


@dataclass(slots=True)
class Caller:
    """Calls the application, and remembers the last answer."""

    http: httpx.AsyncClient
    made: int = 0

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None, **headers: str
    ) -> httpx.Response:
        url = path if path.startswith("/") else f"/api/v1/{path}"
        return await self.http.request(method, url, json=body, headers=headers)


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[LocalBackend]:
    backend = await LocalBackend.open(tmp_path / "octopoid.db")
    yield backend
    await backend.close()


@pytest.fixture
async def caller(backend: LocalBackend) -> AsyncIterator[Caller]:
    transport = httpx.ASGITransport(create_app(backend))
    async with httpx.AsyncClient(transport=transport, base_url="http://octopoid", timeout=60) as http:
        yield Caller(http)


def pattern_of(operation: Operation) -> list[str]:
    return operation.path.strip("/").split("/")


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.name not in APART], ids=lambda one: one.name
)
async def test_every_address_answers_as_it_says(
    caller: Caller, backend: LocalBackend, operation: Operation
) -> None:
    example = EXAMPLES[operation.name]
    path, body = await prepared(caller, example, operation)
    full = path if path.startswith("/") else f"/api/v1/{path}"
    parts = full.partition("?")[0].strip("/").split("/")
    assert len(parts) == len(pattern_of(operation)), "the example is of another address"
    assert all(
        part == wanted or wanted.startswith("{")
        for part, wanted in zip(parts, pattern_of(operation), strict=True)
    )
    key = {} if operation.method == "GET" else {"Idempotency-Key": "one"}
    answer = await caller.call(operation.method, path, body, **key)
    assert answer.status_code == example.status, answer.text
    assert answer.status_code in operation.statuses or operation.name in REFUSED
    if operation.rows is not None:
        rows = answer.json()[operation.rows]
        assert isinstance(rows, list)
        assert bool(rows) == (operation.name not in EMPTY)
    if operation.etag and operation.answer is not None and operation.name not in REFUSED:
        assert answer.headers["etag"].startswith('"v')
    if not key:
        return
    seq = await backend.last_seq()
    again = await caller.call(operation.method, path, body, **key)
    assert await backend.last_seq() == seq, "it was done again"
    if operation.name in ONCE_ALONE:
        assert (again.status_code, again.json()["slug"]) == (409, "answered-once")
    elif not operation.reads:
        assert (again.status_code, again.content) == (answer.status_code, answer.content)
        assert again.headers["idempotency-replayed"] == "true"


async def prepared(
    caller: Caller, example: Example, operation: Operation
) -> tuple[str, dict[str, Any] | None]:
    """What the call needs to be there; returns its path and body."""
    answer = None
    for method, path, body in example.before:
        answer = await caller.call(method, path, body)
        assert answer.status_code < 300, answer.text
    if "{key_id}" in example.path:
        assert answer is not None
        return example.path.format(key_id=answer.json()["id"]), example.body
    if operation.name == "import":
        return example.path, json.loads((await caller.call("GET", "/api/admin/export", None)).content)
    return example.path, example.body


# What needs more than an example


async def test_another_action_is_404(caller: Caller) -> None:
    answer = await caller.call("POST", "tasks/t/explode", {})
    assert (answer.status_code, answer.json()["slug"]) == (404, "no-such-address")


async def test_a_conflict_is_settled_where_there_is_one(
    caller: Caller, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = await caller.call("POST", "sync/conflicts/x/settle", {"choice": "mine"})
    assert missing.status_code == 404
    settled = []

    async def settle(conflict_id: str, choice: Choice, *, actor: Actor) -> None:
        settled.append((conflict_id, choice, str(actor)))

    monkeypatch.setattr(backend, "settle_conflict", settle)
    body = {"choice": "theirs", "actor": "human:ana"}
    answer = await caller.call("POST", "sync/conflicts/x/settle", body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert settled == [("x", Choice.THEIRS, "human:ana")]


# A task of another scope


def takers() -> list[tuple[Operation, str]]:
    """Each address that takes a task's id, with the place it takes it in: its path, or a field."""
    found = [(one, "path") for one in OPERATIONS if one.path.startswith("/api/v1/tasks/{task_id}")]
    for one in OPERATIONS:
        given = {field.name for kind in (one.query, one.body) if kind is not None for field in fields(kind)}
        found += [(one, name) for name in TASK_FIELDS if name in given and name not in one.parameters]
    return found


@pytest.mark.parametrize(("operation", "place"), takers(), ids=lambda one: getattr(one, "name", one))
async def test_a_task_of_another_scope_is_404_wherever_it_is_named(
    caller: Caller, backend: LocalBackend, operation: Operation, place: str
) -> None:
    example = EXAMPLES.get(operation.name, Example("tasks/t/hold", {}, TASK))
    there = "t" in {(body or {}).get("id") for _, _, body in example.before}
    example = replace(example, before=example.before if there else TASK + example.before)
    path, body = await prepared(caller, example, operation)
    lease = [{"task_id": "t", "lease_token": 1}]
    if place != "path" and operation.method == "GET":
        path += f"{'&' if '?' in path else '?'}{place}=t"
    elif place != "path":
        body = {**(body or {}), place: lease if place == "leases" else "t"}
    seq = await backend.last_seq()
    for named in (f"{path}{'&' if '?' in path else '?'}scope=elsewhere", path):
        if named == path and (body is None or operation.method in ("GET", "DELETE")):
            continue
        given = {**(body or {}), "scope": "elsewhere"} if named == path else body
        answer = await caller.call(operation.method, named, given)
        assert (answer.status_code, answer.json()["slug"]) == (404, "not-found"), answer.text
        assert "in scope elsewhere" in answer.json()["error"]
        assert answer.json()["next_step"]
    assert await backend.last_seq() == seq, "something was done"


def test_the_addresses_of_the_worker_protocol_are_among_those_that_take_a_task() -> None:
    names = {operation.name for operation, _ in takers()}
    assert names >= {
        "get_task", "split_task", "claim_task", "enqueue_work", "complete_work", "fail_work", "open_session",
        "list_sessions", "list_runs", "chat_messages", "post_chat_message", "chat_events", "post_message",
        "beat_worker", "beat_orchestrator", "renew_leases",
    }  # fmt: skip


def test_there_is_an_example_of_each_address() -> None:
    names = {operation.name for operation in OPERATIONS}
    assert names == EXAMPLES.keys() | APART.keys()
    assert not EXAMPLES.keys() & APART.keys()
    for place in APART.values():
        file, test = place.split("::")
        source = (Path(__file__).parent / file).read_text(encoding="utf-8")
        assert f"async def {test}(" in source, place
