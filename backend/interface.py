"""The one surface that the screen, the commands, the scheduler and the server see of the state.

Every method may raise `backend.errors.StoreBusy` or `StoreBroken`; what else it raises is said with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from backend.model import (
    Actor,
    Agent,
    Alert,
    Claim,
    ClaimRequest,
    Event,
    Evidence,
    HoldRequest,
    Message,
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
from backend.planning import Draft, DraftPatch, NewDraft, NewProject, Project, ProjectPatch
from backend.sessions import NewSession, Session
from backend.sync import Choice, Conflict, SyncState, Waiting
from backend.why import Reason


class Action(StrEnum):
    """What can be done to a task; the rows of the transition table (`backend.lifecycle`)."""

    CREATE = "create"
    ENQUEUE = "enqueue"
    HOLD = "hold"
    CLAIM = "claim"
    CLAIM_IN_PLACE = "claim_in_place"
    RENEW = "renew"
    SUBMIT = "submit"
    CONTINUE = "continue"
    FINISH_IN_PLACE = "finish_in_place"
    RELEASE = "release"
    EXPIRE = "expire"
    APPROVE = "approve"
    CONFLICT = "conflict"
    ACCEPT = "accept"
    SPLIT = "split"
    REJECT = "reject"
    FAIL = "fail"
    BLOCK = "block"
    UNBLOCK = "unblock"
    ESCALATE = "escalate"
    RETRY = "retry"
    CANCEL = "cancel"
    FORCE = "force"


@dataclass(frozen=True, slots=True)
class Transition:
    """One wish to change a task's state.

    Workers prove their right with `fence`, people and scripts with `version` (when they give one).
    `run_end` ends the run named by the task's claim in the same transaction.
    """

    task_id: str
    action: Action
    actor: Actor
    reason: str | None = None
    fence: int | None = None
    version: int | None = None
    run_id: str | None = None
    run_end: RunEnd | None = None
    head_sha: str | None = None
    merged_sha: str | None = None
    systemic: bool = False
    """For `release`: the attempt does not count towards the task's cap."""
    override: str | None = None
    """For `approve`: why missing or failed evidence is accepted."""
    to: Queue | None = None
    """For `force` alone."""


class Backend(Protocol):
    """The state, wherever it lives."""

    async def close(self) -> None: ...

    # Tasks
    async def create_task(self, new: NewTask, *, actor: Actor) -> Task:
        """Store a task. The same id with the same content again is no error.

        Raises:
            Duplicate: the id or file path is taken by another task.
            DependencyCycle, NotFound: a dependency is circular, or names no task.
        """
        ...

    async def get_task(self, task_id: str) -> Task: ...

    async def list_tasks(self, wanted: TaskFilter) -> list[Task]: ...

    async def count_queues(self) -> Mapping[Queue, int]: ...

    async def count_waiting(self) -> Mapping[Priority, int]:
        """How many tasks wait to be claimed, by priority."""
        ...

    async def edit_task(
        self, task_id: str, patch: TaskPatch, *, actor: Actor, version: int | None = None
    ) -> Task: ...

    async def transition(self, wish: Transition) -> Task:
        """Change a task's state as the transition table allows.

        Raises:
            Refused: the table does not allow it; `details` names each guard that failed.
            LeaseLost: the fence is not the task's any more.
            VersionConflict: the task has changed since.
        """
        ...

    async def why(self, task_id: str) -> list[Reason]:
        """What the store knows of why a task is where it is."""
        ...

    async def split_task(
        self, task_id: str, parts: Sequence[NewTask], *, actor: Actor, version: int | None = None
    ) -> Task:
        """Make an approved task's parts and call it done, all or nothing; what waited for it waits for them.

        Raises:
            Refused, VersionConflict: as `transition`.
            Duplicate, BadInput, DependencyCycle, NotFound: a part cannot be made.
        """
        ...

    # Leases
    async def claim(self, wish: ClaimRequest) -> Claim | None:
        """Claim a task in one statement; None when nothing is claimable.

        Raises:
            UnknownOrchestrator: the claimant was never registered.
            Refused: `task_id` was given and that task is not claimable.
        """
        ...

    async def claim_in_place(self, wish: HoldRequest) -> Claim:
        """Lease a provisional task that nobody holds, to review it or resolve its conflict."""
        ...

    async def renew(self, orchestrator_id: str, leases: Sequence[Renewal], lease_seconds: int) -> list[str]:
        """Renew leases in one call; returns the ids of the tasks whose lease is lost."""
        ...

    async def expire_leases(self) -> list[Task]:
        """Release every lease that has run out; note silent machines, and end sessions that are over.

        Returns:
            The tasks released.
        """
        ...

    # Runs and evidence
    async def get_run(self, run_id: str) -> Run: ...

    async def list_runs(self, *, task_id: str | None = None, live: bool = False) -> list[Run]:
        """Runs in order of their start; only those not ended with `live`."""
        ...

    async def update_run(self, run_id: str, patch: RunPatch) -> Run: ...

    async def end_run(self, run_id: str, end: RunEnd) -> Run:
        """End a run whose task has already moved on. A run that has ended is returned unchanged."""
        ...

    async def add_evidence(self, evidence: Evidence) -> None: ...

    async def list_evidence(self, task_id: str) -> list[Evidence]: ...

    async def unfinished_evidence(self) -> list[Evidence]:
        """The evidence of every task that is neither done nor cancelled, in the order in which it came."""
        ...

    # Messages
    async def post_message(self, new: NewMessage) -> Message:
        """Store a message; the same `(run_id, request_id)` or id again returns the first."""
        ...

    async def answer(self, message_id: str, text: str, *, actor: Actor) -> Message:
        """Answer a request; returns the request. Answering again with the same text is no error.

        Raises:
            Refused: it has another answer already, or was withdrawn.
        """
        ...

    async def withdraw(self, message_id: str, reason: str) -> Message:
        """Close a request nobody needs answered any more."""
        ...

    async def mark_delivered(self, message_id: str) -> Message:
        """Note that the answer has reached its run."""
        ...

    async def get_message(self, message_id: str) -> Message: ...

    async def list_messages(self, task_id: str) -> list[Message]: ...

    async def unfinished_messages(self) -> list[Message]:
        """The messages of every task that is neither done nor cancelled, oldest first."""
        ...

    async def open_questions(self) -> list[Message]:
        """Every request nobody has answered, oldest first."""
        ...

    async def undelivered(self, run_ids: Sequence[str]) -> list[Message]:
        """Answered requests of these runs whose answer has not been delivered."""
        ...

    async def chat(self, *, after: int = 0, limit: int = 200, task_id: str | None = None) -> list[Event]:
        """The events of messages after a place in the log, of one task's conversation or of all."""
        ...

    # Sessions of agent programs
    async def open_session(self, new: NewSession) -> Session:
        """Note a session. A known one of the same machine moves to the task and run given, and is open again.

        Raises:
            Duplicate: it belongs to another machine, or the id is taken.
        """
        ...

    async def get_session(self, session_id: str) -> Session:
        """By our id, or by the agent program's."""
        ...

    async def list_sessions(self, *, task_id: str | None = None, live: bool = False) -> list[Session]:
        """Sessions in order of their beginning; only those not ended with `live`."""
        ...

    async def touch_session(self, session_id: str) -> Session:
        """Note a sign of life.

        Raises:
            Refused: it has ended.
        """
        ...

    async def end_session(self, session_id: str, reason: str, *, actor: Actor) -> Session:
        """End a session; leases stay as they are. One that has ended is returned as it is."""
        ...

    # Rules
    async def create_rule(self, new: NewRule, *, actor: Actor) -> Rule:
        """Have a request's answer given again; answers at once every open request that it is for.

        Raises:
            Refused: the actor is no person, or the request cannot have this answer.
            BadInput: the pattern says nothing, or does not fit the request it comes from.
        """
        ...

    async def list_rules(self) -> list[Rule]:
        """Every rule, oldest first, those that were revoked too."""
        ...

    async def revoke_rule(self, rule_id: str, *, actor: Actor) -> Rule: ...

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
        """Make a machine known, or known again.

        Args:
            instance: which installation this is, so that a second one of the same name is noticed.

        Raises:
            Duplicate: another installation of that name is at work, or another name makes the same id.
        """
        ...

    async def heartbeat(self, orchestrator_id: str, *, cycle_at: datetime | None) -> Orchestrator: ...

    async def leave(self, orchestrator_id: str) -> Orchestrator:
        """Say that this machine's scheduler ends: others need not wait until it has been silent too long."""
        ...

    async def list_orchestrators(self) -> list[Orchestrator]: ...

    async def report_agents(self, orchestrator_id: str, agents: Sequence[Agent]) -> None:
        """Replace what is known of this machine's agents; writes events only for what changed."""
        ...

    async def list_agents(self) -> list[Agent]: ...

    # Projects and drafts
    async def create_project(self, new: NewProject, *, actor: Actor) -> Project:
        """Store a project. The same id with the same content again is no error.

        Raises:
            Duplicate: the id is taken by another project.
        """
        ...

    async def get_project(self, project_id: str) -> Project: ...

    async def list_projects(self) -> list[Project]: ...

    async def edit_project(
        self, project_id: str, patch: ProjectPatch, *, actor: Actor, version: int | None = None
    ) -> Project:
        """
        Raises:
            Refused: it is to be completed, and has unfinished tasks.
        """
        ...

    async def delete_project(self, project_id: str, *, actor: Actor, version: int | None = None) -> None:
        """Forget a project; its finished tasks stay.

        Raises:
            Refused: it has unfinished tasks.
        """
        ...

    async def create_draft(self, new: NewDraft, *, actor: Actor) -> Draft: ...

    async def get_draft(self, draft_id: str) -> Draft: ...

    async def list_drafts(self) -> list[Draft]: ...

    async def edit_draft(
        self, draft_id: str, patch: DraftPatch, *, actor: Actor, version: int | None = None
    ) -> Draft: ...

    async def delete_draft(self, draft_id: str, *, actor: Actor, version: int | None = None) -> None: ...

    async def promote_draft(self, draft_id: str, tasks: Sequence[NewTask], *, actor: Actor) -> Draft:
        """Create the tasks that a draft becomes, all or none of them."""
        ...

    # Steering
    async def pause(
        self,
        *,
        actor: Actor,
        reason: str | None = None,
        until: datetime | None = None,
        machine: str | None = None,
    ) -> Pause:
        """Stop intake everywhere, or on one machine alone."""
        ...

    async def resume(self, *, actor: Actor, machine: str | None = None) -> Pause:
        """Take up intake again: everywhere, or where it was paused on one machine alone."""
        ...

    async def get_pause(self, *, machine: str | None = None) -> Pause:
        """Whether intake is paused everywhere, or else on that machine."""
        ...

    async def raise_alert(self, key: str, reason: str, *, until: datetime | None) -> Alert:
        """Let everybody know something until a time; the same again is no event."""
        ...

    async def clear_alert(self, key: str) -> None: ...

    async def list_alerts(self) -> list[Alert]:
        """What holds now, oldest first."""
        ...

    # The log
    async def events(
        self, *, after: int = 0, limit: int = 500, entity_id: str | None = None
    ) -> list[Event]: ...

    async def last_seq(self) -> int: ...

    def watch(self, after: int) -> AsyncIterator[list[Event]]:
        """Batches of events in commit order, from `after` on, as they come; ends when closed."""
        ...

    async def cost_since(self, since: datetime) -> float:
        """What runs started since then have cost, in US dollars, as far as known."""
        ...

    async def usage(self, by: UsageBy, *, since: datetime) -> list[Usage]:
        """What runs started since then have used, added up; the dearest first."""
        ...

    # The server, when it is another machine's
    async def sync_state(self) -> SyncState:
        """How this machine stands with its server."""
        ...

    async def list_pending(self, limit: int | None = None) -> list[Waiting]:
        """Changes that the server does not have yet, in the order they were made; the first so many."""
        ...

    async def list_conflicts(self) -> list[Conflict]:
        """What the server did not take and nobody has settled, oldest first."""
        ...

    async def settle_conflict(self, conflict_id: str, choice: Choice, *, actor: Actor) -> None:
        """Ask for the change again, or drop it.

        Raises:
            NotFound: there is no such conflict; it may be settled already.
            Refused: with `Choice.MINE`, the server still does not take it; the conflict stays.
            Offline: with `Choice.MINE`, the server is away.
        """
        ...

    async def sync_now(self) -> SyncState:
        """Try at once to reach the server and send what waits; returns how it stands then."""
        ...
