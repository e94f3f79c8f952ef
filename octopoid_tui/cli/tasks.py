"""`enqueue`, `list`, `show`, `why`, `retry`, `cancel`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from backend.errors import BadInput
from backend.interface import Action
from backend.model import Complexity, Priority, Queue, Task, TaskFilter, TaskType
from octopoid_tui.cli import render
from octopoid_tui.cli.output import read_stdin, say, say_json, say_styled
from octopoid_tui.cli.session import Session, run_session

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")]


def enqueue(
    title: Annotated[str | None, typer.Argument(help="One line that says what is to be done.")] = None,
    body: Annotated[str | None, typer.Option(help="The description; - reads it from stdin.")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(help="A task file (markdown, with or without frontmatter). Repeatable."),
    ] = None,
    task_id: Annotated[
        str | None, typer.Option("--id", help="Name the task; without it an id is made.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="Which agents may take it. Default: implement.")] = None,
    priority: Annotated[
        Priority | None, typer.Option(case_sensitive=False, help="P0 is the most urgent. Default: P2.")
    ] = None,
    type_: Annotated[
        TaskType | None, typer.Option("--type", case_sensitive=False, help="Default: feature.")
    ] = None,
    complexity: Annotated[
        Complexity | None, typer.Option(case_sensitive=False, help="How big it is.")
    ] = None,
    project: Annotated[str | None, typer.Option(help="The project it belongs to.")] = None,
    branch: Annotated[str | None, typer.Option(help="The base branch. Default: repo.main_branch.")] = None,
    blocked_by: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A task that must be done first. Repeatable.")
    ] = None,
    needs: Annotated[
        list[str] | None, typer.Option(metavar="RES", help="A resource it needs while it runs. Repeatable.")
    ] = None,
    backlog: Annotated[bool, typer.Option("--backlog", help="Keep it in the backlog for now.")] = False,
    auto_accept: Annotated[
        bool, typer.Option("--auto-accept", help="Merge it without asking when its checks pass.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Queue a task, and print its id.

    Give a TITLE, a task file, or both: what is given here goes before what the file says.
    """
    given: dict[str, Any] = {
        "title": title,
        "body": read_stdin() if body == "-" else body,
        "id": task_id,
        "role": role,
        "priority": priority,
        "type": type_,
        "complexity": complexity,
        "project_id": project,
        "base_branch": branch,
        "blocked_by": _names(blocked_by),
        "needs": _names(needs),
        "backlog": backlog or None,
        "auto_accept": auto_accept or None,
    }
    fields = {name: value for name, value in given.items() if value is not None}
    files = file or []
    _check_enqueue(title, body, files, task_id)

    async def work(session: Session) -> list[Task]:
        from scheduler.desk import TaskDraft

        if not files:
            return [await session.desk.enqueue(TaskDraft(**fields))]
        return [await session.desk.enqueue_file(path, **fields) for path in files]

    tasks = run_session(work, writes=True)
    if as_json:
        found = [render.task_fields(task) for task in tasks]
        say_json(found[0] if len(files) < 2 else found)
    else:
        say("\n".join(task.id for task in tasks))


def _check_enqueue(title: str | None, body: str | None, files: list[Path], task_id: str | None) -> None:
    if title is None and not files:
        raise BadInput(
            "a task needs a TITLE or a --file", 'for example: octopoid enqueue "Fix the login form"'
        )
    if title is not None and not title.strip():
        raise BadInput("the title is empty", 'for example: octopoid enqueue "Fix the login form"')
    if body is not None and files:
        raise BadInput("--body and --file cannot go together", "the file's text is the description")
    if len(files) > 1 and (title is not None or task_id is not None):
        raise BadInput("several files cannot share one title or id", "put `id` and `title` into each file")


def _names(given: list[str] | None) -> tuple[str, ...] | None:
    if not given:
        return None
    return tuple(name for text in given for name in text.replace(",", " ").split())


def list_tasks(
    queue: Annotated[
        list[Queue] | None, typer.Option(case_sensitive=False, help="Only these queues. Repeatable.")
    ] = None,
    role: Annotated[list[str] | None, typer.Option(help="Only these roles. Repeatable.")] = None,
    priority: Annotated[
        list[Priority] | None, typer.Option(case_sensitive=False, help="Only these priorities. Repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List tasks, in the order in which agents would take them."""
    wanted = TaskFilter(
        queues=frozenset(queue or ()),
        priorities=frozenset(priority or ()),
        roles=frozenset(role or ()),
        limit=limit,
    )

    async def work(session: Session) -> list[Task]:
        return await session.desk.backend.list_tasks(wanted)

    tasks = run_session(work)
    if as_json:
        say_json([render.task_fields(task) for task in tasks])
    elif tasks:
        say(render.task_table(tasks))


def show(task_id: TaskId, as_json: JsonFlag = False) -> None:
    """Show everything about one task: its runs, conversation, evidence and history."""

    async def work(session: Session) -> render.Dossier:
        return await render.dossier(session.desk.backend, task_id)

    found = run_session(work)
    if as_json:
        say_json(render.dossier_fields(found))
    else:
        say_styled(render.dossier_text(found))


def why(task_id: TaskId, as_json: JsonFlag = False) -> None:
    """Say why a task does or does not run, gate by gate."""

    async def work(session: Session) -> Any:
        return await session.desk.why(task_id)

    explanation = run_session(work)
    if as_json:
        say_json(render.explanation_fields(explanation))
    else:
        say_styled(render.explanation_text(explanation))


def retry(
    task_id: TaskId,
    reason: Annotated[str | None, typer.Option(help="What the next attempt should know.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Queue a failed, escalated or cancelled task again, with a fresh count of attempts."""
    _act(task_id, Action.RETRY, reason, as_json)


def cancel(
    task_id: TaskId,
    reason: Annotated[str | None, typer.Option(help="Why it is not wanted any more.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Cancel a task and stop its run; its work is kept under a rescue ref."""
    _act(task_id, Action.CANCEL, reason, as_json)


def _act(task_id: str, action: Action, reason: str | None, as_json: bool) -> None:
    async def work(session: Session) -> Task:
        return await session.desk.act(task_id, action, reason=reason)

    task = run_session(work, writes=True)
    if as_json:
        say_json(render.task_fields(task))
    else:
        say(f"{task.id} is {task.queue}")
