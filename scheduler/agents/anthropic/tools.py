"""What the model is offered: the tools, what each is called with, and what it is told of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

LONGEST_COMMAND_S = 3600


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tool is called with."""


class Read(Input, frozen=True):
    path: str
    first_line: Annotated[int, Meta(ge=1)] = 1
    lines: Annotated[int, Meta(ge=1, description="how many lines")] = 2000


class ListFiles(Input, frozen=True):
    path: str = "."


class Search(Input, frozen=True):
    pattern: Annotated[str, Meta(description="an extended regular expression, as grep -E has it")]
    path: str = "."


class Write(Input, frozen=True):
    path: str
    content: str


class Edit(Input, frozen=True):
    path: str
    old: Annotated[str, Meta(description="text that the file holds, exactly and once")]
    new: str
    everywhere: Annotated[bool, Meta(description="replace it in all places")] = False


class Run(Input, frozen=True):
    command: Annotated[str, Meta(description="a line of shell")]
    timeout_s: Annotated[int, Meta(ge=1, le=LONGEST_COMMAND_S)] = 600


class AskHuman(Input, frozen=True):
    question: Annotated[str, Meta(description="with what you would do and why, so that a word is enough")]
    options: Annotated[tuple[str, ...], Meta(description="answers to choose from")] = ()


class ReportProgress(Input, frozen=True):
    text: str


class Comment(msgspec.Struct, frozen=True):
    path: str
    text: str
    line: int | None = None


class Verdict(Input, frozen=True):
    verdict: Literal["accept", "reject"]
    reason: Annotated[str, Meta(description="one paragraph")]
    comments: tuple[Comment, ...] = ()


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    key: Annotated[str, Meta(description="a short name within the plan: lower-case letters, digits and -")]
    title: str
    role: str
    body: Annotated[str, Meta(description="markdown")] = ""
    priority: Literal["P0", "P1", "P2", "P3"] = "P2"
    complexity: Literal["XS", "S", "M", "L", "XL"] | None = None
    acceptance: Annotated[tuple[str, ...], Meta(description="what can be checked")] = ()
    blocked_by: Annotated[tuple[str, ...], Meta(description="keys of tasks that must be done before")] = ()


class Tasks(Input, frozen=True):
    summary: str
    tasks: tuple[Part, ...]


TOOLS: dict[str, tuple[type[Input], str]] = {
    "read": (Read, "Read a text file."),
    "list": (ListFiles, "List all files below a folder."),
    "search": (Search, "Find lines in all files below a folder, or in one file."),
    "write": (Write, "Make a file, or replace all of it."),
    "edit": (Edit, "Replace a piece of a file."),
    "run": (Run, "Run a command in the working directory, without input, and wait for its end."),
    "ask_human": (AskHuman, "Ask a person, and wait for the answer, as long as it takes."),
    "report_progress": (ReportProgress, "Tell people how you get on, in one line. Use it seldom."),
    "verdict": (Verdict, "Give your verdict on finished work, when you were told to give one."),
    "tasks": (Tasks, "Give the list of tasks that a task is to become, when you were told to make one."),
}
DELIVERED = ("verdict", "tasks")
"""Tools whose input is what a run of some role has to leave; each is named like that."""


def offered() -> list[dict[str, Any]]:
    """As the API takes them, the last one with a mark up to where they may be cached."""
    found: list[dict[str, Any]] = [
        {"name": name, "description": text, "input_schema": _schema(kind)}
        for name, (kind, text) in TOOLS.items()
    ]
    found[-1]["cache_control"] = {"type": "ephemeral"}
    return found


def _schema(kind: type[Input]) -> dict[str, Any]:
    _, parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = parts.pop(kind.__name__)
    return {**schema, "$defs": parts} if parts else schema
