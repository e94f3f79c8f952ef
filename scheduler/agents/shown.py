"""What a tool is called with, as markdown for people."""

from __future__ import annotations

import difflib

SHOWN = 12_000
"""Characters of a tool's input in a message; the record of the run has it whole."""


def diff(old: str, new: str) -> str:
    """The change from one text to another, line by line."""
    if not old or len(old) + len(new) > SHOWN:  # comparing long texts takes long
        removed, added = (f"-{line}" for line in old.splitlines()), (f"+{line}" for line in new.splitlines())
        return "\n".join([*removed, *added])
    return "\n".join([*difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="")][2:])


def fenced(language: str, text: str) -> str:
    """A block of code that its text cannot end."""
    shown = text
    if len(shown) > SHOWN:
        shown = f"{shown[:SHOWN]}\n… {len(shown) - SHOWN} more characters"
    fence = "```"
    while fence in shown:
        fence += "`"
    return f"{fence}{language}\n{shown}\n{fence}"
