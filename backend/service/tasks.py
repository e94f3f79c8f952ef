"""Create, read and edit tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, replace

from backend.clock import from_ms
from backend.errors import BadInput, Duplicate, VersionConflict
from backend.guards import settle
from backend.ids import check_id
from backend.interface import Action
from backend.model import Actor, Json, NewTask, Priority, Queue, Task, TaskFilter, TaskPatch
from backend.pages import Page, TaskPage
from backend.service.context import Context
from backend.service.dependencies import explain_block, weigh
from backend.store.interface import NewEvent
from backend.store.rows import dump

CONTENT = tuple(field.name for field in fields(NewTask))


class Tasks:
    """Tasks as people describe them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(self, new: NewTask, actor: Actor) -> Task:
        """Store a task; what it was created from tells a repeated call from a taken id.

        Raises:
            BadInput, Duplicate, DependencyCycle, NotFound.
        """
        store = self._context.store.tasks
        _check_new(new)
        digest = created_as(new)
        known = store.created_as(new.id)
        if known == digest:
            return self.get(new.id)
        if known is not None:
            raise Duplicate(f"task {new.id} exists already", "choose another id, or edit that task")
        self._check_file(new.file_path)
        blockers = sorted(set(new.blocked_by))
        open_blockers, stuck = weigh(self._context, new.id, blockers)
        queue = Queue.BACKLOG if new.backlog else settle(open_blockers)
        now = self._context.now()
        reason = stuck if queue is Queue.BLOCKED else None
        task = store.insert(new, queue, open_blockers, reason, digest, now)
        if blockers:
            store.set_dependencies(new.id, blockers)
        data = {"title": new.title, "role": new.role, "priority": new.priority}
        event = NewEvent(str(actor), "task", new.id, Action.CREATE, None, queue, 1, reason, data)
        self._context.store.log.append(event, now)
        return task

    def get(self, task_id: str) -> Task:
        """
        Raises:
            NotFound: there is no such task.
        """
        return self._context.read_task(task_id).task

    def find(self, wanted: TaskFilter) -> list[Task]:
        return self._context.store.tasks.find(wanted)

    def page(self, wanted: TaskFilter, page: Page) -> TaskPage:
        """A page in claim order. All tasks of a state are counted already; others are on the first page."""
        store = self._context.store
        rows = store.pages.find(wanted, replace(page, limit=page.limit + 1)) if page.limit else []
        total = None
        if wanted == TaskFilter(queues=wanted.queues, limit=wanted.limit):
            counts = store.tasks.count_queues()
            total = sum(counts.get(queue, 0) for queue in wanted.queues or Queue)
        elif page.after is None:
            total = store.pages.count(wanted)
        return TaskPage(tuple(rows[: page.limit]), len(rows) > page.limit, total)

    def count_queues(self) -> Mapping[Queue, int]:
        return self._context.store.tasks.count_queues()

    def count_waiting(self) -> Mapping[Priority, int]:
        return self._context.store.tasks.count_waiting()

    def edit(self, task_id: str, patch: TaskPatch, actor: Actor, version: int | None) -> Task:
        """Change what a person may edit; what changes nothing leaves the version as it is.

        Raises:
            NotFound, BadInput, DependencyCycle.
            VersionConflict: the task has changed since the caller read it.
        """
        stored = self._context.read_task(task_id)
        task, open_blockers = stored.task, stored.open_blockers
        if version is not None and version != task.version:
            raise VersionConflict(
                f"task {task_id} has changed: it is version {task.version}, not {version}",
                "read it again and decide anew",
            )
        changed = _changes(task, patch)
        if not changed:
            return task
        _check_text(changed)
        for blocker_id in changed.get("blocked_by", ()):
            check_id(blocker_id, "blocker's id")
        if "blocked_by" in changed:
            open_blockers, _ = weigh(self._context, task_id, changed["blocked_by"])
            self._context.store.tasks.set_dependencies(task_id, changed["blocked_by"])
        after = self._settle(replace(task, **changed), open_blockers)
        now = self._context.now()
        after = replace(after, version=task.version + 1, updated_at=from_ms(now))
        if not self._context.store.tasks.save_content(after, open_blockers):
            raise VersionConflict(f"task {task_id} has changed meanwhile", "read it again and decide anew")
        self._context.record(now, actor, "edit", task, after, data={"fields": sorted(changed)})
        return after

    def _settle(self, task: Task, open_blockers: int) -> Task:
        """An edit of the dependencies moves a waiting task as `BLOCK` and `UNBLOCK` do."""
        if task.queue not in (Queue.INCOMING, Queue.BLOCKED):
            return task
        queue = settle(open_blockers)
        if queue is task.queue:
            return explain_block(self._context, task)
        return explain_block(self._context, replace(task, queue=queue, reason=None))

    def _check_file(self, file_path: str | None) -> None:
        owner = None if file_path is None else self._context.store.tasks.find_file(file_path)
        if owner is not None:
            raise Duplicate(
                f"file {file_path} belongs to task {owner} already", "edit that task, or use another file"
            )


def created_as(new: NewTask) -> str:
    """A digest of all that a task is created from."""
    content = {name: getattr(new, name) for name in CONTENT}
    content["blocked_by"] = sorted(set(new.blocked_by))
    if new.scope is None:  # what was created before there were scopes is still the same
        del content["scope"]
    return digest_of(content)


def digest_of(content: Mapping[str, object]) -> str:
    return hashlib.sha256(dump(content).encode()).hexdigest()


def _changes(task: Task, patch: TaskPatch) -> Json:
    wanted = {field.name: getattr(patch, field.name) for field in fields(patch)}
    if patch.blocked_by is not None:
        wanted["blocked_by"] = tuple(sorted(set(patch.blocked_by)))
    return {
        name: value for name, value in wanted.items() if value is not None and value != getattr(task, name)
    }


def _check_new(new: NewTask) -> None:
    check_id(new.id, "task id")
    for blocker_id in new.blocked_by:
        check_id(blocker_id, "blocker's id")
    if new.scope is not None:
        check_id(new.scope, "scope")
    _check_text({"title": new.title, "role": new.role})
    # Without a commit the task's first run starts from where the branch is by then.
    if not new.base_branch:
        raise BadInput(f"task {new.id} has no base", "name the branch it starts from")


def _check_text(values: Mapping[str, object]) -> None:
    for name in ("title", "role"):
        if name in values and not str(values[name]).strip():
            raise BadInput(f"a task needs a {name}", f"give a {name} that is not empty")
