"""Projects and drafts, by the statements of either dialect."""

from __future__ import annotations

from collections.abc import Mapping

from backend.clock import from_ms, to_ms
from backend.planning import Draft, DraftStatus, NewDraft, NewProject, Project, ProjectStatus
from backend.store.interface import StoredDraft, StoredProject
from backend.store.rows import Row, dump_fields, dump_list, ms_of, read_fields, read_list, when
from backend.store.sql import Session


class SqlProjects:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def insert(self, new: NewProject, created_as: str, now: int) -> None:
        values = {
            "id": new.id,
            "title": new.title,
            "description": new.description,
            "base_branch": new.base_branch,
            "auto_accept": int(new.auto_accept),
            "scope": new.scope,
            "created_by": new.created_by,
            "metadata": dump_fields(new.metadata),
            "created_as": created_as,
            "now": now,
        }
        self._execute(self._sql["insert_project"], values)

    def read(self, project_id: str) -> StoredProject | None:
        row = self._execute(self._sql["read_project"], {"id": project_id}).fetchone()
        return None if row is None else StoredProject(project_of(row), row["created_as"])

    def find_all(self) -> list[StoredProject]:
        rows = self._execute(self._sql["list_projects"])
        return [StoredProject(project_of(row), row["created_as"]) for row in rows]

    def save(self, project: Project) -> bool:
        values = {
            "id": project.id,
            "title": project.title,
            "description": project.description,
            "status": project.status,
            "base_branch": project.base_branch,
            "auto_accept": int(project.auto_accept),
            "completed_at": ms_of(project.completed_at),
            "metadata": dump_fields(project.metadata),
            "version": project.version,
            "updated_at": to_ms(project.updated_at),
        }
        return self._execute(self._sql["save_project"], values).rowcount == 1

    def delete(self, project_id: str, version: int) -> bool:
        values = {"id": project_id, "version": version}
        return self._execute(self._sql["delete_project"], values).rowcount == 1

    def unfinished(self, project_id: str, limit: int) -> list[str]:
        values = {"id": project_id, "limit": limit}
        return [row[0] for row in self._execute(self._sql["list_unfinished"], values)]


class SqlDrafts:
    """Thin methods, one statement each."""

    def __init__(self, connection: Session, statements: Mapping[str, str]) -> None:
        self._execute = connection.execute
        self._sql = statements

    def insert(self, new: NewDraft, created_as: str, now: int) -> None:
        values = {
            "id": new.id,
            "title": new.title,
            "body": new.body,
            "project_id": new.project_id,
            "file_path": new.file_path,
            "tags": dump_list(new.tags),
            "scope": new.scope,
            "created_by": new.created_by,
            "metadata": dump_fields(new.metadata),
            "created_as": created_as,
            "now": now,
        }
        self._execute(self._sql["insert_draft"], values)

    def read(self, draft_id: str) -> StoredDraft | None:
        row = self._execute(self._sql["read_draft"], {"id": draft_id}).fetchone()
        return None if row is None else StoredDraft(draft_of(row), row["created_as"])

    def find_all(self) -> list[StoredDraft]:
        rows = self._execute(self._sql["list_drafts"])
        return [StoredDraft(draft_of(row), row["created_as"]) for row in rows]

    def save(self, draft: Draft) -> bool:
        values = {
            "id": draft.id,
            "title": draft.title,
            "body": draft.body,
            "status": draft.status,
            "project_id": draft.project_id,
            "file_path": draft.file_path,
            "tags": dump_list(draft.tags),
            "task_ids": dump_list(draft.task_ids),
            "metadata": dump_fields(draft.metadata),
            "version": draft.version,
            "updated_at": to_ms(draft.updated_at),
        }
        return self._execute(self._sql["save_draft"], values).rowcount == 1

    def delete(self, draft_id: str, version: int) -> bool:
        return self._execute(self._sql["delete_draft"], {"id": draft_id, "version": version}).rowcount == 1


def project_of(row: Row) -> Project:
    return Project(
        id=row["id"],
        title=row["title"],
        description=row["description"],
        status=ProjectStatus(row["status"]),
        base_branch=row["base_branch"],
        auto_accept=bool(row["auto_accept"]),
        scope=row["scope"],
        version=row["version"],
        created_by=row["created_by"],
        created_at=from_ms(row["created_at"]),
        updated_at=from_ms(row["updated_at"]),
        completed_at=when(row["completed_at"]),
        metadata=read_fields(row["metadata"]),
    )


def draft_of(row: Row) -> Draft:
    return Draft(
        id=row["id"],
        title=row["title"],
        body=row["body"],
        status=DraftStatus(row["status"]),
        project_id=row["project_id"],
        file_path=row["file_path"],
        tags=read_list(row["tags"]),
        task_ids=read_list(row["task_ids"]),
        scope=row["scope"],
        version=row["version"],
        created_by=row["created_by"],
        created_at=from_ms(row["created_at"]),
        updated_at=from_ms(row["updated_at"]),
        metadata=read_fields(row["metadata"]),
    )
