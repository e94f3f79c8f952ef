"""`drafts`: what is written down to become tasks."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from backend.errors import BadInput
from backend.ids import new_id
from backend.planning import Draft, DraftPatch, DraftStatus, NewDraft
from backend.wire import to_json
from octopoid_tui.cli.options import refuse_others
from octopoid_tui.cli.output import columns, read_stdin, say, say_json
from octopoid_tui.cli.session import Session, person, run_session
from octopoid_tui.cli.tasks import JsonFlag


class DraftAction(StrEnum):
    LIST = "list"
    CREATE = "create"
    SHOW = "show"
    EDIT = "edit"
    PROMOTE = "promote"


ALLOWED = {
    DraftAction.LIST: (),
    DraftAction.CREATE: ("name", "--id", "--text", "--project"),
    DraftAction.SHOW: ("name",),
    DraftAction.EDIT: ("name", "--title", "--text", "--project", "--state"),
    DraftAction.PROMOTE: ("name", "--task"),
}


class DraftState(StrEnum):
    """What a person may call a draft; it is promoted by becoming tasks, and by nothing else."""

    IDEA = DraftStatus.IDEA
    PROPOSED = DraftStatus.PROPOSED
    ARCHIVED = DraftStatus.ARCHIVED


def drafts(
    action: Annotated[
        DraftAction, typer.Argument(metavar="[list|create|show|edit|promote]", help="What to do.")
    ] = DraftAction.LIST,
    name: Annotated[
        str | None, typer.Argument(metavar="[TITLE|DRAFT]", help="The new draft's title, or one's id.")
    ] = None,
    draft_id: Annotated[
        str | None, typer.Option("--id", help="Name the new draft; without it an id is made.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Its new title.")] = None,
    text: Annotated[str | None, typer.Option(help="What it says; - reads it from stdin.")] = None,
    project: Annotated[str | None, typer.Option(help="The project it belongs to.")] = None,
    state: Annotated[DraftState | None, typer.Option(help="Its new state.")] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="Title of a task it becomes; may be repeated. Its own title without it."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List drafts, write one, show or edit one, or turn one into tasks with its text as their description."""
    given = {
        "name": name, "--id": draft_id, "--title": title, "--text": text, "--project": project,
        "--state": state, "--task": task,
    }  # fmt: skip
    refuse_others("drafts", action, given, ALLOWED[action])
    text = read_stdin() if text == "-" else text
    if action is DraftAction.LIST:
        return _list(as_json)
    if name is None:
        missing = "a new draft needs a title" if action is DraftAction.CREATE else "no draft is named"
        raise BadInput(missing, f"for example: octopoid drafts {action} NAME")
    if action is DraftAction.CREATE:
        new = NewDraft(draft_id or new_id(), name, str(person()), text or "", project)
        _print(_created(new), as_json)
    elif action is DraftAction.SHOW:
        _show(name, as_json)
    elif action is DraftAction.EDIT:
        patch = DraftPatch(
            title=title,
            body=text,
            project_id=project,
            status=None if state is None else DraftStatus(state.value),
        )
        if patch == DraftPatch():
            raise BadInput("nothing is to be changed", "say what with --title, --text, --project or --state")
        _print(_edited(name, patch), as_json)
    else:
        _promote(name, task, as_json)


def _print(draft: Draft, as_json: bool) -> None:
    if as_json:
        say_json(to_json(draft))
    else:
        say(draft.id)


def _list(as_json: bool) -> None:
    async def work(session: Session) -> list[Draft]:
        return await session.desk.backend.list_drafts()

    found = run_session(work)
    if as_json:
        say_json([to_json(one) for one in found])
    elif found:
        rows = [(one.id, one.status.value, one.project_id or "", one.title) for one in found]
        say(columns([("ID", "STATUS", "PROJECT", "TITLE"), *rows]))


def _created(new: NewDraft) -> Draft:
    async def work(session: Session) -> Draft:
        backend = session.desk.backend
        if new.project_id is not None:
            await backend.get_project(new.project_id)
        return await backend.create_draft(new, actor=person())

    return run_session(work, writes=True)


def _edited(draft_id: str, patch: DraftPatch) -> Draft:
    async def work(session: Session) -> Draft:
        backend = session.desk.backend
        if patch.project_id is not None:
            await backend.get_project(patch.project_id)
        return await backend.edit_draft(draft_id, patch, actor=person())

    return run_session(work, writes=True)


def _show(draft_id: str, as_json: bool) -> None:
    async def work(session: Session) -> Draft:
        return await session.desk.backend.get_draft(draft_id)

    draft = run_session(work)
    if as_json:
        say_json(to_json(draft))
        return
    became = f", became {' '.join(draft.task_ids)}" if draft.task_ids else ""
    say(f"{draft.id}: {draft.title} ({draft.status}{became})")
    if draft.body:
        say(draft.body)


def _promote(draft_id: str, titles: list[str] | None, as_json: bool) -> None:
    async def work(session: Session) -> tuple[str, ...]:
        from scheduler.desk import TaskDraft  # brings git with it

        desk = session.desk
        draft = await desk.backend.get_draft(draft_id)
        wanted = [
            TaskDraft(title, draft.body, project_id=draft.project_id) for title in titles or [draft.title]
        ]
        after = await desk.promote(draft_id, wanted)
        return after.task_ids[len(draft.task_ids) :]

    made = run_session(work, writes=True)
    if as_json:
        say_json({"draft": draft_id, "tasks": list(made)})
    else:
        for task_id in made:
            say(task_id)
