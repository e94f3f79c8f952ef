"""Tasks and their dependencies in SQLite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.model import ClaimRequest, NewTask, Queue, Task, TaskFilter
from backend.store.interface import Blocker, StoredTask
from backend.store.rows import QUEUES, content_values, dump, dump_list, new_task_values, state_values, task_of
from backend.store.sql import Session


class SqliteTasks:
    """Thin methods, a statement or two each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._sql = statements

    def insert(
        self, new: NewTask, queue: Queue, open_blockers: int, reason: str | None, created_as: str, now: int
    ) -> None:
        values = new_task_values(new) | {
            "queue": queue,
            "open_blockers": open_blockers,
            "reason": reason,
            "created_as": created_as,
            "now": now,
        }
        self._execute(self._sql["insert_task"], values)

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
        return {QUEUES[row[0]]: row[1] for row in self._execute(self._sql["count_queues"])}

    def save_state(self, task: Task, open_blockers: int) -> bool:
        values = state_values(task)
        values["open_blockers"] = open_blockers
        return self._execute(self._sql["save_state"], values).rowcount == 1

    def save_content(self, task: Task, open_blockers: int) -> bool:
        values = content_values(task)
        values["open_blockers"] = open_blockers
        return self._execute(self._sql["save_content"], values).rowcount == 1

    def set_open_blockers(self, task_id: str, open_blockers: int) -> None:
        self._execute(self._sql["set_open_blockers"], {"id": task_id, "open_blockers": open_blockers})

    def claim(self, wish: ClaimRequest, attempts: int, now: int, expires: int) -> Task | None:
        values: dict[str, object] = {
            "agent_name": wish.agent_name,
            "orchestrator_id": wish.orchestrator_id,
            "run_id": wish.run_id,
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
        return [Blocker(row[0], QUEUES[row[1]], row[2]) for row in rows]

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
    names, values = ["list_tasks"], {"limit": -1 if wanted.limit is None else wanted.limit}
    more: dict[str, object] = {}
    if len(wanted.queues) == 1:
        names.append("filter_queue")
        more["queue"] = next(iter(wanted.queues))
    elif wanted.queues:
        names.append("filter_queues")
        more["queues"] = dump(sorted(wanted.queues))
    if wanted.priorities:
        names.append("filter_priorities")
        more["priorities"] = dump(sorted(wanted.priorities))
    if wanted.roles:
        names.append("filter_roles")
        more["roles"] = dump(sorted(wanted.roles))
    if wanted.project_id is not None:
        names.append("filter_project")
        more["project_id"] = wanted.project_id
    if wanted.text:
        names.append("filter_text")
        more["text"] = f"%{escape_like(wanted.text)}%"
    names.append("in_claim_order")
    return tuple(names), values | more


def escape_like(text: str) -> str:
    """Text for the inside of a LIKE pattern, meaning itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
