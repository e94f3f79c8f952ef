"""What older clients send, as what the service takes.

They know no fence, no commit and no base: they name the worker, and the server finds the live lease.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from backend.errors import BadInput, LeaseLost
from backend.ids import asked_id
from backend.interface import Action, Backend, Transition
from backend.model import Actor, Json, Outcome, Priority, RunEnd, SenderType, Task
from backend.planning import find_project
from backend.server.bodies import ClaimBody, DoneBody, SubmitBody

UNREPORTED = "unreported"
"""In place of a commit: the worker keeps its commits to itself, and nothing is there to be merged."""

HOLDERS = frozenset(
    {Action.SUBMIT, Action.CONTINUE, Action.FINISH_IN_PLACE, Action.RELEASE, Action.FAIL, Action.ESCALATE}
)
"""What the holder of a lease says."""

BASE_BRANCH = "main"
ROLE = "implement"
WORKERS_NAMES = {
    "description": "body",
    "task_type": "type",
    "repository_url": "repo_url",
    "branch_name": "base_branch",
}
PRIORITIES = {"high": Priority.P1, "normal": Priority.P2, "low": Priority.P3}


def complete_task(body: Json, actor: Actor) -> Json:
    """A new task with what its creator left out."""
    _translate(body)
    queue = body.pop("queue", None)
    if queue not in (None, "incoming", "backlog"):
        raise BadInput(f"a task cannot begin in {queue!r}", "give incoming or backlog, or leave it out")
    if queue == "backlog":
        body["backlog"] = True
    body.setdefault("id", asked_id())
    body.setdefault("created_by", str(actor))
    if "title" not in body and ("file_path" in body or "role" in body):
        body["title"] = _title(body.get("file_path"), body["id"])
    if body.get("base_branch") is None:
        body["base_branch"] = BASE_BRANCH
    if body.get("base_sha") is None:
        body["base_sha"] = ""
    return body


def _translate(body: Json) -> None:
    """A task in the words of workers over plain HTTP, in ours; they know no roles."""
    for theirs, ours in WORKERS_NAMES.items():
        if theirs not in body:
            continue
        if ours in body:
            raise BadInput(f"{theirs} and {ours} say the same", "give one of them")
        body[ours] = body.pop(theirs)
        body.setdefault("role", ROLE)
    if isinstance(body.get("priority"), str):
        body["priority"] = PRIORITIES.get(body["priority"], body["priority"])


def complete_plan(body: Json, actor: Actor) -> Json:
    """A new project or draft with what its creator left out."""
    body.setdefault("id", asked_id())
    body.setdefault("created_by", str(actor))
    return body


async def take_from_project(backend: Backend, body: Json) -> Json:
    """A new task, with its project's word where its creator said nothing."""
    named = body.get("project_id")
    project = await find_project(backend, named) if isinstance(named, str) else None
    if project is None:
        return body
    said = {
        "base_branch": project.base_branch,
        "auto_accept": project.auto_accept or None,
        "scope": project.scope,
    }
    return {name: value for name, value in said.items() if value is not None} | body


def _title(file_path: object, task_id: object) -> object:
    if not isinstance(file_path, str):
        return task_id
    stem = PurePosixPath(file_path).stem
    return stem.removeprefix("TASK-") or task_id


def complete_claim(body: ClaimBody) -> Json:
    """A claim with one name for each thing."""
    if body.role_filter is not None and body.roles:
        raise BadInput("roles and role_filter say the same", "give one of them")
    given = body.role_filter or ()
    roles = body.roles or ((given,) if isinstance(given, str) else given)
    return {
        "orchestrator_id": body.orchestrator_id,
        "agent_name": body.agent_name,
        "adapter": body.adapter,
        "run_id": body.run_id or asked_id(),
        "lease_seconds": body.lease_duration_seconds or body.lease_seconds,
        "roles": [role for one in roles for role in one.split(",") if role],
        "task_id": body.task_id,
        "model": body.model,
        "scope": body.scope,
    }


def is_older(body: Json) -> bool:
    """Whether a holder's word comes without what our own client always gives."""
    return "actor" not in body and "lease_token" not in body


def holders_wish(action: Action, said: SubmitBody | DoneBody, task: Task, actor: Actor) -> Transition:
    """A holder's word about `task`, with the fence of its live lease.

    Raises:
        LeaseLost: another worker than the one named holds it.
    """
    for given, holder in ((said.orchestrator_id, task.orchestrator_id), (said.agent_name, task.claimed_by)):
        if given is not None and given != holder:
            raise LeaseLost(
                f"task {task.id} is not held by {given[:80]!r}",
                "stop this run; its branch is kept",
                (f"the task is {task.queue}, held by {task.claimed_by or 'nobody'}",),
            )
    held = task.run_id is not None
    wish = Transition(
        task_id=task.id,
        action=action,
        actor=Actor(SenderType.WORKER, task.claimed_by) if task.claimed_by else actor,
        fence=task.fence if held else None,
        version=said.version,
        run_id=said.run_id,
        run_end=said.run_end,
        head_sha=said.head_sha,
    )
    if isinstance(said, SubmitBody):
        return replace(wish, head_sha=said.head_sha or UNREPORTED, run_end=said.run_end or _run_end(said))
    reason = said.reason or ("given back" if action is Action.RELEASE else None)
    return replace(wish, reason=reason, systemic=said.systemic)


def person(name: object, what: str) -> Actor:
    """The person an older client names."""
    if not isinstance(name, str) or not name.strip():
        raise BadInput(f"{what} names nobody", "give a name")
    return Actor(SenderType.HUMAN, name)


def _run_end(said: SubmitBody) -> RunEnd:
    texts = [text for text in (said.summary, said.execution_notes) if text]
    return RunEnd(
        Outcome.SUBMITTED,
        "the worker submitted it",
        head_sha=said.head_sha,
        commits_count=said.commits_count,
        summary="\n\n".join(texts) or None,
    )
