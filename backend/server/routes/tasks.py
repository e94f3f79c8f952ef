"""Tasks: list, create, show, edit; and what belongs to one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import Refused
from backend.interface import Action, Backend, Transition
from backend.model import OPEN_QUEUES, Json, NewTask, Priority, Queue, Task, TaskPatch
from backend.pages import MessageFilter, RunFilter
from backend.server.bodies import HistoryQuery, RowQuery, SplitBody, TaskQuery
from backend.server.caller import default_actor, require_task, take_actor
from backend.server.pages import find_page, read_messages, read_runs, respond_span
from backend.server.shapes import complete_task, take_from_project
from backend.server.wire import (
    asked_version,
    backend_of,
    make,
    no_query,
    read_body,
    read_query,
    respond,
    respond_rows,
    respond_task,
)
from backend.wire import event_json, from_json, message_json, run_json, task_json, to_json

router = APIRouter()

FACTS_LIMIT = 200
"""Tasks on a page for which the last run is looked up; whoever asks for more asks for the runs too."""


@router.get("/tasks")
async def list_tasks(request: Request) -> Response:
    """One page in claim order, how many there are in all, and where the next page begins."""
    wanted = read_query(request, TaskQuery)
    backend = backend_of(request)
    found = await find_page(backend, wanted)
    facts = await _work_facts(backend, found.tasks) if len(found.tasks) <= FACTS_LIMIT else {}
    return await respond_rows(
        "tasks",
        found.tasks,
        lambda task: task_json(task) | facts.get(task.id, {}),
        total=found.total,
        limit=wanted.limit,
        offset=found.start,
        next_cursor=found.next_cursor,
    )


async def _work_facts(backend: Backend, tasks: Sequence[Task]) -> dict[str, Json]:
    """What the last run with work said of it, for tasks that have been handed in."""
    handed_in = [task.id for task in tasks if task.submitted_at is not None]
    found = await asyncio.gather(*(backend.list_runs(task_id=task_id) for task_id in handed_in))
    facts: dict[str, Json] = {}
    for task_id, runs in zip(handed_in, found, strict=True):
        last = next((run for run in reversed(runs) if run.commits_count is not None), None)
        if last is not None:
            facts[task_id] = {"commits_count": last.commits_count, "turns_used": last.turns}
    return facts


@router.post("/tasks")
async def create_task(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    backend = backend_of(request)
    body = await take_from_project(backend, body)
    task = await backend.create_task(make(NewTask, complete_task(body, actor)), actor=actor)
    return respond_task(task_json(task), 201)


@router.get("/tasks/{task_id}")
async def get_task(request: Request, task_id: str) -> Response:
    no_query(request)
    backend = backend_of(request)
    task = await backend.get_task(task_id)
    facts = await _work_facts(backend, [task])
    return respond_task(task_json(task) | facts.get(task_id, {}))


@router.patch("/tasks/{task_id}")
async def edit_task(request: Request, task_id: str) -> Response:
    body = await read_body(request)
    actor = take_actor(request, body)
    version = asked_version(request)
    patch = make(TaskPatch, body)
    await require_task(request, task_id)
    task = await backend_of(request).edit_task(task_id, patch, actor=actor, version=version)
    return respond_task(task_json(task))


@router.delete("/tasks/{task_id}")
async def delete_task(request: Request, task_id: str) -> Response:
    """Cancel a task that nobody works on. Its record and its history stay."""
    no_query(request)
    await require_task(request, task_id)
    backend = backend_of(request)
    task = await backend.get_task(task_id)
    if task.run_id is not None:
        raise Refused(f"task {task_id} cannot be deleted", "cancel it", (f"{task.claimed_by} works on it",))
    if task.queue in OPEN_QUEUES:
        actor, version = default_actor(request), asked_version(request) or task.version
        await backend.transition(Transition(task_id, Action.CANCEL, actor, reason="deleted", version=version))
    elif task.queue is Queue.DONE:
        raise Refused(f"task {task_id} cannot be deleted", "it is done; its record stays", ("it is done",))
    return Response(status_code=204)


@router.get("/tasks/{task_id}/why")
async def why(request: Request, task_id: str) -> Response:
    """Why the task is where it is, as far as the store knows."""
    no_query(request)
    return await respond_rows("reasons", await backend_of(request).why(task_id), to_json)


@router.get("/tasks/{task_id}/runs")
async def task_runs(request: Request, task_id: str) -> Response:
    wanted = read_query(request, RowQuery)
    return await respond_span("runs", wanted, read_runs(backend_of(request), RunFilter(task_id)), run_json)


@router.get("/tasks/{task_id}/messages")
async def task_messages(request: Request, task_id: str) -> Response:
    wanted = read_query(request, RowQuery)
    read = read_messages(backend_of(request), MessageFilter(task_id))
    return await respond_span("messages", wanted, read, message_json)


@router.get("/tasks/{task_id}/history")
async def task_history(request: Request, task_id: str) -> Response:
    """The events of the task after one, oldest first."""
    wanted = read_query(request, HistoryQuery)
    events = await backend_of(request).events(after=wanted.after, limit=wanted.limit, entity_id=task_id)
    return await respond_rows("events", events, event_json)


@router.get("/counts")
async def count_queues(request: Request) -> Response:
    no_query(request)
    counts = await backend_of(request).count_queues()
    waiting = await backend_of(request).count_waiting()
    return respond(
        {
            "queues": {queue.value: counts.get(queue, 0) for queue in Queue},
            "waiting": {priority.value: waiting.get(priority, 0) for priority in Priority},
        }
    )


@router.post("/tasks/{task_id}/split")
async def split_task(request: Request, task_id: str) -> Response:
    """Make a task's parts and call it done."""
    body = await read_body(request)
    actor = take_actor(request, body)
    given = make(SplitBody, body)
    await require_task(request, task_id)
    parts = [from_json(NewTask, part, strict=True) for part in given.parts]
    version = asked_version(request) if given.version is None else given.version
    task = await backend_of(request).split_task(task_id, parts, actor=actor, version=version)
    return respond_task(task_json(task))
