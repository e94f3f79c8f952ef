"""Tasks: list, create, show, edit; and what belongs to one."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import Refused
from backend.interface import Action, Backend, Transition
from backend.model import OPEN_QUEUES, Json, NewTask, Queue, Task, TaskPatch
from backend.server.bodies import TaskQuery
from backend.server.caller import default_actor, require_task, take_actor
from backend.server.pages import next_cursor, start_of
from backend.server.shapes import complete_task
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
from backend.wire import event_json, message_json, run_json, task_json

router = APIRouter()

HISTORY_LIMIT = 100_000
FACTS_LIMIT = 200
"""Tasks on a page for which the last run is looked up; whoever asks for more asks for the runs too."""


@router.get("/tasks")
async def list_tasks(request: Request) -> Response:
    """One page in claim order, how many there are in all, and where the next page begins."""
    wanted = read_query(request, TaskQuery)
    backend = backend_of(request)
    page, start, total = await _page(backend, wanted)
    facts = await _work_facts(backend, page) if len(page) <= FACTS_LIMIT else {}
    return await respond_rows(
        "tasks",
        page,
        lambda task: task_json(task) | facts.get(task.id, {}),
        total=total,
        limit=wanted.limit,
        offset=start,
        next_cursor=next_cursor(page, start, total),
    )


async def _page(backend: Backend, wanted: TaskQuery) -> tuple[list[Task], int, int]:
    """The page, where it begins, and how many tasks there are in all."""
    if wanted.by_queue_alone:
        start, end = wanted.offset, wanted.offset + wanted.limit
        counts = await backend.count_queues()
        total = sum(counts.get(queue, 0) for queue in wanted.queue or Queue)
        rows = await backend.list_tasks(wanted.as_filter(end)) if end else []
        return rows[start:end], start, max(total, len(rows))
    rows = [task for task in await backend.list_tasks(wanted.as_filter(None)) if wanted.matches(task)]
    start = start_of(rows, wanted)
    return rows[start : start + wanted.limit], start, len(rows)


async def _work_facts(backend: Backend, tasks: list[Task]) -> dict[str, Json]:
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
    task = await backend_of(request).create_task(make(NewTask, complete_task(body, actor)), actor=actor)
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


@router.get("/tasks/{task_id}/runs")
async def task_runs(request: Request, task_id: str) -> Response:
    no_query(request)
    return await respond_rows("runs", await backend_of(request).list_runs(task_id=task_id), run_json)


@router.get("/tasks/{task_id}/messages")
async def task_messages(request: Request, task_id: str) -> Response:
    no_query(request)
    return await respond_rows("messages", await backend_of(request).list_messages(task_id), message_json)


@router.get("/tasks/{task_id}/history")
async def task_history(request: Request, task_id: str) -> Response:
    """Every event of the task, oldest first."""
    no_query(request)
    events = await backend_of(request).events(after=0, limit=HISTORY_LIMIT, entity_id=task_id)
    return await respond_rows("events", events, event_json)


@router.get("/counts")
async def count_queues(request: Request) -> Response:
    no_query(request)
    counts = await backend_of(request).count_queues()
    return respond({"queues": {queue.value: counts.get(queue, 0) for queue in Queue}})
