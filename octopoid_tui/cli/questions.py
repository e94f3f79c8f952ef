"""`questions`, `answer`, `rules`, and the door to `ask`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from backend.errors import BadInput, NotFound
from backend.ids import check_id
from backend.model import Message, Rule, RuleScope
from backend.ranking import Question
from backend.wire import to_json
from octopoid_tui.cli import render
from octopoid_tui.cli.ask import ask as ask_with
from octopoid_tui.cli.mcp import serve as serve_tools
from octopoid_tui.cli.output import Style, columns, read_stdin, say, say_json, say_styled
from octopoid_tui.cli.session import Session, run_session
from octopoid_tui.cli.tasks import JsonFlag


def questions(as_json: JsonFlag = False) -> None:
    """List what agents wait to be told, the most useful answer first; the same questions are one entry."""

    async def work(session: Session) -> tuple[Question, ...]:
        return await session.desk.questions()

    found = run_session(work)
    if as_json:
        say_json([render.question_fields(question) for question in found])
    elif found:
        style, now = Style(), datetime.now(UTC)
        say_styled("\n\n".join(render.question_text(question, style, now) for question in found))


def answer(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID", help="The question's id.")],
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="The answer; - reads it from stdin; a number picks that option."),
    ],
    rule: Annotated[
        RuleScope | None,
        typer.Option(help="Give this answer by itself from now on: to this task, agent, role or project."),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="What the rule is for, line by line, * being any part of a line. Default: exactly this."
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="After so many days the rule ends.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Answer a question, and all open ones that ask the very same; the agents go on with it."""
    words = read_stdin().strip() if text == "-" else text
    if not words.strip():
        raise BadInput("the answer is empty", "give a text, or the number of an option")
    check_id(message_id, "message id")

    if rule is None and (pattern is not None or days is not None):
        raise BadInput("a pattern and an end are for a rule", "say for whom with --rule")

    async def work(session: Session) -> Message:
        from scheduler.answers import RuleWish

        asked = await session.desk.backend.get_message(message_id)
        chosen = words if text == "-" else chosen_option(asked, words)
        until = None if days is None else datetime.now(UTC) + timedelta(days=days)
        wish = None if rule is None else RuleWish(rule, pattern, until)
        return await session.desk.answer(message_id, chosen, rule=wish)

    message = run_session(work, writes=True)
    if as_json:
        say_json(render.message_fields(message))
    else:
        say(f"answered {message.id}: {message.answer}")


class RuleAction(StrEnum):
    LIST = "list"
    REVOKE = "revoke"


def rules(
    action: Annotated[
        RuleAction, typer.Argument(metavar="list|revoke", help="What to do.")
    ] = RuleAction.LIST,
    rule_id: Annotated[
        str | None, typer.Argument(metavar="RULE", help="The rule's id, to revoke it.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the answers that are given by themselves, or revoke one."""
    if (action is RuleAction.REVOKE) != (rule_id is not None):
        raise BadInput("revoke takes the id of a rule, and list takes none", "octopoid rules shows the ids")

    async def work(session: Session) -> list[Rule]:
        if rule_id is None:
            return await session.desk.backend.list_rules()
        return [await session.desk.backend.revoke_rule(rule_id, actor=session.desk.actor)]

    found = run_session(work, writes=rule_id is not None)
    if as_json:
        say_json(to_json(found[0]) if rule_id is not None else [to_json(rule) for rule in found])
    elif rule_id is not None:
        say(f"rule {found[0].id} answers nothing any more")
    elif found:
        now = datetime.now(UTC)
        heads = ("ID", "FOR", "STATE", "USES", "BY", "ASKED", "ANSWER")
        say(columns([heads, *(render.rule_row(rule, now) for rule in found)]))


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


def tell(
    name: Annotated[
        str, typer.Argument(metavar="TASK|RUN", help="The task that the agent works on, or its run.")
    ],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it should know; - reads it from stdin.")],
    interrupt: Annotated[
        bool, typer.Option("--interrupt", help="Break off what the agent does now, where it can be.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Tell an agent something while it works.

    An agent that does not listen while it works, or does not work now, reads it in its next prompt.
    """
    words = read_stdin().strip() if text == "-" else text
    check_id(name, "task or run id")

    async def work(session: Session) -> Message:
        return await session.desk.note(await task_of(session, name), words, interrupt=interrupt)

    message = run_session(work, writes=True)
    if as_json:
        say_json(render.message_fields(message))
    else:
        say(f"told {message.conversation_id}: {message.body}")


async def task_of(session: Session, name: str) -> str:
    """The id of the task that `name` is, or whose run it is."""
    try:
        return (await session.desk.backend.get_run(name)).task_id
    except NotFound:
        return name


def ask(arguments: Annotated[list[str] | None, typer.Argument(metavar="QUESTION")] = None) -> None:
    """Ask a person from inside a run, and print the answer."""
    raise typer.Exit(ask_with(arguments or []))


def mcp(arguments: Annotated[list[str] | None, typer.Argument(metavar="OPTION")] = None) -> None:
    """Serve tools to an agent from inside its run, by the Model Context Protocol."""
    raise typer.Exit(serve_tools(arguments or []))


_pass_on: dict[str, Any] = {"ignore_unknown_options": True, "help_option_names": []}
ask.context_settings = _pass_on  # type: ignore[attr-defined]
mcp.context_settings = _pass_on  # type: ignore[attr-defined]
