"""`attach` and `interrupt`: to be with an agent while it works, over a plain terminal."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from backend.errors import OctopoidError
from backend.model import Message, Run, RunStatus
from octopoid_tui.cli import render
from octopoid_tui.cli.logs import event_text, run_and_record
from octopoid_tui.cli.output import DIM, GREEN, Style, error_lines, say, say_json, say_styled, warn
from octopoid_tui.cli.session import Session, run_session
from octopoid_tui.cli.tasks import JsonFlag

if TYPE_CHECKING:
    from scheduler.runs.pages import Pages

WAIT_SECONDS = 0.3
RECHECK_EVERY = 15
"""Waits between two looks into the store whether the run has ended without a last event."""

HELP = """\
What you type goes to the agent; where it waits for an answer, it is the answer (a number picks an option).
  /interrupt [TEXT]  break off what it does now
  /tell TEXT         a message, although it waits for an answer
  /detach            leave; so do ctrl-d and ctrl-c. The agent goes on."""


def interrupt(
    name: Annotated[str, typer.Argument(metavar="TASK|RUN", help="A task (its newest run) or a run.")],
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="How it is to go on.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Break off what an agent does now, where its kind can be; without a text it asks how to go on."""
    message = _interrupt(name, text)
    if as_json:
        say_json(render.message_fields(message))
    else:
        say(f"interrupting the agent of {message.conversation_id}: {message.body}")


def attach(
    name: Annotated[str, typer.Argument(metavar="TASK|RUN", help="A task (its newest run) or a run.")],
) -> None:
    """Follow an agent while it works, and write to it. Leaving does not end it."""
    run, source, where = run_session(lambda session: _find(session, name))
    style = Style()
    say_styled(style(f"attached to run {run.id} of task {run.task_id} ({run.agent_name}){where}", DIM))
    if run.status is not RunStatus.ENDED:
        say_styled(style(HELP, DIM))
    try:
        _follow(run, source, style)
    except KeyboardInterrupt:
        say()
    now = run_and_record(run.id)[0]
    ended = f"has ended ({now.outcome})" if now.status is RunStatus.ENDED else "goes on"
    say_styled(style(f"detached: run {run.id} {ended}", DIM))


@dataclass(slots=True)
class Typing:
    """Lines from standard input, without waiting for them longer than a moment."""

    open: bool = True
    _rest: bytes = b""
    _lines: list[str] = field(default_factory=list)

    def lines(self, wait_s: float) -> Iterator[str]:
        """What was typed since the last time; waits so long where nothing was."""
        # Read here, and not by `sys.stdin`, whose buffer `select` does not see.
        fd = sys.stdin.fileno()
        if not select.select([fd] if self.open else [], [], [], wait_s)[0]:
            return
        got = os.read(fd, 1 << 16)
        self.open = bool(got)
        *whole, self._rest = (self._rest + got).split(b"\n")
        if not got and self._rest:
            whole, self._rest = [self._rest], b""
        yield from (line.decode("utf-8", "replace").strip() for line in whole)


class Source(Protocol):
    """Where it is seen what a run does."""

    @property
    def ended(self) -> bool: ...

    def more(self) -> list[str]:
        """What has come up since the last call, as lines to show; nothing where nothing has."""
        ...


class Near:
    """The record of a run of this machine."""

    def __init__(self, run: Run, pages: Pages, style: Style) -> None:
        self._run = run
        self._pages = pages
        self._style = style
        self._end: int | None = None
        self._looks = 0
        self.ended = run.status is RunStatus.ENDED

    def more(self) -> list[str]:
        """The lines of the next events that have any."""
        while True:
            page = self._pages.last() if self._end is None else self._pages.after(self._end)
            self._end = page.end
            if not page.events:
                self._recheck()
                return []
            self.ended = self.ended or any(event.kind == "exited" for _, event in page.events)
            texts = [event_text(event, self._style) for _, event in page.events]
            if any(texts):
                return [text for text in texts if text]

    def _recheck(self) -> None:
        """A run whose supervisor was killed writes no last event: the store knows that it has ended."""
        self._looks += 1
        if self._looks % RECHECK_EVERY == 0:
            self.ended = run_and_record(self._run.id)[0].status is RunStatus.ENDED


async def _find(session: Session, name: str) -> tuple[Run, Source, str]:
    """The run, what is to be seen of it from here, and where it is, if it is elsewhere."""
    from octopoid_tui.cli.afar import Afar
    from scheduler.runs.pages import Pages
    from scheduler.steer import find_run

    run = await find_run(session.desk.backend, name)
    path = session.desk.events_path(run.id)
    if run.orchestrator_id == session.project.orchestrator_id or path.exists():
        return run, Near(run, Pages(path), Style()), ""
    where = (
        f"\nIt works on {run.orchestrator_id}, and its transcript is there; from here you see its messages,"
    )
    return run, Afar(run, Style()), f"{where} its events and its state."


def _follow(run: Run, source: Source, style: Style) -> None:
    """Show what is written and send what is typed, until the run has ended or the person leaves."""
    typing = Typing()
    while True:
        news = source.more()
        for text in news:
            say_styled(text)
        sys.stdout.flush()
        if source.ended and not news:
            return
        for line in typing.lines(0 if news else WAIT_SECONDS):
            if line == "/detach":
                return
            _send(run, line, style)
        if not news and not typing.open:
            return


def _send(run: Run, line: str, style: Style) -> None:
    """Deal with one typed line. What is refused is said, and one can go on."""
    word, _, rest = line.partition(" ")
    try:
        if not line:
            return
        if word == "/interrupt":
            _interrupt(run.id, rest.strip() or None)
            said = "interrupting"
        elif word == "/tell":
            said = _tell(run, rest)
        elif word.startswith("/"):
            said = f"there is no {word} here; a message that begins so: /tell {line}"
        else:
            said = _answer(run, line) or _tell(run, line)
    except OctopoidError as error:
        warn(error_lines(error))
    else:
        say_styled(style(said, GREEN))


def _interrupt(name: str, text: str | None) -> Message:
    async def work(session: Session) -> Message:
        return await session.desk.interrupt(name, *([] if text is None else [text]))

    return run_session(work, writes=True)


def _tell(run: Run, text: str) -> str:
    from scheduler.steer import listens

    async def work(session: Session) -> bool:
        await session.desk.note(run.task_id, text)
        return listens(await session.desk.backend.get_run(run.id))

    heard = run_session(work, writes=True)
    return "sent" if heard else "kept: this agent does not listen while it works, the next attempt reads it"


def _answer(run: Run, text: str) -> str | None:
    """Answer what the run waits for; None when it waits for nothing."""
    from octopoid_tui.cli.questions import chosen_option

    async def work(session: Session) -> str | None:
        asked = [one for one in await session.desk.backend.open_questions() if one.run_id == run.id]
        if not asked:
            return None
        answered = await session.desk.answer(asked[0].id, chosen_option(asked[0], text))
        return f"answered: {answered.answer}"

    return run_session(work, writes=True)
