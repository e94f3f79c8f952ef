"""docs/commands.md, made from the commands themselves."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octopoid_tui.cli import ask, mcp
from octopoid_tui.cli.application import load
from octopoid_tui.cli.commands import COMMANDS, Entry

if TYPE_CHECKING:
    from typer._click import Command, Parameter

INTRODUCTION = """\
# Commands

`octopoid` alone opens the screen; everything the screen can do is also a command. Commands look for
`.octopoid` in the working directory and above, up to the root of the git repository; `OCTOPOID_DIR` names it
instead.

What programs may rely on:

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong usage, or a configuration that is not valid |
| 3 | not found |
| 4 | refused: not allowed in this state |
| 130 | ended by Ctrl-C |

- Errors are on stderr: one sentence, and what to do about it. `OCTOPOID_DEBUG=1` adds the traceback.
- With `--json`, stdout holds one JSON document and nothing else, in ASCII. Times are ISO 8601 with `Z`.
- Text that agents wrote is made harmless for the terminal; colour is used on a terminal, unless `NO_COLOR`
  is set.

This page is made from the commands: `python -m octopoid_tui.cli.reference > docs/commands.md`.
"""

INSIDE = {"ask": ask.parser, "mcp": mcp.parser}
"""Commands for agents, which parse their options themselves."""


def page() -> str:
    """The whole page as markdown."""
    parts = [INTRODUCTION]
    for group in dict.fromkeys(entry.group for entry in COMMANDS):
        parts.append(f"## {group}\n")
        parts += [_section(entry) for entry in COMMANDS if entry.group == group]
    return "\n".join(parts)


def _section(entry: Entry) -> str:
    parser = INSIDE.get(entry.name)
    described, rows = _parsed(parser()) if parser is not None else _described(load(entry.name))
    arguments = "".join(f" {row.names}" for row in rows if not row.names.startswith("-"))
    lines = [f"### octopoid {entry.name}{arguments}", "", described, ""]
    lines += [f"- `{row.names}`: {row.help}" for row in rows]
    return "\n".join(lines).rstrip() + "\n"


@dataclass(frozen=True, slots=True)
class Row:
    """An argument or option as the page shows it."""

    names: str
    help: str


def _described(command: Command) -> tuple[str, list[Row]]:
    rows = []
    for parameter in command.params:
        hidden, said = getattr(parameter, "hidden", False), getattr(parameter, "help", "") or ""
        if hidden:
            continue
        if parameter.param_type_name == "argument":
            name = parameter.metavar or parameter.name.upper()
            rows.append(Row(name if parameter.required else f"[{name}]", said))
        else:
            metavar = "" if getattr(parameter, "is_flag", False) else f" {_value_name(parameter)}"
            rows.append(Row(", ".join([*parameter.opts, *parameter.secondary_opts]) + metavar, said))
    return command.help or "", rows


def _value_name(parameter: Parameter) -> str:
    return parameter.metavar or max(parameter.opts, key=len).lstrip("-").replace("-", "_").upper()


def _parsed(options: ArgumentParser) -> tuple[str, list[Row]]:
    rows = []
    for action in options._actions:
        said = f"{(action.help or '')[:1].upper()}{(action.help or '')[1:]}."
        if not action.option_strings:
            rows.append(Row(f"[{action.metavar}]", said))
        elif "--help" not in action.option_strings:
            rows.append(Row(f"{', '.join(action.option_strings)} {action.metavar}", said))
    return options.description or "", rows


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
