"""The backend that lives in another process: the REST API behind the same protocol."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote

from backend.clock import to_iso
from backend.errors import BadInput, NotFound, StoreBroken
from backend.interface import Action, Transition
from backend.model import (
    Actor,
    Agent,
    Alert,
    Claim,
    ClaimRequest,
    Event,
    Evidence,
    HoldRequest,
    Json,
    Message,
    NewMachine,
    NewMessage,
    NewRule,
    NewTask,
    Orchestrator,
    Pause,
    Priority,
    Queue,
    Renewal,
    Rule,
    Run,
    RunEnd,
    RunPatch,
    Task,
    TaskFilter,
    TaskPatch,
    Usage,
    UsageBy,
)
from backend.pages import EVERYTHING
from backend.planning import Draft, DraftPatch, NewDraft, NewProject, Project, ProjectPatch
from backend.rest.connection import Connection
from backend.rest.stream import PATIENCE_S, follow
from backend.sessions import NewSession, Session
from backend.sync import Choice, Conflict, SyncState, Waiting
from backend.why import Reason
from backend.wire import changes_json, claim_from_json, decode, from_json, to_json, transition_json

T = TypeVar("T")

PAGE = 1000
"""Rows of a list that is asked for page by page."""
AT_ONCE = 50
"""Rows that are read between two turns of the event loop."""
WHOLE: dict[type, tuple[str, str, Json]] = {
    Task: ("tasks", "v1/tasks", {}),
    Run: ("runs", "v1/runs", {}),
    Message: ("messages", "v1/messages", {"state": "unfinished"}),
    Evidence: ("evidence", "v1/evidence", {}),
}
"""What `everything` reads: the list's name, its address, and what is asked for."""


class RemoteBackend:
    """A `Backend` served elsewhere.

    Args:
        base_url: where the API is; over a socket any name will do.
        socket_path: the UNIX socket of the process that owns the store, or None for TCP.
        api_key: sent as a bearer token.
        timeout_s: how long an answer may take; None for as long as the SDK waits.
        patience_s: how long the server may be away before a watch ends with an error.
    """

    def __init__(
        self,
        base_url: str = "http://octopoid",
        *,
        socket_path: Path | None = None,
        api_key: str | None = None,
        timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._connection = Connection(base_url, socket_path, api_key, timeout_s)
        self._patience_s = patience_s

    async def keyed(self, key: str) -> RemoteBackend:
        """This backend; its first change goes under an idempotency key, the next under one made of it."""
        same = copy.copy(self)
        same._connection = await self._connection.keyed(key)
        return same

    async def health(self) -> Json:
        """What the server says of itself: `status`, `pid`, `last_seq`."""
        data: Json = await self._connection.get("health")
        return data

    async def close(self) -> None:
        await self._connection.close()

    # Tasks

    async def create_task(self, new: NewTask, *, actor: Actor) -> Task:
        return await self._post(Task, "v1/tasks", {**to_json(new), "actor": str(actor)})

    async def get_task(self, task_id: str) -> Task:
        return await self._get(Task, _path("tasks", task_id))

    async def list_tasks(self, wanted: TaskFilter) -> list[Task]:
        params: Json = {"limit": EVERYTHING if wanted.limit is None else wanted.limit}
        params |= {
            name: sorted(values)
            for name, values in (
                ("queue", wanted.queues),
                ("priority", wanted.priorities),
                ("role", wanted.roles),
                ("type", wanted.types),
            )
            if values
        }
        params |= {
            name: value
            for name, value in (
                ("project_id", wanted.project_id),
                ("q", wanted.text),
                ("scope", wanted.scope),
                ("claimed_by", wanted.claimed_by),
            )
            if value is not None
        }
        return await self._rows(Task, "tasks", "v1/tasks", params)

    async def count_queues(self) -> Mapping[Queue, int]:
        data = await self._connection.get("v1/counts")
        return {Queue(name): count for name, count in data["queues"].items()}

    async def count_waiting(self) -> Mapping[Priority, int]:
        data = await self._connection.get("v1/counts")
        return {Priority(name): count for name, count in data["waiting"].items()}

    async def edit_task(
        self, task_id: str, patch: TaskPatch, *, actor: Actor, version: int | None = None
    ) -> Task:
        return await self._edit(Task, _path("tasks", task_id), patch, actor, version)

    async def why(self, task_id: str) -> list[Reason]:
        return await self._rows(Reason, "reasons", _path("tasks", task_id, "why"))

    async def transition(self, wish: Transition) -> Task:
        if wish.action is Action.CLAIM:  # its address is that of a claim in place
            raise BadInput(f"{wish.action} is no transition of its own", "use claim")
        return await self._post(Task, _path("tasks", wish.task_id, wish.action), transition_json(wish))

    async def split_task(
        self, task_id: str, parts: Sequence[NewTask], *, actor: Actor, version: int | None = None
    ) -> Task:
        body: Json = {"parts": [to_json(part) for part in parts], "actor": str(actor)}
        if version is not None:
            body["version"] = version
        return await self._post(Task, _path("tasks", task_id, "split"), body)

    # Leases

    async def claim(self, wish: ClaimRequest) -> Claim | None:
        data = await self._connection.post("v1/tasks/claim", to_json(wish))
        return None if data is None else _read_claim(data)

    async def claim_in_place(self, wish: HoldRequest) -> Claim:
        body = to_json(wish)
        del body["task_id"]
        return _read_claim(await self._connection.post(_path("tasks", wish.task_id, "claim"), body))

    async def renew(self, orchestrator_id: str, leases: Sequence[Renewal], lease_seconds: int) -> list[str]:
        body = {"leases": [to_json(lease) for lease in leases], "lease_seconds": lease_seconds}
        data = await self._connection.post(_path("orchestrators", orchestrator_id, "renew"), body)
        lost: list[str] = data["lost"]
        return lost

    async def expire_leases(self) -> list[Task]:
        data = await self._connection.post("v1/leases/expire")
        return [_read(Task, row) for row in data["tasks"]]

    # Runs and evidence

    async def get_run(self, run_id: str) -> Run:
        return await self._get(Run, _path("runs", run_id))

    async def list_runs(self, *, task_id: str | None = None, live: bool = False) -> list[Run]:
        params: Json = {"live": "true" if live else "false"}
        if task_id is not None:
            params["task_id"] = task_id
        return await self._pages(Run, "runs", "v1/runs", params)

    async def update_run(self, run_id: str, patch: RunPatch) -> Run:
        return _read(Run, await self._connection.call("PATCH", _path("runs", run_id), changes_json(patch)))

    async def end_run(self, run_id: str, end: RunEnd) -> Run:
        return await self._post(Run, _path("runs", run_id, "end"), to_json(end))

    async def add_evidence(self, evidence: Evidence) -> None:
        body = to_json(evidence)
        del body["task_id"]
        await self._connection.post(_path("tasks", evidence.task_id, "evidence"), body)

    async def list_evidence(self, task_id: str) -> list[Evidence]:
        return await self._rows(Evidence, "evidence", _path("tasks", task_id, "evidence"))

    async def unfinished_evidence(self) -> list[Evidence]:
        return [row async for rows, _ in self.everything(Evidence) for row in rows]

    # Messages

    async def post_message(self, new: NewMessage) -> Message:
        return await self._post(Message, "v1/messages", to_json(new))

    async def answer(self, message_id: str, text: str, *, actor: Actor) -> Message:
        body = {"text": text, "actor": str(actor)}
        return await self._post(Message, _path("messages", message_id, "answer"), body)

    async def withdraw(self, message_id: str, reason: str) -> Message:
        return await self._post(Message, _path("messages", message_id, "withdraw"), {"reason": reason})

    async def mark_delivered(self, message_id: str) -> Message:
        return await self._post(Message, _path("messages", message_id, "delivered"), {})

    async def get_message(self, message_id: str) -> Message:
        return await self._get(Message, _path("messages", message_id))

    async def list_messages(self, task_id: str) -> list[Message]:
        return await self._pages(Message, "messages", _path("tasks", task_id, "messages"))

    async def unfinished_messages(self) -> list[Message]:
        return [row async for rows, _ in self.everything(Message) for row in rows]

    async def open_questions(self) -> list[Message]:
        return await self._pages(Message, "messages", "v1/messages", {"state": "open"})

    async def undelivered(self, run_ids: Sequence[str]) -> list[Message]:
        params = {"state": "undelivered", "run_id": list(run_ids)}
        return await self._pages(Message, "messages", "v1/messages", params)

    async def chat(self, *, after: int = 0, limit: int = 200, task_id: str | None = None) -> list[Event]:
        params: Json = {"after": after, "limit": limit}
        if task_id is not None:
            params["task_id"] = task_id
        return await self._rows(Event, "events", "v1/chat/events", params)

    # Sessions

    async def open_session(self, new: NewSession) -> Session:
        return await self._post(Session, "v1/sessions", to_json(new))

    async def get_session(self, session_id: str) -> Session:
        return await self._get(Session, _path("sessions", session_id))

    async def list_sessions(self, *, task_id: str | None = None, live: bool = False) -> list[Session]:
        params: Json = {"live": "true" if live else "false"}
        if task_id is not None:
            params["task_id"] = task_id
        return await self._pages(Session, "sessions", "v1/sessions", params)

    async def touch_session(self, session_id: str) -> Session:
        return await self._post(Session, _path("sessions", session_id, "heartbeat"), {})

    async def end_session(self, session_id: str, reason: str, *, actor: Actor) -> Session:
        body = {"reason": reason, "actor": str(actor)}
        return await self._post(Session, _path("sessions", session_id, "end"), body)

    # Rules

    async def create_rule(self, new: NewRule, *, actor: Actor) -> Rule:
        return await self._post(Rule, "v1/rules", {**to_json(new), "actor": str(actor)})

    async def list_rules(self) -> list[Rule]:
        return await self._rows(Rule, "rules", "v1/rules")

    async def revoke_rule(self, rule_id: str, *, actor: Actor) -> Rule:
        return await self._post(Rule, _path("rules", rule_id, "revoke"), {"actor": str(actor)})

    # Machines and their agents

    async def register(
        self,
        cluster: str,
        machine_id: str,
        *,
        pid: int | None,
        repo_url: str | None = None,
        instance: str | None = None,
    ) -> Orchestrator:
        body = to_json(NewMachine(cluster, machine_id, pid, repo_url, instance))
        return await self._post(Orchestrator, "v1/orchestrators/register", body)

    async def heartbeat(self, orchestrator_id: str, *, cycle_at: datetime | None) -> Orchestrator:
        body = {"cycle_at": None if cycle_at is None else to_iso(cycle_at)}
        return await self._post(Orchestrator, _path("orchestrators", orchestrator_id, "heartbeat"), body)

    async def leave(self, orchestrator_id: str) -> Orchestrator:
        body = {"status": "offline"}
        answer = await self._connection.call("PATCH", _path("orchestrators", orchestrator_id), body)
        return _read(Orchestrator, answer)

    async def list_orchestrators(self) -> list[Orchestrator]:
        return await self._rows(Orchestrator, "orchestrators", "v1/orchestrators")

    async def report_agents(self, orchestrator_id: str, agents: Sequence[Agent]) -> None:
        body = {"agents": [to_json(agent) for agent in agents]}
        await self._connection.call("PUT", _path("orchestrators", orchestrator_id, "agents"), body)

    async def list_agents(self) -> list[Agent]:
        return await self._rows(Agent, "agents", "v1/agents")

    # Projects and drafts

    async def create_project(self, new: NewProject, *, actor: Actor) -> Project:
        return await self._post(Project, "v1/projects", {**to_json(new), "actor": str(actor)})

    async def get_project(self, project_id: str) -> Project:
        return await self._get(Project, _path("projects", project_id))

    async def list_projects(self) -> list[Project]:
        return await self._rows(Project, "projects", "v1/projects", {"limit": EVERYTHING})

    async def edit_project(
        self, project_id: str, patch: ProjectPatch, *, actor: Actor, version: int | None = None
    ) -> Project:
        return await self._edit(Project, _path("projects", project_id), patch, actor, version)

    async def delete_project(self, project_id: str, *, actor: Actor, version: int | None = None) -> None:
        await self._delete(_path("projects", project_id), actor, version)

    async def create_draft(self, new: NewDraft, *, actor: Actor) -> Draft:
        return await self._post(Draft, "v1/drafts", {**to_json(new), "actor": str(actor)})

    async def get_draft(self, draft_id: str) -> Draft:
        return await self._get(Draft, _path("drafts", draft_id))

    async def list_drafts(self) -> list[Draft]:
        return await self._rows(Draft, "drafts", "v1/drafts", {"limit": EVERYTHING})

    async def edit_draft(
        self, draft_id: str, patch: DraftPatch, *, actor: Actor, version: int | None = None
    ) -> Draft:
        return await self._edit(Draft, _path("drafts", draft_id), patch, actor, version)

    async def delete_draft(self, draft_id: str, *, actor: Actor, version: int | None = None) -> None:
        await self._delete(_path("drafts", draft_id), actor, version)

    async def promote_draft(self, draft_id: str, tasks: Sequence[NewTask], *, actor: Actor) -> Draft:
        body = {"tasks": [to_json(new) for new in tasks], "actor": str(actor)}
        return await self._post(Draft, _path("drafts", draft_id, "promote"), body)

    # Steering

    async def pause(
        self,
        *,
        actor: Actor,
        reason: str | None = None,
        until: datetime | None = None,
        machine: str | None = None,
    ) -> Pause:
        body = {
            "actor": str(actor),
            "reason": reason,
            "until": None if until is None else to_iso(until),
            "machine": machine,
        }
        return await self._post(Pause, "v1/pause", body)

    async def resume(self, *, actor: Actor, machine: str | None = None) -> Pause:
        return await self._post(Pause, "v1/resume", {"actor": str(actor), "machine": machine})

    async def get_pause(self, *, machine: str | None = None) -> Pause:
        params = None if machine is None else {"machine": machine}
        return _read(Pause, await self._connection.get("v1/pause", params))

    async def raise_alert(self, key: str, reason: str, *, until: datetime | None) -> Alert:
        body = {"key": key, "reason": reason, "until": None if until is None else to_iso(until)}
        return await self._post(Alert, "v1/alerts", body)

    async def clear_alert(self, key: str) -> None:
        await self._connection.post("v1/alerts/clear", {"key": key})

    async def list_alerts(self) -> list[Alert]:
        return await self._rows(Alert, "alerts", "v1/alerts")

    # The log

    async def events(self, *, after: int = 0, limit: int = 500, entity_id: str | None = None) -> list[Event]:
        params: Json = {"after": after, "limit": limit}
        if entity_id is not None:
            params["entity_id"] = entity_id
        return await self._rows(Event, "events", "v1/events", params)

    async def last_seq(self) -> int:
        data = await self._connection.get("v1/events/last")
        seq: int = data["seq"]
        return seq

    def watch(self, after: int) -> AsyncIterator[list[Event]]:
        return follow(self._connection, after, self._patience_s)

    async def cost_since(self, since: datetime) -> float:
        data = await self._connection.get("v1/cost", {"since": to_iso(since)})
        return float(data["cost_usd"])

    async def usage(self, by: UsageBy, *, since: datetime) -> list[Usage]:
        return await self._rows(Usage, "usage", "v1/usage", {"by": by.value, "since": to_iso(since)})

    # The server's own server

    async def sync_state(self) -> SyncState:
        return await self._get(SyncState, "v1/sync")

    async def list_pending(self, limit: int | None = None) -> list[Waiting]:
        params = {} if limit is None else {"limit": limit}
        return await self._rows(Waiting, "changes", "v1/sync/pending", params)

    async def list_conflicts(self) -> list[Conflict]:
        return await self._rows(Conflict, "conflicts", "v1/sync/conflicts")

    async def settle_conflict(self, conflict_id: str, choice: Choice, *, actor: Actor) -> None:
        body = {"choice": choice.value, "actor": str(actor)}
        await self._connection.post(_path("sync", "conflicts", conflict_id, "settle"), body)

    async def sync_now(self) -> SyncState:
        return await self._post(SyncState, "v1/sync/now", {})

    # The whole

    def everything(self, kind: type[T]) -> AsyncGenerator[tuple[list[T], int | None]]:
        """All tasks or runs, or the messages or evidence of all unfinished tasks, page by page.

        A task that moves meanwhile may be missing, or come twice: whoever needs to know reads on in the log.

        Yields:
            The rows of a page, and how many there are in all, where the server counts them.
        """
        name, path, params = WHOLE[kind]
        return self._each_page(kind, name, path, params)

    async def export_state(self, out: IO[bytes]) -> None:
        out.write(await self._connection.carry("GET", "admin/export"))

    async def import_state(self, raw: bytes, *, actor: Actor) -> Mapping[str, int]:
        path = f"admin/import?actor={quote(str(actor))}"
        answer = decode(await self._connection.carry("POST", path, raw))
        counts: dict[str, int] = answer["imported"]
        return counts

    # How

    async def _get(self, kind: type[T], path: str) -> T:
        return _read(kind, await self._connection.get(path))

    async def _post(self, kind: type[T], path: str, body: Json) -> T:
        return _read(kind, await self._connection.post(path, body))

    async def _edit(self, kind: type[T], path: str, patch: Any, actor: Actor, version: int | None) -> T:
        body = {**changes_json(patch), "actor": str(actor)}
        return _read(kind, await self._connection.call("PATCH", path, body, headers=_if_match(version)))

    async def _delete(self, path: str, actor: Actor, version: int | None) -> None:
        params = {"actor": str(actor)}
        await self._connection.call("DELETE", path, params=params, headers=_if_match(version))

    async def _rows(self, kind: type[T], name: str, path: str, params: Json | None = None) -> list[T]:
        data = await self._connection.get(path, params)
        return await _read_rows(kind, data[name])

    async def _pages(self, kind: type[T], name: str, path: str, params: Json | None = None) -> list[T]:
        """The rows of every page."""
        return [row async for rows, _ in self._each_page(kind, name, path, params or {}) for row in rows]

    async def _each_page(
        self, kind: type[T], name: str, path: str, params: Json
    ) -> AsyncGenerator[tuple[list[T], int | None]]:
        wanted: Json = {"limit": PAGE, **params}
        while True:
            data = await self._connection.get(path, wanted)
            yield await _read_rows(kind, data[name]), data.get("total")
            if data["next_cursor"] is None:
                return
            wanted["cursor"] = data["next_cursor"]


def _path(*parts: str) -> str:
    for part in parts:
        # What no id can be would name another address.
        if part in ("", ".", "..") or "/" in part:
            raise NotFound(f"there is nothing with the id {part[:80]!r}", "ids hold no '/'")
    return "v1/" + "/".join(quote(part, safe="") for part in parts)


def _if_match(version: int | None) -> dict[str, str] | None:
    return None if version is None else {"If-Match": f'"v{version}"'}


def _read(kind: type[T], data: Any) -> T:
    try:
        return from_json(kind, data)
    except BadInput as error:
        raise StoreBroken(
            f"the server's {kind.__name__.lower()} is not understood", f"is it of another version? {error}"
        ) from error


async def _read_rows(kind: type[T], rows: Sequence[Any]) -> list[T]:
    """Rows as records, with turns of the event loop between."""
    records: list[T] = []
    for row in rows:
        records.append(_read(kind, row))
        if len(records) % AT_ONCE == 0:
            await asyncio.sleep(0)
    return records


def _read_claim(data: Json) -> Claim:
    try:
        return claim_from_json(data)
    except BadInput as error:
        raise StoreBroken(
            "the server's claim is not understood", f"is it of another version? {error}"
        ) from error
