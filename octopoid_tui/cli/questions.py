"""`questions`, `answer`, and the door to `ask`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from backend.errors import BadInput
from backend.ids import check_id
from backend.model import Message
from octopoid_tui.cli import render
from octopoid_tui.cli.ask import ask as ask_with
from octopoid_tui.cli.output import Style, read_stdin, say, say_json, say_styled
from octopoid_tui.cli.session import Session, run_session
from octopoid_tui.cli.tasks import JsonFlag


def questions(as_json: JsonFlag = False) -> None:
    """List what agents wait to be told, oldest first."""

    async def work(session: Session) -> list[Message]:
        return await session.desk.backend.open_questions()

    found = run_session(work)
    if as_json:
        say_json([render.question_fields(message) for message in found])
    elif found:
        style, now = Style(), datetime.now(UTC)
        say_styled("\n\n".join(render.question_text(message, style, now) for message in found))


def answer(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID", help="The question's id.")],
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="The answer; - reads it from stdin; a number picks that option."),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Answer a question; the agent goes on with it."""
    words = read_stdin().strip() if text == "-" else text
    if not words.strip():
        raise BadInput("the answer is empty", "give a text, or the number of an option")
    check_id(message_id, "message id")

    async def work(session: Session) -> Message:
        asked = await session.desk.backend.get_message(message_id)
        chosen = words if text == "-" else chosen_option(asked, words)
        return await session.desk.answer(message_id, chosen)

    message = run_session(work, writes=True)
    if as_json:
        say_json(render.message_fields(message))
    else:
        say(f"answered {message.id}: {message.answer}")


def chosen_option(asked: Message, words: str) -> str:
    """The option that a number stands for; any other text as it is.

    Raises:
        BadInput: there are options, but none of that number.
    """
    number = words.strip()
    if not asked.options or number in asked.options or not (number.isascii() and number.isdigit()):
        return words
    if not 1 <= int(number) <= len(asked.options):
        raise BadInput(
            f"question {asked.id} has no option {number}",
            f"give 1 to {len(asked.options)}, or a text (- reads it from stdin, as it is)",
        )
    return asked.options[int(number) - 1]


def ask(arguments: Annotated[list[str] | None, typer.Argument(metavar="QUESTION")] = None) -> None:
    """Ask a person from inside a run, and print the answer."""
    raise typer.Exit(ask_with(arguments or []))


_pass_on: dict[str, Any] = {"ignore_unknown_options": True, "help_option_names": []}
ask.context_settings = _pass_on  # type: ignore[attr-defined]
