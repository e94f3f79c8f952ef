"""The command line: one typer group whose commands are imported when they are used."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from backend.errors import EXIT_USAGE, OctopoidError
from octopoid_tui.cli.commands import BY_NAME, COMMANDS
from octopoid_tui.cli.failures import escape_unprintable, report
from octopoid_tui.cli.output import warn

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter


class LazyGroup(TyperGroup):
    """Commands from the table; `--help` reads the table alone."""

    def list_commands(self, ctx: Context) -> list[str]:
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        return load(cmd_name) if cmd_name in BY_NAME else None

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        for group in dict.fromkeys(entry.group for entry in COMMANDS):
            with formatter.section(group):
                formatter.write_dl([(e.name, e.summary) for e in COMMANDS if e.group == group])

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        name = args[0]
        if name not in BY_NAME and not name.startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(name, BY_NAME, n=1)
            hint = f"did you mean {near[0]}?" if near else "octopoid --help lists them"
            ctx.fail(f"There is no command {name!r}: {hint}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        # The shell passes bytes; those that are no text arrive as halves of surrogate pairs, which neither
        # the store nor a terminal takes.
        for number, argument in enumerate(args, 1):
            if not argument.isascii() and argument.encode("utf-8", "replace").decode() != argument:
                ctx.fail(f"argument {number} is not UTF-8")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Context) -> Any:
        with expected_errors():
            return super().invoke(ctx)


def load(name: str) -> Command:
    """The command of this name, with its module imported."""
    entry = BY_NAME[name]
    function = getattr(import_module(f"octopoid_tui.cli.{entry.module}"), entry.function)
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    settings = getattr(function, "context_settings", None)
    single.command(name, short_help=entry.summary, context_settings=settings)(function)
    command: Command = typer.main.get_command(single)
    return command


@contextlib.contextmanager
def expected_errors() -> Iterator[None]:
    """Turn expected errors into one sentence on stderr and the exit status they stand for."""
    try:
        yield
        sys.stdout.flush()
    except (OctopoidError, OSError) as error:
        raise typer.Exit(report(error)) from None


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"octopoid {metadata.version('octopoid')}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    name="octopoid",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(
    help="A control centre in the terminal for a fleet of coding agents. Alone it opens the screen.",
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused.",
)
def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if ctx.invoked_subcommand is not None:
        return
    # On a terminal this opens the screen, which the entry point does without coming here.
    warn(
        "octopoid: the screen needs a terminal: use `octopoid run` to run the scheduler, "
        "`octopoid status` to see what happens"
    )
    raise typer.Exit(EXIT_USAGE)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit status."""
    escape_unprintable()
    try:
        typer.main.get_command(app).main(args=list(arguments), prog_name="octopoid")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
