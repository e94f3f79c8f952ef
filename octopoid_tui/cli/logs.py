"""`logs`: what a run's agent did, as lines."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from backend.clean import clean, clean_line
from backend.errors import BadInput, NotFound
from backend.model import Json, Run, RunStatus
from octopoid_tui.cli.output import BOLD, DIM, GREEN, RED, YELLOW, Style, say_styled, warn
from octopoid_tui.cli.session import Session, run_session
from scheduler.agents.events import AgentEvent, decode
from scheduler.runs.tail import Tail

POLL_SECONDS = 0.3
RECHECK_SECONDS = 5.0
CHUNK = 1 << 16
TITLE_LIMIT = 160
HIDDEN = frozenset({"state", "turn.started", "tool.progress", "usage", "unknown"})
"""Kinds that matter to the scheduler and the screen, and only make noise here."""


def logs(
    name: Annotated[str, typer.Argument(metavar="TASK|RUN", help="A task (its newest run) or a run.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="The agent's output as it wrote it; into a file or a pipe only.")
    ] = False,
) -> None:
    """Show what the agent of a run did."""
    if raw and sys.stdout.isatty():
        raise BadInput(
            "raw output of an agent could take over the terminal",
            f"send it to a file: octopoid logs {name} --raw > FILE, or leave --raw out",
        )
    if raw and follow:
        raise BadInput("--raw and --follow cannot go together", "leave one of them out")
    run, path = run_and_record(name)
    if raw:
        _copy(path.parent / "transcript.jsonl")
        return
    style = Style()
    if not path.exists() and not follow:
        warn(f"run {run.id} has written nothing yet")
    for event in follow_events(run, path) if follow else _events(Tail(path)):
        text = event_text(event, style)
        if text:
            say_styled(text)
            sys.stdout.flush()


def run_and_record(name: str) -> tuple[Run, Path]:
    """The run of that id, or the newest of the task of that id, and the file of its events.

    Raises:
        NotFound: there is neither, or the task has not been run yet.
    """

    async def work(session: Session) -> tuple[Run, Path]:
        from scheduler.steer import find_run

        run = await find_run(session.desk.backend, name)
        return run, session.desk.events_path(run.id)

    return run_session(work)


def follow_events(run: Run, path: Path) -> Iterator[AgentEvent]:
    """Events as they are written, until the run has ended. The store is not held meanwhile."""
    tail, ended = Tail(path), run.status is RunStatus.ENDED
    checked = time.monotonic()
    while True:
        found = list(_events(tail))
        yield from found
        if ended and not found:
            return
        if not found:
            time.sleep(POLL_SECONDS)
        if not ended and time.monotonic() - checked > RECHECK_SECONDS:
            # A run whose supervisor was killed writes no last event: the store knows that it has ended.
            ended, checked = run_and_record(run.id)[0].status is RunStatus.ENDED, time.monotonic()
        ended = ended or any(event.kind == "exited" for event in found)


def _events(tail: Tail) -> Iterator[AgentEvent]:
    """Events completed since the last call; a damaged line is told and passed over."""
    while True:
        for line in tail.read():
            try:
                yield decode(line.data)
            except BadInput as error:
                warn(f"octopoid: {error}")
        if tail.at_end:
            return


def _copy(path: Path) -> None:
    # The agent may write in this folder: a link could name any file, and a pipe would block.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise NotFound(f"no raw output at {path} ({error.strerror})", "leave --raw out") from None
    with os.fdopen(descriptor, "rb") as source:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotFound(f"{path} is not a regular file", "leave --raw out")
        sys.stdout.flush()
        while chunk := source.read(CHUNK):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def event_text(event: AgentEvent, style: Style) -> str:
    """One event as lines for reading, harmless on a terminal; empty for kinds that are not shown."""
    if event.kind in HIDDEN or (event.kind == "sent" and not event.data.get("text")):
        return ""
    words, colour = _words(event.kind, event.data)
    at = event.at.astimezone().strftime("%H:%M:%S")
    first, *rest = clean(words).rstrip().splitlines() or [""]
    return "\n".join(
        [f"{style(at, DIM)}  {style(first, colour)}", *(" " * 10 + style(line, colour) for line in rest)]
    )


def _words(kind: str, data: Json) -> tuple[str, str]:
    match kind:
        case "message":
            speaker = "" if data.get("role", "assistant") == "assistant" else f"{data['role']}: "
            return speaker + _text(data, "text"), ""
        case "sent":
            return f"› {_text(data, 'text')}", GREEN
        case "thinking":
            return _text(data, "text"), DIM
        case "tool.started":
            title = clean_line(_text(data, "title"), TITLE_LIMIT)
            return f"→ {_text(data, 'name')} {title}".rstrip(), BOLD
        case "tool.finished":
            good = data.get("status") in ("ok", "completed", "success")
            return (
                ("✓ done", DIM)
                if good
                else (f"✗ {_text(data, 'status')} {_text(data, 'output')}".rstrip(), RED)
            )
        case "request.opened":
            given = data.get("options")
            numbered = enumerate(given if isinstance(given, list) else (), 1)
            options = "".join(f"\n{n}. {option}" for n, option in numbered)
            return f"? {_text(data, 'question')}{options}", YELLOW
        case "request.closed":
            return f"answered ({_text(data, 'by')})", GREEN
        case "log":
            return _text(data, "text"), RED if data.get("stream") == "err" else ""
        case "exited":
            return "ended: " + _facts(data), BOLD
    return f"{kind} {_facts(data)}".rstrip(), YELLOW if kind in ("retry", "rate_limit") else DIM


def _text(data: Json, name: str) -> str:
    value = data.get(name)
    return "" if value is None else str(value)


def _facts(data: Json) -> str:
    return ", ".join(f"{name} {value}" for name, value in data.items() if value is not None)
