"""`sync`, `conflicts`, `settle`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from backend.errors import EXIT_FAILED
from backend.sync import Choice, Conflict, SyncMode, SyncState, Waiting
from octopoid_tui.cli.output import BOLD, DIM, RED, YELLOW, Style, age, say, say_json, say_styled, warn
from octopoid_tui.cli.session import Session, run_session
from octopoid_tui.cli.tasks import JsonFlag
from octopoid_tui.formats import times_sent, waiting_changes
from octopoid_tui.versions import CHANGED, Field, mine_fields, their_fields

NO_SERVER = "the state is in this project's own store: there is no server"


def sync(
    as_list: Annotated[
        bool, typer.Option("--list", help="Show each change that waits, and send nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Try the server at once and send it what was changed here; exits with 1 when it is away."""
    if as_list:
        _list_waiting(as_json)
        return

    async def work(session: Session) -> tuple[SyncState, SyncState]:
        before = await session.desk.backend.sync_state()
        return before, await session.desk.backend.sync_now()

    before, now = run_session(work, writes=True)
    if as_json:
        from backend.wire import to_json

        say_json(to_json(now))
    else:
        say(sync_text(before, now))
    if now.conflicts:
        warn(f"{_counted(now.conflicts, 'change')} the server did not take: octopoid conflicts")
    if now.mode is SyncMode.OFFLINE:
        raise typer.Exit(EXIT_FAILED)


def _list_waiting(as_json: bool) -> None:
    async def work(session: Session) -> tuple[SyncState, list[Waiting]]:
        backend = session.desk.backend
        return await backend.sync_state(), await backend.list_pending()

    state, found = run_session(work)
    if as_json:
        from backend.wire import to_json

        say_json([to_json(change) for change in found])
    elif found:
        style, now = Style(), datetime.now(UTC)
        say_styled("\n\n".join(waiting_text(change, style, now) for change in found))
    else:
        warn(NO_SERVER if state.mode is SyncMode.LOCAL else waiting_changes(0))


def waiting_text(change: Waiting, style: Style, now: datetime) -> str:
    """One change for reading: what, then when and by whom, then why it still waits."""
    made = f"made {age(change.at, now)} ago by {change.by}; {times_sent(change.tries)}"
    return f"{style(change.summary, BOLD)}\n  {style(made, DIM)}\n  {style(change.why, YELLOW)}"


def sync_text(before: SyncState, now: SyncState) -> str:
    """What came of it, in one sentence."""
    if now.mode is SyncMode.LOCAL:
        return NO_SERVER
    if now.mode is SyncMode.OFFLINE:
        return f"{now.server} is away ({now.trouble or 'it does not answer'}); {waiting_changes(now.pending)}"
    gone = before.pending - now.pending
    sent = f"; {_counted(gone, 'change')} sent" if gone > 0 else ""
    return f"{now.server} answers{sent}; {waiting_changes(now.pending)}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def conflicts(as_json: JsonFlag = False) -> None:
    """List the changes made here that the server did not take, with both versions, oldest first."""

    async def work(session: Session) -> list[Conflict]:
        return await session.desk.backend.list_conflicts()

    found = run_session(work)
    if as_json:
        from backend.wire import to_json

        say_json([to_json(conflict) for conflict in found])
    elif found:
        style, now = Style(), datetime.now(UTC)
        say_styled("\n\n".join(conflict_text(conflict, style, now) for conflict in found))
        warn("settle each with: octopoid settle ID mine|theirs")
    else:
        warn("nothing is in conflict")


def conflict_text(conflict: Conflict, style: Style, now: datetime) -> str:
    """One conflict for reading: what, why not, then both versions; what differs is marked."""
    about = f" of {conflict.task_id}" if conflict.task_id else ""
    head = style(f"{conflict.id}  {conflict.operation}{about}", BOLD)
    lines = [
        f"{head}  {style(age(conflict.at, now) + ' ago', DIM)}",
        f"  {style(conflict.summary)}",
        f"  {style(conflict.problem, RED)}",
        *_version("mine", mine_fields(conflict), style),
        *_version("theirs", their_fields(conflict), style),
    ]
    return "\n".join(lines)


def _version(title: str, fields: Sequence[Field], style: Style) -> list[str]:
    lines = [f"  {style(title, BOLD)}"]
    for field in fields:
        colour = YELLOW if field.differs else ""
        first, *more = field.value.splitlines()
        mark = CHANGED if field.differs else " "
        lines.append(f"  {style(f'{mark} {field.name}: {first}', colour)}")
        lines += [f"      {style(line, colour)}" for line in more]
    return lines if fields else [*lines, style("    nothing", DIM)]


def settle(
    conflict_id: Annotated[str, typer.Argument(metavar="ID", help="The conflict's id.")],
    choice: Annotated[
        Choice,
        typer.Argument(
            metavar="mine|theirs",
            help="mine asks the server for the change again; theirs leaves everything as the server has it.",
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Settle one conflict; nothing else of either version is touched, and no branch is."""

    async def work(session: Session) -> SyncState:
        desk = session.desk
        await desk.backend.settle_conflict(conflict_id, choice, actor=desk.actor)
        return await desk.backend.sync_state()

    left = run_session(work, writes=True)
    if as_json:
        say_json({"settled": conflict_id, "choice": choice.value, "conflicts": left.conflicts})
    else:
        done = "the server took it" if choice is Choice.MINE else "it stays as the server has it"
        say(f"settled {conflict_id}: {done}; {_counted(left.conflicts, 'conflict')} left")
