"""Making and changing projects and drafts, letting a draft become tasks, and revoking rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from backend.clean import clean_line
from backend.errors import BadInput
from backend.ids import new_id
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
from octopoid_tui.actions import Context
from octopoid_tui.host import Host
from octopoid_tui.screens.asking import ask_text
from octopoid_tui.screens.dialogs.choose import Choose
from octopoid_tui.screens.dialogs.confirm import Confirm
from octopoid_tui.screens.dialogs.form import Field, Values
from octopoid_tui.screens.filling import YES_NO, Known, Typed, fill

P = TypeVar("P")

PROJECT_FIELDS = (
    Field("title", "Title", "what it is about, in one line"),
    Field("description", "Description", long=True),
    Field("branch", "Base branch", "where its tasks start from; the main branch when empty"),
    Field("auto", "Auto-accept", "yes: merge its tasks without asking when their checks pass"),
)
DRAFT_FIELDS = (
    Field("title", "Title", "what it is about, in one line"),
    Field("body", "Text", long=True),
    Field("project", "Project", "a project's id; none when empty"),
)
PROJECT_MEANINGS: Mapping[ProjectStatus, str] = MappingProxyType(
    {
        ProjectStatus.ACTIVE: "work goes on",
        ProjectStatus.COMPLETED: "all of its tasks are finished",
        ProjectStatus.ABANDONED: "nothing more is planned",
    }
)
DRAFT_MEANINGS: Mapping[DraftStatus, str] = MappingProxyType(
    {
        DraftStatus.IDEA: "written down",
        DraftStatus.PROPOSED: "ready to be decided on",
        DraftStatus.PROMOTED: "it has become tasks",
        DraftStatus.ARCHIVED: "put away",
    }
)


S = TypeVar("S", ProjectStatus, DraftStatus)


async def new_planned(host: Host, context: Context) -> bool:
    if context.pane == "drafts":
        return await fill(
            host, "new-draft", "New draft", DRAFT_FIELDS, _problems,
            lambda typed: _make_draft(host, typed.values),
        )  # fmt: skip
    return await fill(
        host, "new-project", "New project", PROJECT_FIELDS, _problems,
        lambda typed: _make_project(host, typed.values),
    )  # fmt: skip


async def _make_project(host: Host, values: Values) -> str:
    desk = host.desk
    made = await desk.backend.create_project(
        NewProject(
            new_id(), values["title"].strip(), str(desk.actor), values["description"],
            values["branch"].strip() or None, YES_NO[values["auto"].strip().lower()],
        ),
        actor=desk.actor,
    )  # fmt: skip
    return f"created project {made.id}: {made.title}"


async def _make_draft(host: Host, values: Values) -> str:
    desk, project_id = host.desk, values["project"].strip() or None
    if project_id is not None:
        await desk.backend.get_project(project_id)
    made = await desk.backend.create_draft(
        NewDraft(new_id(), values["title"].strip(), str(desk.actor), values["body"], project_id),
        actor=desk.actor,
    )
    return f"created draft {made.id}: {made.title}"


async def edit_planned(host: Host, context: Context) -> bool:
    backend = host.desk.backend
    if context.project is not None:
        project = await backend.get_project(context.project.id)
        return await fill(
            host, f"edit-project:{project.id}", f"Edit project {project.id}", PROJECT_FIELDS, _problems,
            lambda typed: _change_project(host, project.id, typed),
            known=_known_project(project),
            read=lambda: _read(backend.get_project(project.id), _known_project),
        )  # fmt: skip
    if context.draft is not None:
        draft = await backend.get_draft(context.draft.id)
        return await fill(
            host, f"edit-draft:{draft.id}", f"Edit draft {draft.id}", DRAFT_FIELDS, _problems,
            lambda typed: _change_draft(host, draft.id, typed),
            known=_known_draft(draft),
            read=lambda: _read(backend.get_draft(draft.id), _known_draft),
        )  # fmt: skip
    return False


async def _read(found: Awaitable[P], known: Callable[[P], Known]) -> Known:
    return known(await found)


def _known_project(project: Project) -> Known:
    values = {
        "title": project.title, "description": project.description,
        "branch": project.base_branch or "", "auto": "yes" if project.auto_accept else "no",
    }  # fmt: skip
    return Known(values, project.version)


def _known_draft(draft: Draft) -> Known:
    return Known({"title": draft.title, "body": draft.body, "project": draft.project_id or ""}, draft.version)


async def _change_project(host: Host, project_id: str, typed: Typed) -> str:
    """Change only what the person changed: what is not touched may be another by now."""
    values, changed, desk = typed.values, typed.changed, host.desk
    if not changed:
        return f"nothing to change in project {project_id}"
    branch = values["branch"].strip()
    if "branch" in changed and not branch:
        raise BadInput("a base branch cannot be taken away", "name another, such as the main branch")
    patch = ProjectPatch(
        title=values["title"].strip() if "title" in changed else None,
        description=values["description"] if "description" in changed else None,
        base_branch=branch if "branch" in changed else None,
        auto_accept=YES_NO[values["auto"].strip().lower()] if "auto" in changed else None,
    )
    await desk.backend.edit_project(project_id, patch, actor=desk.actor, version=typed.known.version)
    return f"changed project {project_id}"


async def _change_draft(host: Host, draft_id: str, typed: Typed) -> str:
    values, changed, desk = typed.values, typed.changed, host.desk
    if not changed:
        return f"nothing to change in draft {draft_id}"
    project_id = values["project"].strip() if "project" in changed else None
    if project_id == "":
        raise BadInput("a draft cannot leave its project", "name another project")
    if project_id is not None:
        await desk.backend.get_project(project_id)
    patch = DraftPatch(
        title=values["title"].strip() if "title" in changed else None,
        body=values["body"] if "body" in changed else None,
        project_id=project_id,
    )
    await desk.backend.edit_draft(draft_id, patch, actor=desk.actor, version=typed.known.version)
    return f"changed draft {draft_id}"


def _problems(values: Values) -> dict[str, str]:
    found = {}
    if not values["title"].strip():
        found["title"] = "a title is needed"
    if values.get("auto", "").strip().lower() not in YES_NO:
        found["auto"] = "yes or no"
    return found


async def state_planned(host: Host, context: Context) -> bool:
    backend, actor = host.desk.backend, host.desk.actor
    if context.project is not None:
        project = await backend.get_project(context.project.id)
        to = await _choose_state(host, f"Project {project.title}", PROJECT_MEANINGS, project.status)
        if to is None:
            return False
        await backend.edit_project(project.id, ProjectPatch(status=to), actor=actor, version=project.version)
        host.flash(f"project {project.id} is {to} now")
        return True
    if context.draft is None:
        return False
    draft = await backend.get_draft(context.draft.id)
    # A draft is promoted by becoming tasks, and by nothing else.
    promoted = DraftStatus.PROMOTED
    states = {one: text for one, text in DRAFT_MEANINGS.items() if one is not promoted or draft.task_ids}
    state = await _choose_state(host, f"Draft {draft.title}", states, draft.status)
    if state is None:
        return False
    await backend.edit_draft(draft.id, DraftPatch(status=state), actor=actor, version=draft.version)
    host.flash(f"draft {draft.id} is {state} now")
    return True


async def _choose_state(host: Host, title: str, meanings: Mapping[S, str], now: S) -> S | None:
    """Another state than that of now; None when there is to be none."""
    shown = [(state.value, text) for state, text in meanings.items()]
    chosen = await host.push_screen_wait(Choose(title, shown, now))
    return None if chosen is None or chosen == now else type(now)(chosen)


async def promote(host: Host, context: Context) -> bool:
    """Let a draft become tasks: one for each line, all with the draft's text."""
    draft = context.draft
    if draft is None:
        return False
    from scheduler.desk import TaskDraft  # brings git with it: not before it is needed

    key = f"promote:{draft.id}"
    host.drafts.setdefault(key, clean_line(draft.title, 200))
    again = f" It has become {len(draft.task_ids)} already." if draft.task_ids else ""
    text = await ask_text(
        host, key, f"Turn draft {draft.id} into tasks",
        f"One line for each task: its title. The draft's text is the description of each.{again}", "create",
    )  # fmt: skip
    if text is None:
        return False
    titles = [line.strip() for line in text.splitlines() if line.strip()]
    wanted = [TaskDraft(title, draft.body, project_id=draft.project_id) for title in titles]
    after = await host.desk.promote(draft.id, wanted)
    host.drafts.pop(key, None)
    made = after.task_ids[len(draft.task_ids) :]
    host.flash(f"draft {draft.id} became {' '.join(made)}")
    return True


async def revoke_rule(host: Host, context: Context) -> bool:
    rule = context.rule
    if rule is None:
        return False
    text = (
        f"It has answered {rule.uses} time{'' if rule.uses == 1 else 's'}. Who asks this from now on "
        "waits for a person again. A revoked rule stays in the list, and cannot be put in force again."
    )
    things = (f"asked: {rule.pattern}", f"answer: {rule.answer}")
    if not await host.push_screen_wait(Confirm(f"Revoke rule {rule.id}?", text, things, yes="revoke")):
        return False
    await host.desk.backend.revoke_rule(rule.id, actor=host.desk.actor)
    host.flash(f"rule {rule.id} answers nothing any more")
    return True
