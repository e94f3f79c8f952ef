"""Projects and drafts: make, read, edit and delete them, and let a draft become tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import TypeVar

from backend.clock import from_ms
from backend.errors import BadInput, Duplicate, NotFound, Refused, VersionConflict
from backend.ids import check_id
from backend.model import Actor, Json, NewTask
from backend.planning import (
    Draft,
    DraftPatch,
    DraftStatus,
    NewDraft,
    NewProject,
    Project,
    ProjectPatch,
    ProjectStatus,
)
from backend.service.context import Context
from backend.service.tasks import Tasks, digest_of

P = TypeVar("P", Project, Draft)
NAMED = 5
"""Unfinished tasks that a refusal names."""


class Projects:
    """What tasks belong to. A task may name a project before there is one: then it is only a label."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store.projects

    def create(self, new: NewProject, actor: Actor) -> Project:
        """Store a project. The same id with the same content again is no error.

        Raises:
            BadInput, Duplicate.
        """
        check_id(new.id, "project id")
        _check_scope(new.scope)
        _check_text({"title": new.title}, "project")
        digest = digest_of(asdict(new))
        known = self._store.read(new.id)
        if known is not None and known.created_as == digest:
            return known.project
        if known is not None:
            raise Duplicate(f"project {new.id} exists already", "choose another id, or edit that project")
        now = self._context.now()
        self._store.insert(new, digest, now)
        states = (None, ProjectStatus.ACTIVE)
        data = {"title": new.title}
        self._context.note(now, actor, "project", new.id, "create", states=states, data=data)
        return self.get(new.id)

    def get(self, project_id: str) -> Project:
        """
        Raises:
            NotFound: there is no such project.
        """
        found = self._store.read(project_id)
        if found is None:
            raise NotFound(f"there is no project {project_id[:80]!r}", "octopoid projects lists them")
        return found.project

    def find_all(self) -> list[Project]:
        return [found.project for found in self._store.find_all()]

    def edit(self, project_id: str, patch: ProjectPatch, actor: Actor, version: int | None) -> Project:
        """Change what a person may edit; what changes nothing leaves the version as it is.

        Raises:
            NotFound, BadInput, VersionConflict.
            Refused: it is to be completed, and has unfinished tasks.
        """
        project = self.get(project_id)
        _check_version("project", project, version)
        changed = _changes(project, patch)
        if not changed:
            return project
        _check_text(changed, "project")
        now = self._context.now()
        if "status" in changed:
            completed = changed["status"] is ProjectStatus.COMPLETED
            if completed:
                self._refuse_unfinished(project_id, "completed")
            changed["completed_at"] = from_ms(now) if completed else None
        after = replace(project, **changed, version=project.version + 1, updated_at=from_ms(now))
        if not self._store.save(after):
            raise _changed("project", project_id)
        states = (project.status, after.status)
        data = {"fields": sorted(changed)}
        self._context.note(now, actor, "project", project_id, "edit", states=states, data=data)
        return after

    def delete(self, project_id: str, actor: Actor, version: int | None) -> None:
        """Forget a project; its finished tasks stay, and keep its name.

        Raises:
            NotFound, VersionConflict.
            Refused: it has unfinished tasks.
        """
        project = self.get(project_id)
        _check_version("project", project, version)
        self._refuse_unfinished(project_id, "deleted")
        if not self._store.delete(project_id, project.version):
            raise _changed("project", project_id)
        states = (project.status, None)
        data = {"title": project.title}
        now = self._context.now()
        self._context.note(now, actor, "project", project_id, "delete", states=states, data=data)

    def _refuse_unfinished(self, project_id: str, done: str) -> None:
        found = self._store.unfinished(project_id, NAMED + 1)
        if found:
            names = ", ".join(found[:NAMED]) + (" and more" if len(found) > NAMED else "")
            reason = f"it has unfinished tasks: {names}"
            raise Refused(
                f"project {project_id} can not be {done}", f"{reason}; finish or cancel them", (reason,)
            )


class Drafts:
    """Documents that are to become tasks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store.drafts
        self._tasks = Tasks(context)

    def create(self, new: NewDraft, actor: Actor) -> Draft:
        """Store a draft. The same id with the same content again is no error.

        Raises:
            BadInput, Duplicate.
        """
        check_id(new.id, "draft id")
        _check_scope(new.scope)
        _check_text({"title": new.title}, "draft")
        digest = digest_of(asdict(new))
        known = self._store.read(new.id)
        if known is not None and known.created_as == digest:
            return known.draft
        if known is not None:
            raise Duplicate(f"draft {new.id} exists already", "choose another id, or edit that draft")
        now = self._context.now()
        self._store.insert(new, digest, now)
        states = (None, DraftStatus.IDEA)
        self._context.note(now, actor, "draft", new.id, "create", states=states, data={"title": new.title})
        return self.get(new.id)

    def get(self, draft_id: str) -> Draft:
        """
        Raises:
            NotFound: there is no such draft.
        """
        found = self._store.read(draft_id)
        if found is None:
            raise NotFound(f"there is no draft {draft_id[:80]!r}", "GET /api/v1/drafts lists them")
        return found.draft

    def find_all(self) -> list[Draft]:
        return [found.draft for found in self._store.find_all()]

    def edit(self, draft_id: str, patch: DraftPatch, actor: Actor, version: int | None) -> Draft:
        """Change what a person may edit; what changes nothing leaves the version as it is.

        Raises:
            NotFound, BadInput, VersionConflict.
            Refused: it is to be promoted, and has become no task.
        """
        draft = self.get(draft_id)
        _check_version("draft", draft, version)
        changed = _changes(draft, patch)
        if not changed:
            return draft
        _check_text(changed, "draft")
        if changed.get("status") is DraftStatus.PROMOTED and not draft.task_ids:
            raise Refused(f"draft {draft_id} can not be promoted", "it has become no task yet: promote it")
        return self._save(draft, changed, actor, "edit")

    def promote(self, draft_id: str, tasks: Sequence[NewTask], actor: Actor) -> Draft:
        """Create the tasks that a draft becomes, all or none; promoting again adds to them.

        Raises:
            NotFound: there is no such draft, or a task waits for one that does not exist.
            BadInput, Duplicate, DependencyCycle: one of the tasks can not be.
        """
        draft = self.get(draft_id)
        if not tasks:
            raise BadInput(f"draft {draft_id} would become no task", "give at least one")
        made = [self._tasks.create(new, actor).id for new in tasks]
        task_ids = tuple(dict.fromkeys((*draft.task_ids, *made)))
        changed = {"status": DraftStatus.PROMOTED, "task_ids": task_ids}
        if (draft.status, draft.task_ids) == (DraftStatus.PROMOTED, task_ids):
            return draft
        return self._save(draft, changed, actor, "promote")

    def delete(self, draft_id: str, actor: Actor, version: int | None) -> None:
        """Forget a draft; the tasks it became stay.

        Raises:
            NotFound, VersionConflict.
        """
        draft = self.get(draft_id)
        _check_version("draft", draft, version)
        if not self._store.delete(draft_id, draft.version):
            raise _changed("draft", draft_id)
        states = (draft.status, None)
        data = {"title": draft.title}
        self._context.note(self._context.now(), actor, "draft", draft_id, "delete", states=states, data=data)

    def _save(self, draft: Draft, changed: Json, actor: Actor, kind: str) -> Draft:
        now = self._context.now()
        after = replace(draft, **changed, version=draft.version + 1, updated_at=from_ms(now))
        if not self._store.save(after):
            raise _changed("draft", draft.id)
        states = (draft.status, after.status)
        data: Json = {"fields": sorted(changed)}
        if kind == "promote":
            data = {"task_ids": list(after.task_ids)}
        self._context.note(now, actor, "draft", draft.id, kind, states=states, data=data)
        return after


def _changes(before: P, patch: ProjectPatch | DraftPatch) -> Json:
    wanted = {field.name: getattr(patch, field.name) for field in fields(patch)}
    return {
        name: value for name, value in wanted.items() if value is not None and value != getattr(before, name)
    }


def _check_version(what: str, found: P, version: int | None) -> None:
    if version is not None and version != found.version:
        raise VersionConflict(
            f"{what} {found.id} has changed: it is version {found.version}, not {version}",
            "read it again and decide anew",
        )


def _changed(what: str, its_id: str) -> VersionConflict:
    return VersionConflict(f"{what} {its_id} has changed meanwhile", "read it again and decide anew")


def _check_text(values: Mapping[str, object], what: str) -> None:
    if "title" in values and not str(values["title"]).strip():
        raise BadInput(f"a {what} needs a title", "give a title that is not empty")


def _check_scope(scope: str | None) -> None:
    if scope is not None:
        check_id(scope, "scope")
