"""Tasks and their dependencies, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.model import ClaimRequest, NewTask, Priority, Queue, Task, TaskFilter
from backend.store.interface import Blocker, StoredTask
from backend.store.rows import (
    content_values,
    created_task,
    dump,
    dump_list,
    new_task_values,
    state_values,
    task_of,
)
from backend.store.sql import Session


class SqlTasks:
    """Thin methods, a statement or two each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._sql = statements

    def insert(
        self, new: NewTask, queue: Queue, open_blockers: int, reason: str | None, created_as: str, now: int
    ) -> Task:
        values = new_task_values(new) | {
            "queue": queue,
            "open_blockers": open_blockers,
            "reason": reason,
            "created_as": created_as,
            "now": now,
        }
        return created_task(self._insert(values), tuple(sorted(set(new.blocked_by))))

    def _insert(self, values: dict[str, object]) -> dict[str, object]:
        """Insert a task; returns the values as they are stored."""
        self._execute(self._sql["insert_task"], values)
        return values

    def read(self, task_id: str) -> StoredTask | None:
        row = self._execute(self._sql["read_task"], {"id": task_id}).fetchone()
        return None if row is None else StoredTask(task_of(row), row["open_blockers"])

    def created_as(self, task_id: str) -> str | None:
        row = self._execute(self._sql["read_created_as"], {"id": task_id}).fetchone()
        return None if row is None else str(row[0])

    def find_file(self, file_path: str) -> str | None:
        row = self._execute(self._sql["find_file"], {"file_path": file_path}).fetchone()
        return None if row is None else str(row[0])

    def find(self, wanted: TaskFilter) -> list[Task]:
        names, values = listing(wanted)
        statement = "\n".join(self._sql[name] for name in names)
        return [task_of(row) for row in self._execute(statement, values)]

    def count_queues(self) -> dict[Queue, int]:
        return {Queue(row[0]): row[1] for row in self._execute(self._sql["count_queues"])}

    def count_waiting(self) -> dict[Priority, int]:
        return {Priority(row[0]): row[1] for row in self._execute(self._sql["count_waiting"])}

    def save_state(self, task: Task, open_blockers: int) -> bool:
        return self._save("save_state", state_values(task), task, open_blockers)

    def save_content(self, task: Task, open_blockers: int) -> bool:
        return self._save("save_content", content_values(task), task, open_blockers)

    def _save(self, name: str, values: dict[str, object], task: Task, open_blockers: int) -> bool:
        return self._execute(self._sql[name], values | {"open_blockers": open_blockers}).rowcount == 1

    def set_open_blockers(self, task_id: str, open_blockers: int) -> None:
        self._execute(self._sql["set_open_blockers"], {"id": task_id, "open_blockers": open_blockers})

    def claim(self, wish: ClaimRequest, attempts: int, now: int, expires: int) -> Task | None:
        values: dict[str, object] = {
            "agent_name": wish.agent_name,
            "orchestrator_id": wish.orchestrator_id,
            "run_id": wish.run_id,
            "scope": wish.scope,
            "attempts": attempts,
            "now": now,
            "expires": expires,
        }
        if wish.task_id is not None:
            name = "claim_task"
            values |= {"task_id": wish.task_id, "roles": dump_list(wish.roles)}
        elif wish.roles:
            name = "claim_next_of_roles"
            values["roles"] = dump_list(wish.roles)
        else:
            name = "claim_next"
        rows = self._execute(self._sql[name], values).fetchall()
        return task_of(rows[0]) if rows else None

    def renew(self, task_id: str, fence: int, orchestrator_id: str, expires: int) -> bool:
        values = {"id": task_id, "fence": fence, "orchestrator_id": orchestrator_id, "expires": expires}
        return self._execute(self._sql["renew_lease"], values).rowcount == 1

    def expired(self, now: int) -> list[str]:
        return [row[0] for row in self._execute(self._sql["list_expired"], {"now": now})]

    def dependents(self, blocker_id: str) -> list[str]:
        return [row[0] for row in self._execute(self._sql["list_dependents"], {"id": blocker_id})]

    def blockers(self, task_id: str) -> list[Blocker]:
        rows = self._execute(self._sql["list_blockers"], {"id": task_id})
        return [Blocker(row[0], Queue(row[1]), row[2]) for row in rows]

    def find_cycle(self, task_id: str, blockers: Sequence[str]) -> str | None:
        values = {"id": task_id, "blockers": dump(list(blockers))}
        row = self._execute(self._sql["find_cycle"], values).fetchone()
        return None if row is None else str(row[0])

    def set_dependencies(self, task_id: str, blockers: Sequence[str]) -> None:
        self._execute(self._sql["delete_dependencies"], {"id": task_id})
        rows = [{"id": task_id, "blocker_id": blocker_id} for blocker_id in blockers]
        self._executemany(self._sql["insert_dependency"], rows)


def listing(wanted: TaskFilter) -> tuple[tuple[str, ...], dict[str, object]]:
    """The blocks that make up a listing, and their values."""
    queue_names, queue_values = filter_queues(wanted)
    names, values = filters(wanted)
    values["limit"] = -1 if wanted.limit is None else wanted.limit
    return ("list_tasks", *queue_names, *names, "in_claim_order"), values | queue_values


def filter_queues(wanted: TaskFilter) -> tuple[tuple[str, ...], dict[str, object]]:
    """The block that keeps to some states, and its value; none for any state."""
    if len(wanted.queues) == 1:
        return ("filter_queue",), {"queue": next(iter(wanted.queues))}
    if wanted.queues:
        return ("filter_queues",), {"queues": dump(sorted(wanted.queues))}
    return (), {}


def filters(wanted: TaskFilter) -> tuple[tuple[str, ...], dict[str, object]]:
    """The blocks that keep to what is wanted of any state, and their values."""
    found: dict[str, tuple[str, object]] = {}
    for name, several in (
        ("priorities", wanted.priorities),
        ("roles", wanted.roles),
        ("types", wanted.types),
    ):
        if several:
            found[f"filter_{name}"] = name, dump(sorted(several))
    for name, one in (
        ("project", wanted.project_id), ("scope", wanted.scope), ("claimed_by", wanted.claimed_by),
    ):  # fmt: skip
        if one is not None:
            found[f"filter_{name}"] = name, one
    if wanted.text:
        found["filter_text"] = "text", f"%{escape_like(wanted.text)}%"
    return tuple(found), dict(found.values())


def escape_like(text: str) -> str:
    """Text for the inside of a LIKE pattern, meaning itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
