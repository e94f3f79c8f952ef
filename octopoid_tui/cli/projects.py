"""`projects`: what tasks belong to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from backend.errors import BadInput
from backend.ids import new_id
from backend.model import Queue, Task, TaskFilter
from backend.planning import NewProject, Project, ProjectPatch, ProjectStatus
from backend.wire import to_json
from octopoid_tui.cli import render
from octopoid_tui.cli.options import refuse_others
from octopoid_tui.cli.output import columns, say, say_json
from octopoid_tui.cli.session import Session, person, run_session
from octopoid_tui.cli.tasks import JsonFlag


class ProjectAction(StrEnum):
    LIST = "list"
    CREATE = "create"
    SHOW = "show"
    EDIT = "edit"


ALLOWED = {
    ProjectAction.LIST: (),
    ProjectAction.CREATE: ("name", "--id", "--description", "--branch", "--auto-accept"),
    ProjectAction.SHOW: ("name",),
    ProjectAction.EDIT: ("name", "--title", "--description", "--branch", "--auto-accept", "--state"),
}


def projects(
    action: Annotated[
        ProjectAction, typer.Argument(metavar="[list|create|show|edit]", help="What to do.")
    ] = ProjectAction.LIST,
    name: Annotated[
        str | None, typer.Argument(metavar="[TITLE|PROJECT]", help="The new project's title, or one's id.")
    ] = None,
    project_id: Annotated[
        str | None, typer.Option("--id", help="Name the new project; without it an id is made.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Its new title.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is about.")] = None,
    branch: Annotated[
        str | None, typer.Option(help="Where its tasks start from unless they say otherwise.")
    ] = None,
    auto_accept: Annotated[
        bool | None,
        typer.Option(
            "--auto-accept/--no-auto-accept", help="Merge its tasks without asking when their checks pass."
        ),
    ] = None,
    state: Annotated[ProjectStatus | None, typer.Option(help="Its new state.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List projects, create one, show one with its tasks, or edit one. Tasks join by `enqueue --project`."""
    given = {
        "name": name, "--id": project_id, "--title": title, "--description": description, "--branch": branch,
        "--auto-accept": auto_accept, "--state": state,
    }  # fmt: skip
    refuse_others("projects", action, given, ALLOWED[action])
    if action is ProjectAction.LIST:
        _list(as_json)
    elif name is None:
        missing = "a new project needs a title" if action is ProjectAction.CREATE else "no project is named"
        raise BadInput(missing, f"for example: octopoid projects {action} NAME")
    elif action is ProjectAction.CREATE:
        author = str(person())
        new = NewProject(
            project_id or new_id(), name, author, description or "", branch, auto_accept or False
        )
        _create(new, as_json)
    elif action is ProjectAction.EDIT:
        patch = ProjectPatch(
            title=title, description=description, status=state, base_branch=branch, auto_accept=auto_accept
        )
        _edit(name, patch, as_json)
    else:
        _show(name, as_json)


def _list(as_json: bool) -> None:
    async def work(session: Session) -> list[Project]:
        return await session.desk.backend.list_projects()

    found = run_session(work)
    if as_json:
        say_json([to_json(one) for one in found])
    elif found:
        rows = [(one.id, one.status.value, one.base_branch or "", one.title) for one in found]
        say(columns([("ID", "STATUS", "BRANCH", "TITLE"), *rows]))


def _create(new: NewProject, as_json: bool) -> None:
    async def work(session: Session) -> Project:
        return await session.desk.backend.create_project(new, actor=person())

    _print(run_session(work, writes=True), as_json)


def _edit(project_id: str, patch: ProjectPatch, as_json: bool) -> None:
    if patch == ProjectPatch():
        changes = "--title, --description, --branch, --auto-accept or --state"
        raise BadInput("nothing is to be changed", f"say what with {changes}")

    async def work(session: Session) -> Project:
        return await session.desk.backend.edit_project(project_id, patch, actor=person())

    _print(run_session(work, writes=True), as_json)


def _print(project: Project, as_json: bool) -> None:
    if as_json:
        say_json(to_json(project))
    else:
        say(project.id)


def _show(project_id: str, as_json: bool) -> None:
    async def work(session: Session) -> tuple[Project, list[Task]]:
        backend = session.desk.backend
        return await backend.get_project(project_id), await backend.list_tasks(
            TaskFilter(project_id=project_id)
        )

    project, tasks = run_session(work)
    if as_json:
        say_json({"project": to_json(project), "tasks": [render.task_fields(task) for task in tasks]})
        return
    done = sum(task.queue is Queue.DONE for task in tasks)
    say(f"{project.id}: {project.title} ({project.status}, {done} of {len(tasks)} tasks done)")
    if project.description:
        say(project.description)
    if tasks:
        say(render.task_table(tasks))
