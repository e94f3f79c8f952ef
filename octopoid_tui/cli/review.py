"""`diff`, `accept`, `reject`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from backend.errors import BadInput
from backend.model import Queue, Task
from octopoid_tui.cli import render
from octopoid_tui.cli.output import BOLD, GREEN, RED, Style, say, say_json, say_styled, warn
from octopoid_tui.cli.session import Session, run_session
from octopoid_tui.cli.tasks import JsonFlag, TaskId

if TYPE_CHECKING:
    from scheduler.notices import Notice


def diff(task_id: TaskId) -> None:
    """Show the changes of a task against its base, as a unified diff.

    On a terminal it is coloured and harmless; into a file or a pipe it is the diff as it is, for `git apply`.
    """

    async def work(session: Session) -> str:
        return await session.desk.diff(task_id)

    patch = run_session(work)
    if not patch:
        warn(f"{task_id} has no changes yet")
    elif sys.stdout.isatty():
        style = Style()
        say_styled("\n".join(_coloured(style, line) for line in patch.splitlines()))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(patch.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


def _coloured(style: Style, line: str) -> str:
    if line.startswith(("diff ", "+++", "---", "@@")):
        return style(line, BOLD)
    if line.startswith("+"):
        return style(line, GREEN)
    return style(line, RED) if line.startswith("-") else style(line)


def accept(
    task_id: TaskId,
    by: Annotated[str | None, typer.Option(help="Who accepts it. Default: you.")] = None,
    override: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Accept it although its checks failed or are missing."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is merged.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Accept finished work: it is merged into its base branch."""
    if override is not None and not override.strip():
        raise BadInput("--override needs a reason", "say why the work is good without passed checks")

    async def work(session: Session) -> tuple[Task, tuple[Notice, ...]]:
        task = await session.desk.accept(task_id, by=by, override=override, wait=wait)
        return task, await session.desk.notices()

    task, notices = run_session(work, writes=True)
    for notice in notices:
        warn(f"note: {notice.text}")
    if as_json:
        say_json(render.task_fields(task))
    elif task.queue is Queue.DONE and task.merged_sha is None:
        say(f"{task.id} is done: its tasks are queued")
    elif task.queue is Queue.DONE:
        say(f"{task.id} is done, merged as {(task.merged_sha or '')[:12]}")
    else:
        say(f"{task.id} is accepted; it is {task.queue} until it is merged")


def reject(
    task_id: TaskId,
    reason: Annotated[str, typer.Option(help="What is wrong; the next attempt's prompt has it.")],
    as_json: JsonFlag = False,
) -> None:
    """Send finished work back with a reason."""
    if not reason.strip():
        raise BadInput("a rejection needs a reason", "say what should be different")

    async def work(session: Session) -> Task:
        return await session.desk.reject(task_id, reason)

    task = run_session(work, writes=True)
    if as_json:
        say_json(render.task_fields(task))
    else:
        say(f"{task.id} is {task.queue}" + (f": {task.reason}" if task.queue is Queue.ESCALATED else ""))
