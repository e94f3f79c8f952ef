"""Projects, which tasks belong to, and drafts, which become tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from octopoid_sdk.calls.pages import read_pages
from octopoid_sdk.calls.tasks import new_id
from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.records import Draft, Project


def create_project(
    *,
    title: str,
    id: str | None = None,
    description: str | None = None,
    base_branch: str | None = None,
    auto_accept: bool | None = None,
    scope: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    created_by: str | None = None,
    actor: str | None = None,
) -> Steps[Project]:
    """Create a project. Creating it again as it is, is no error.

    Args:
        base_branch: where its tasks start from unless they say otherwise.
        auto_accept: whether its tasks are merged without asking unless they say otherwise.

    Raises:
        Duplicate: another project has this id.
    """
    data = {
        "id": id or new_id(),
        "title": title,
        "description": description,
        "base_branch": base_branch,
        "auto_accept": auto_accept,
        "scope": scope,
        "metadata": metadata,
        "created_by": created_by,
        "actor": actor,
    }
    project: Project = yield request("POST", "projects", body=data)
    return project


def get_project(project_id: str) -> Steps[Project]:
    project: Project = yield request("GET", "projects", project_id)
    return project


def list_projects(
    *, status: str | Sequence[str] | None = None, scope: str | None = None, limit: int | None = None
) -> Steps[list[Project]]:
    """Projects, oldest first: all of them, however many pages that takes."""
    wanted = {"status": status, "scope": scope}
    found: list[Project] = yield from read_pages("projects", "projects", params=wanted, limit=limit)
    return found


def update_project(
    project_id: str,
    *,
    title: str | None = None,
    description: str | None = None,
    status: str | None = None,
    base_branch: str | None = None,
    auto_accept: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    actor: str | None = None,
    version: int | None = None,
) -> Steps[Project]:
    """Change a project.

    Args:
        status: active, completed or abandoned.
        version: the version that was read.

    Raises:
        Conflict: it is to be completed and has unfinished tasks.
        VersionConflict: it has changed since that version.
    """
    data = {
        "title": title,
        "description": description,
        "status": status,
        "base_branch": base_branch,
        "auto_accept": auto_accept,
        "metadata": metadata,
        "actor": actor,
    }
    project: Project = yield request("PATCH", "projects", project_id, body=data, version=version)
    return project


def delete_project(project_id: str, *, actor: str | None = None, version: int | None = None) -> Steps[None]:
    """Forget a project; its finished tasks stay.

    Raises:
        Conflict: it has unfinished tasks.
    """
    yield request("DELETE", "projects", project_id, params={"actor": actor}, version=version)


def create_draft(
    *,
    title: str,
    id: str | None = None,
    body: str | None = None,
    project_id: str | None = None,
    file_path: str | None = None,
    tags: Sequence[str] | None = None,
    scope: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    created_by: str | None = None,
    actor: str | None = None,
) -> Steps[Draft]:
    """Create a draft. Creating it again as it is, is no error.

    Raises:
        Duplicate: another draft has this id.
    """
    data = {
        "id": id or new_id(),
        "title": title,
        "body": body,
        "project_id": project_id,
        "file_path": file_path,
        "tags": tags,
        "scope": scope,
        "metadata": metadata,
        "created_by": created_by,
        "actor": actor,
    }
    draft: Draft = yield request("POST", "drafts", body=data)
    return draft


def get_draft(draft_id: str) -> Steps[Draft]:
    draft: Draft = yield request("GET", "drafts", draft_id)
    return draft


def list_drafts(
    *,
    status: str | Sequence[str] | None = None,
    project_id: str | None = None,
    scope: str | None = None,
    limit: int | None = None,
) -> Steps[list[Draft]]:
    """Drafts, oldest first: all of them, however many pages that takes."""
    wanted = {"status": status, "project_id": project_id, "scope": scope}
    found: list[Draft] = yield from read_pages("drafts", "drafts", params=wanted, limit=limit)
    return found


def update_draft(
    draft_id: str,
    *,
    title: str | None = None,
    body: str | None = None,
    status: str | None = None,
    project_id: str | None = None,
    file_path: str | None = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    actor: str | None = None,
    version: int | None = None,
) -> Steps[Draft]:
    """Change a draft.

    Args:
        status: idea, proposed or archived; promoting it makes it promoted.
        version: the version that was read.

    Raises:
        VersionConflict: it has changed since that version.
    """
    data = {
        "title": title,
        "body": body,
        "status": status,
        "project_id": project_id,
        "file_path": file_path,
        "tags": tags,
        "metadata": metadata,
        "actor": actor,
    }
    draft: Draft = yield request("PATCH", "drafts", draft_id, body=data, version=version)
    return draft


def delete_draft(draft_id: str, *, actor: str | None = None, version: int | None = None) -> Steps[None]:
    """Forget a draft; the tasks it became stay."""
    yield request("DELETE", "drafts", draft_id, params={"actor": actor}, version=version)


def promote_draft(
    draft_id: str, tasks: Sequence[Mapping[str, Any]], *, actor: str | None = None
) -> Steps[Draft]:
    """Create the tasks that a draft becomes, all or none of them.

    Args:
        tasks: the fields of each, as `create_task` takes them; title, body and project are the draft's
            unless given.
    """
    described = [{**task, "id": task.get("id") or new_id()} for task in tasks]
    body = {"tasks": described, "actor": actor}
    draft: Draft = yield request("POST", "drafts", draft_id, "promote", body=body)
    return draft
