"""Every address of the API: who may call it, what it takes and what it gives.

The one table that access control and the OpenAPI document are made from. An address that is not in it is
served to nobody over the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from backend.keys import ApiKey, KeyScope, NewKey
from backend.model import (
    Agent,
    Event,
    Evidence,
    Message,
    NewMessage,
    Orchestrator,
    Pause,
    Run,
    RunEnd,
    RunPatch,
    Task,
    TaskPatch,
)
from backend.server.bodies import (
    AcceptBody,
    AnswerBody,
    ClaimBody,
    CostQuery,
    CreatedApiKey,
    DoneBody,
    EventQuery,
    ForceBody,
    HeartbeatBody,
    HoldBody,
    MessageQuery,
    PauseBody,
    Reason,
    RegisterBody,
    RejectBody,
    RenewBody,
    ReportBody,
    RunQuery,
    SubmitBody,
    TaskBody,
    TaskQuery,
    TaskRenewBody,
    WithdrawBody,
)
from backend.server.problems import NoSuchAddress, WrongMethod

READ, WORK, ADMIN = KeyScope.READ, KeyScope.WORK, KeyScope.ADMIN
TASKS = "/api/v1/tasks"
TASK = "/api/v1/tasks/{task_id}"
RUN = "/api/v1/runs/{run_id}"
MESSAGE = "/api/v1/messages/{message_id}"
MACHINE = "/api/v1/orchestrators/{orchestrator_id}"


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

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)


def _task_action(action: str, summary: str, body: type = Reason, needs: KeyScope = WORK) -> Operation:
    name = f"{action}_task"
    return Operation("POST", f"{TASK}/{action}", name, summary, needs, body, answer=Task, etag=True)


OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/api/health", "health", "Whether the server and its store answer", None),
    Operation("GET", "/metrics", "metrics", "Counts in the text format of Prometheus", READ),
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
    Operation("GET", f"{TASK}/runs", "task_runs", "The runs of a task", READ, answer=Run, rows="runs"),
    Operation("GET", f"{TASK}/messages", "task_messages", "A task's conversation", READ,
              answer=Message, rows="messages"),
    Operation("GET", f"{TASK}/history", "task_history", "Every event of a task, oldest first", READ,
              answer=Event, rows="events"),
    Operation("GET", f"{TASK}/evidence", "task_evidence", "What checks said about a task's commits", READ,
              answer=Evidence, rows="evidence"),
    Operation("POST", f"{TASK}/evidence", "add_evidence", "Add a check's result", WORK, Evidence,
              answer=Evidence, statuses=(201,)),
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
    # Answers every other action: with 404, or with why it is none of its own.
    Operation("POST", f"{TASK}/{{action}}", "act_on_task", "", WORK, described=False),
    Operation("GET", "/api/v1/runs", "list_runs", "Runs in order of their start", READ,
              query=RunQuery, answer=Run, rows="runs"),
    Operation("GET", RUN, "get_run", "One run", READ, answer=Run),
    Operation("PATCH", RUN, "edit_run", "Note what is known of a run that goes on", WORK, RunPatch,
              answer=Run),
    Operation("POST", f"{RUN}/end", "end_run", "End a run whose task has moved on", WORK, RunEnd, answer=Run),
    Operation("GET", "/api/v1/messages", "list_messages", "Open questions, or answers not yet delivered",
              READ, query=MessageQuery, answer=Message, rows="messages"),
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
    Operation("POST", f"{MACHINE}/heartbeat", "beat_orchestrator",
              "Note that the machine is alive, and renew its leases", WORK, HeartbeatBody,
              answer=Orchestrator),
    Operation("POST", f"{MACHINE}/renew", "renew_leases", "Renew leases; names those that are lost", WORK,
              RenewBody),
    Operation("PUT", f"{MACHINE}/agents", "report_agents", "Replace what is known of a machine's agents",
              WORK, ReportBody, statuses=(204,)),
    Operation("POST", "/api/v1/leases/expire", "expire_leases", "Release every lease that has run out", WORK,
              answer=Task, rows="tasks"),
    Operation("GET", "/api/v1/pause", "get_pause", "Whether intake is paused", READ, answer=Pause),
    Operation("POST", "/api/v1/pause", "pause", "Stop intake; what runs goes on", WORK, PauseBody,
              answer=Pause, actor=True),
    Operation("POST", "/api/v1/resume", "resume", "Take up intake again", WORK, answer=Pause, actor=True),
    Operation("GET", "/api/v1/cost", "cost", "What runs started since a time have cost", READ,
              query=CostQuery),
    Operation("GET", "/api/v1/events", "list_events", "The log: at once, after a wait, or as a stream", READ,
              query=EventQuery, answer=Event, rows="events"),
    Operation("GET", "/api/v1/events/last", "last_event", "The newest place in the log", READ),
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
