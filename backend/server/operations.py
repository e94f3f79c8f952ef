"""Every address of the API: who may call it, what it takes and what it gives.

The one table that access control and the OpenAPI document are made from. An address that is not in it is
served to nobody over the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache

from backend.keys import ApiKey, KeyScope, NewKey
from backend.model import (
    Agent,
    Alert,
    Event,
    Evidence,
    Message,
    NewMessage,
    NewRule,
    Orchestrator,
    Pause,
    Rule,
    Run,
    RunEnd,
    RunPatch,
    Task,
    TaskPatch,
    Usage,
)
from backend.planning import Draft, DraftPatch, Project, ProjectPatch
from backend.server.bodies import (
    AcceptBody,
    AlertBody,
    AnswerBody,
    ClaimBody,
    ClearBody,
    CostQuery,
    CreatedApiKey,
    DoneBody,
    EventQuery,
    ForceBody,
    HeartbeatBody,
    HistoryQuery,
    HoldBody,
    MachineStatusBody,
    MessageQuery,
    PauseBody,
    PauseQuery,
    PendingQuery,
    ReasonBody,
    RegisterBody,
    RejectBody,
    RenewBody,
    ReportBody,
    ResumeBody,
    RowQuery,
    RunQuery,
    SettleBody,
    SplitBody,
    SubmitBody,
    TaskBody,
    TaskQuery,
    TaskRenewBody,
    UsageQuery,
    WithdrawBody,
)
from backend.server.plans import (
    ByQuery,
    DraftBody,
    DraftQuery,
    Imported,
    Poll,
    PollBody,
    ProjectBody,
    ProjectQuery,
    PromoteBody,
)
from backend.server.problems import NoSuchAddress, WrongMethod
from backend.server.worker_bodies import (
    ChatBody,
    ChatEventQuery,
    ChatMessage,
    ChatQuery,
    ClaimWorkBody,
    CompleteBody,
    EnqueueBody,
    FailBody,
    SessionBody,
    SessionEndBody,
    SessionQuery,
    Worker,
    WorkerBeatBody,
    WorkerBody,
    WorkOrder,
)
from backend.sessions import Session
from backend.sync import Conflict, SyncState, Waiting
from backend.why import Reason

READ, WORK, ADMIN = KeyScope.READ, KeyScope.WORK, KeyScope.ADMIN
TASKS = "/api/v1/tasks"
TASK = "/api/v1/tasks/{task_id}"
RUN = "/api/v1/runs/{run_id}"
MESSAGE = "/api/v1/messages/{message_id}"
MACHINE = "/api/v1/orchestrators/{orchestrator_id}"
WORKERS = "/api/v1/workers"
WORKER = "/api/v1/workers/{worker_id}"
SESSIONS = "/api/v1/sessions"
SESSION = "/api/v1/sessions/{session_id}"
PROJECT = "/api/v1/projects/{project_id}"
DRAFT = "/api/v1/drafts/{draft_id}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    method: str
    path: str
    name: str
    summary: str
    needs: KeyScope | None
    """The least scope; None for what needs no key."""
    body: type | None = None
    query: type | None = None
    answer: type | None = None
    rows: str | None = None
    """The answer is an object with a list of `answer` under this name."""
    statuses: tuple[int, ...] = (200,)
    etag: bool = False
    """Answers with the task's version as ETag, and heeds If-Match."""
    actor: bool = False
    """Takes `actor` beside its body's own fields."""
    described: bool = True
    """Whether it is part of the documented API."""
    reads: bool = False
    """No answer of it is kept, though it is no GET: doing it again does no harm."""

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def query_names(self) -> frozenset[str]:
        """What its query may name, but for the scope."""
        return frozenset() if self.query is None else frozenset(one.name for one in fields(self.query))


def _task_action(action: str, summary: str, body: type = ReasonBody, needs: KeyScope = WORK) -> Operation:
    name = f"{action}_task"
    return Operation("POST", f"{TASK}/{action}", name, summary, needs, body, answer=Task, etag=True)


OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/api/health", "health", "Whether the server and its store answer", None),
    Operation("GET", "/metrics", "metrics", "Counts in the text format of Prometheus", READ),
    Operation("GET", "/api/admin/export", "export", "The whole state but keys, as one file", ADMIN),
    Operation("POST", "/api/admin/import", "import", "Take in an export, into an empty store", ADMIN,
              query=ByQuery, answer=Imported),
    Operation("GET", TASKS, "list_tasks", "A page of tasks in claim order", READ,
              query=TaskQuery, answer=Task, rows="tasks"),
    Operation("POST", TASKS, "create_task", "Create a task", WORK, TaskBody, answer=Task, statuses=(201,)),
    Operation("POST", f"{TASKS}/claim", "claim_task", "Claim the first task that fits; 204 if there is none",
              WORK, ClaimBody, answer=Task, statuses=(200, 204)),
    Operation("GET", TASK, "get_task", "One task", READ, answer=Task, etag=True),
    Operation("PATCH", TASK, "edit_task", "Change what a person may edit", WORK, TaskPatch, answer=Task,
              etag=True, actor=True),
    Operation("DELETE", TASK, "delete_task", "Cancel a task nobody works on; its record stays", WORK,
              statuses=(204,), etag=True),
    Operation("GET", f"{TASK}/runs", "task_runs", "The runs of a task", READ, query=RowQuery,
              answer=Run, rows="runs"),
    Operation("GET", f"{TASK}/messages", "task_messages", "A task's conversation", READ,
              query=RowQuery, answer=Message, rows="messages"),
    Operation("GET", f"{TASK}/history", "task_history", "A task's events after one, oldest first", READ,
              query=HistoryQuery, answer=Event, rows="events"),
    Operation("GET", f"{TASK}/evidence", "task_evidence", "What checks said about a task's commits", READ,
              answer=Evidence, rows="evidence"),
    Operation("POST", f"{TASK}/evidence", "add_evidence", "Add a check's result", WORK, Evidence,
              answer=Evidence, statuses=(201,)),
    Operation("GET", "/api/v1/evidence", "list_evidence",
              "What checks said about all tasks that are neither done nor cancelled", READ,
              query=RowQuery, answer=Evidence, rows="evidence"),
    Operation("GET", f"{TASK}/why", "why_task", "Why a task is where it is, as far as the store knows", READ,
              answer=Reason, rows="reasons"),
    Operation("GET", "/api/v1/counts", "count_queues", "How many tasks there are in each state", READ),
    Operation("POST", f"{TASK}/claim", "claim_task_in_place", "Lease a provisional task in place", WORK,
              HoldBody, answer=Task),
    Operation("POST", f"{TASK}/renew", "renew_task", "Renew the lease on a task", WORK, TaskRenewBody,
              answer=Task),
    _task_action("submit", "Hand in finished work", SubmitBody),
    _task_action("continue", "Give the task back to be gone on with", DoneBody),
    _task_action("finish_in_place", "End a lease on a provisional task", DoneBody),
    _task_action("release", "Give the task back", DoneBody),
    _task_action("requeue", "Give the task back; the same as release", DoneBody),
    _task_action("approve", "Approve the work; an orchestrator merges it"),
    _task_action("accept", "Accept the work", AcceptBody),
    _task_action("reject", "Send the work back with a reason", RejectBody),
    _task_action("conflict", "Note that the work does not merge"),
    _task_action("fail", "Give the task up with a reason", DoneBody),
    _task_action("block", "Wait for unfinished dependencies"),
    _task_action("unblock", "Go on, all dependencies being done"),
    _task_action("escalate", "Leave the task to a person", DoneBody),
    _task_action("retry", "Queue a failed, escalated or cancelled task again"),
    _task_action("cancel", "Cancel the task"),
    _task_action("hold", "Put the task into the backlog"),
    _task_action("enqueue", "Take the task out of the backlog"),
    _task_action("force", "Put the task into any state", ForceBody, ADMIN),
    Operation("POST", f"{TASK}/split", "split_task", "Make a task's parts and call it done", WORK, SplitBody,
              answer=Task, etag=True, actor=True),
    # Answers every other action: with 404, or with why it is none of its own.
    Operation("POST", f"{TASK}/{{action}}", "act_on_task", "", WORK, described=False),
    Operation("GET", "/api/v1/runs", "list_runs", "Runs in order of their start", READ,
              query=RunQuery, answer=Run, rows="runs"),
    Operation("GET", RUN, "get_run", "One run", READ, answer=Run),
    Operation("PATCH", RUN, "edit_run", "Note what is known of a run that goes on", WORK, RunPatch,
              answer=Run),
    Operation("POST", f"{RUN}/end", "end_run", "End a run whose task has moved on", WORK, RunEnd, answer=Run),
    Operation("GET", "/api/v1/messages", "list_messages",
              "Open questions, answers not yet delivered, or all of unfinished tasks", READ,
              query=MessageQuery, answer=Message, rows="messages"),
    Operation("POST", "/api/v1/messages", "post_message", "Write into a task's conversation", WORK,
              NewMessage, answer=Message, statuses=(201,)),
    Operation("GET", MESSAGE, "get_message", "One message", READ, answer=Message),
    Operation("POST", f"{MESSAGE}/answer", "answer_message", "Answer a question", WORK, AnswerBody,
              answer=Message, actor=True),
    Operation("POST", f"{MESSAGE}/withdraw", "withdraw_message", "Close a question unanswered", WORK,
              WithdrawBody, answer=Message),
    Operation("POST", f"{MESSAGE}/delivered", "deliver_message", "Note that the answer reached its run", WORK,
              answer=Message),
    Operation("GET", "/api/v1/agents", "list_agents", "Every machine's agents", READ,
              answer=Agent, rows="agents"),
    Operation("GET", "/api/v1/orchestrators", "list_orchestrators", "Every machine", READ,
              answer=Orchestrator, rows="orchestrators"),
    Operation("POST", "/api/v1/orchestrators/register", "register_orchestrator", "Make a machine known", WORK,
              RegisterBody, answer=Orchestrator, statuses=(200, 201)),
    Operation("GET", MACHINE, "get_orchestrator", "One machine", READ, answer=Orchestrator),
    Operation("PATCH", MACHINE, "edit_orchestrator", "Note that a machine's scheduler ends, or is back", WORK,
              MachineStatusBody, answer=Orchestrator),
    Operation("POST", f"{MACHINE}/heartbeat", "beat_orchestrator",
              "Note that the machine is alive, and renew its leases", WORK, HeartbeatBody,
              answer=Orchestrator),
    Operation("POST", f"{MACHINE}/renew", "renew_leases", "Renew leases; names those that are lost", WORK,
              RenewBody),
    Operation("PUT", f"{MACHINE}/agents", "report_agents", "Replace what is known of a machine's agents",
              WORK, ReportBody, statuses=(204,)),
    Operation("POST", "/api/v1/leases/expire", "expire_leases", "Release every lease that has run out", WORK,
              answer=Task, rows="tasks"),
    Operation("GET", "/api/v1/pause", "get_pause", "Whether intake is paused", READ, query=PauseQuery,
              answer=Pause),
    Operation("POST", "/api/v1/pause", "pause", "Stop intake; what runs goes on", WORK, PauseBody,
              answer=Pause, actor=True),
    Operation("POST", "/api/v1/resume", "resume", "Take up intake again", WORK, ResumeBody,
              answer=Pause, actor=True),
    Operation("GET", "/api/v1/cost", "cost", "What runs started since a time have cost", READ,
              query=CostQuery),
    Operation("GET", "/api/v1/usage", "list_usage", "What runs started since a time have used", READ,
              query=UsageQuery, answer=Usage, rows="usage"),
    Operation("GET", "/api/v1/alerts", "list_alerts", "What everybody should know now", READ,
              answer=Alert, rows="alerts"),
    Operation("POST", "/api/v1/alerts", "raise_alert", "Let everybody know something until a time", WORK,
              AlertBody, answer=Alert),
    Operation("POST", "/api/v1/alerts/clear", "clear_alert", "Take an alert back", WORK, ClearBody,
              statuses=(204,)),
    Operation("GET", "/api/v1/rules", "list_rules", "Answers that are given by themselves", READ,
              answer=Rule, rows="rules"),
    Operation("POST", "/api/v1/rules", "create_rule", "Have a request's answer given again", WORK, NewRule,
              answer=Rule, statuses=(201,), actor=True),
    Operation("POST", "/api/v1/rules/{rule_id}/revoke", "revoke_rule", "End a rule for good", WORK,
              answer=Rule, actor=True),
    Operation("GET", "/api/v1/events", "list_events", "The log: at once, after a wait, or as a stream", READ,
              query=EventQuery, answer=Event, rows="events"),
    Operation("GET", "/api/v1/events/last", "last_event", "The newest place in the log", READ),
    Operation("GET", "/api/v1/sync", "sync_state", "Where the state is, and how many changes wait", READ,
              answer=SyncState),
    Operation("GET", "/api/v1/sync/pending", "list_pending", "Changes the server does not have yet", READ,
              query=PendingQuery, answer=Waiting, rows="changes"),
    Operation("GET", "/api/v1/sync/conflicts", "list_conflicts", "Changes the server did not take", READ,
              answer=Conflict, rows="conflicts"),
    Operation("POST", "/api/v1/sync/conflicts/{conflict_id}/settle", "settle_conflict",
              "Ask for a change again, or drop it", WORK, SettleBody, statuses=(204,), actor=True),
    Operation("POST", "/api/v1/sync/now", "sync_now", "Send what waits at once", WORK, answer=SyncState,
              reads=True),
    Operation("POST", "/api/v1/scheduler/poll", "poll", "All that one round of a scheduler asks for", WORK,
              PollBody, answer=Poll, reads=True),
    Operation("GET", "/api/v1/projects", "list_projects", "A page of projects, oldest first", READ,
              query=ProjectQuery, answer=Project, rows="projects"),
    Operation("POST", "/api/v1/projects", "create_project", "Create a project", WORK, ProjectBody,
              answer=Project, statuses=(201,)),
    Operation("GET", PROJECT, "get_project", "One project", READ, answer=Project, etag=True),
    Operation("PATCH", PROJECT, "edit_project", "Change what a person may edit", WORK, ProjectPatch,
              answer=Project, etag=True, actor=True),
    Operation("DELETE", PROJECT, "delete_project", "Forget a project without unfinished tasks", WORK,
              query=ByQuery, statuses=(204,), etag=True),
    Operation("GET", "/api/v1/drafts", "list_drafts", "A page of drafts, oldest first", READ,
              query=DraftQuery, answer=Draft, rows="drafts"),
    Operation("POST", "/api/v1/drafts", "create_draft", "Create a draft", WORK, DraftBody,
              answer=Draft, statuses=(201,)),
    Operation("GET", DRAFT, "get_draft", "One draft", READ, answer=Draft, etag=True),
    Operation("PATCH", DRAFT, "edit_draft", "Change what a person may edit", WORK, DraftPatch,
              answer=Draft, etag=True, actor=True),
    Operation("DELETE", DRAFT, "delete_draft", "Forget a draft; the tasks it became stay", WORK,
              query=ByQuery, statuses=(204,), etag=True),
    Operation("POST", f"{DRAFT}/promote", "promote_draft", "Create the tasks that a draft becomes", WORK,
              PromoteBody, answer=Draft),
    Operation("POST", WORKERS, "register_worker", "Make a worker known", WORK, WorkerBody, answer=Worker,
              statuses=(200, 201)),
    Operation("GET", WORKERS, "list_workers", "Every worker", READ, answer=Worker, rows="workers"),
    Operation("GET", WORKER, "get_worker", "One worker", READ, answer=Worker),
    Operation("POST", f"{WORKER}/heartbeat", "beat_worker",
              "Note that a worker is alive: its leases and sessions go on", WORK, WorkerBeatBody,
              answer=Worker),
    Operation("DELETE", WORKER, "delete_worker", "Take a worker off the list; what it holds is queued again",
              WORK, statuses=(204,)),
    Operation("POST", "/api/v1/queue/enqueue", "enqueue_work", "Queue a task that is there, or a new one",
              WORK, EnqueueBody, answer=WorkOrder, statuses=(200, 201)),
    Operation("POST", "/api/v1/queue/claim", "claim_work",
              "Claim the first task that a worker may have; 204 if there is none", WORK, ClaimWorkBody,
              answer=WorkOrder, statuses=(200, 204)),
    Operation("POST", "/api/v1/queue/complete", "complete_work", "Hand in finished work", WORK, CompleteBody,
              answer=WorkOrder),
    Operation("POST", "/api/v1/queue/fail", "fail_work", "Give work up with a reason", WORK, FailBody,
              answer=WorkOrder),
    Operation("GET", "/api/v1/queue/status", "queue_status", "How much waits, and what workers do", READ),
    Operation("GET", SESSIONS, "list_sessions", "Sessions of agent programs", READ, query=SessionQuery,
              answer=Session, rows="sessions"),
    Operation("POST", SESSIONS, "open_session", "Note a session, or go on with one", WORK, SessionBody,
              answer=Session, statuses=(201,)),
    Operation("GET", SESSION, "get_session", "One session", READ, answer=Session),
    Operation("POST", f"{SESSION}/heartbeat", "touch_session", "Note that a session is alive", WORK,
              answer=Session),
    Operation("POST", f"{SESSION}/end", "end_session", "End a session with a reason", WORK, SessionEndBody,
              answer=Session, actor=True),
    Operation("DELETE", SESSION, "delete_session", "End a session; its record stays", WORK, statuses=(204,)),
    Operation("GET", "/api/v1/chat/messages", "chat_messages",
              "What was said, in its place in the log: at once, or after a wait", READ, query=ChatQuery,
              answer=ChatMessage, rows="messages"),
    Operation("POST", "/api/v1/chat/messages", "post_chat_message", "Ask, answer or note something", WORK,
              ChatBody, answer=ChatMessage, statuses=(201,)),
    Operation("GET", "/api/v1/chat/events", "chat_events", "The log of messages", READ, query=ChatEventQuery,
              answer=Event, rows="events"),
    # The address of the WebSocket, which is no operation of HTTP: see docs/server.md.
    Operation("GET", "/api/v1/chat/ws", "chat_socket", "", READ, described=False),
    Operation("GET", "/api/v1/keys", "list_keys", "Every key, without its secret", ADMIN,
              answer=ApiKey, rows="keys"),
    Operation("POST", "/api/v1/keys", "create_key", "Make a key; its text is in this answer alone", ADMIN,
              NewKey, answer=CreatedApiKey, statuses=(201,), actor=True),
    Operation("POST", "/api/v1/keys/{key_id}/revoke", "revoke_key", "End a key for good", ADMIN,
              answer=ApiKey, actor=True),
)  # fmt: skip


def find_operation(method: str, path: str) -> Operation:
    """The operation that a request asks for.

    Raises:
        NoSuchAddress, WrongMethod: there is none.
    """
    matching = [operation for operation in OPERATIONS if _pattern(operation.path).fullmatch(path)]
    if not matching:
        raise NoSuchAddress(f"{path[:80]!r} is no address of this server", "addresses begin with /api/v1")
    found = next((operation for operation in matching if operation.method == method), None)
    if found is None:
        allowed = _methods(matching)
        raise WrongMethod(f"{method[:20]!r} is not possible at {path[:80]!r}", f"allowed: {allowed}")
    return found


def _methods(operations: Iterable[Operation]) -> str:
    return ", ".join(sorted({operation.method for operation in operations}))


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{\w+}", "[^/]+", template))
