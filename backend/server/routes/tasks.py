"""Tasks: list, create, show, edit; and what belongs to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend.interface import Backend
from backend.model import NewTask, Priority, Queue, Task, TaskFilter, TaskPatch, TaskType
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
    take_actor,
)
from backend.wire import event_json, message_json, run_json, task_json

router = APIRouter()

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
HISTORY_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """What `GET /tasks` understands."""

    queue: tuple[Queue, ...] = ()
    priority: tuple[Priority, ...] = ()
    role: tuple[str, ...] = ()
    type: tuple[TaskType, ...] = ()
    claimed_by: str | None = None
    project_id: str | None = None
    q: str | None = None
    limit: Count = 50
    offset: Count = 0

    def as_filter(self, limit: int | None) -> TaskFilter:
        return TaskFilter(
            queues=frozenset(self.queue),
            priorities=frozenset(self.priority),
            roles=frozenset(self.role),
            project_id=self.project_id,
            text=self.q,
            limit=limit,
        )

    def matches(self, task: Task) -> bool:
        """What the backend's filter does not know."""
        if self.type and task.type not in self.type:
            return False
        return self.claimed_by is None or task.claimed_by == self.claimed_by

    @property
    def by_queue_alone(self) -> bool:
        rest = (self.priority, self.role, self.type, self.claimed_by, self.project_id, self.q)
        return not any(part for part in rest)


@router.get("/tasks")
async def list_tasks(request: Request) -> Response:
    """One page in claim order, and how many there are in all."""
    wanted = read_query(request, TaskQuery)
    page, total = await _page(backend_of(request), wanted)
    return await respond_rows("tasks", page, task_json, total=total, limit=wanted.limit, offset=wanted.offset)


async def _page(backend: Backend, wanted: TaskQuery) -> tuple[list[Task], int]:
    end = wanted.offset + wanted.limit
    if wanted.by_queue_alone:
        counts = await backend.count_queues()
        total = sum(counts.get(queue, 0) for queue in wanted.queue or Queue)
        rows = await backend.list_tasks(wanted.as_filter(end)) if end else []
        return rows[wanted.offset : end], max(total, len(rows))
    rows = [task for task in await backend.list_tasks(wanted.as_filter(None)) if wanted.matches(task)]
    return rows[wanted.offset : end], len(rows)


@router.post("/tasks")
async def create_task(request: Request) -> Response:
    body = await read_body(request)
    actor = take_actor(body)
    body.setdefault("created_by", str(actor))
    task = await backend_of(request).create_task(make(NewTask, body), actor=actor)
    return respond_task(task_json(task), 201)


@router.get("/tasks/{task_id}")
async def get_task(request: Request, task_id: str) -> Response:
    no_query(request)
    return respond_task(task_json(await backend_of(request).get_task(task_id)))


@router.patch("/tasks/{task_id}")
async def edit_task(request: Request, task_id: str) -> Response:
    body = await read_body(request)
    actor = take_actor(body)
    version = asked_version(request)
    patch = make(TaskPatch, body)
    task = await backend_of(request).edit_task(task_id, patch, actor=actor, version=version)
    return respond_task(task_json(task))


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
