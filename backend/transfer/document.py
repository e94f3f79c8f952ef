"""An export as a file: one JSON object, with one record to a line, so that an error can name the line.

`backend.wire` says how a record is spelt. A project, a draft and a task also carry `created_as`, the digest
of what they were created from, so that creating them again stays no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Any

import msgspec

from backend.clock import to_iso
from backend.errors import BadInput, OctopoidError
from backend.model import Agent, Alert, Event, Evidence, Json, Message, Orchestrator, Pause, Rule, Run, Task
from backend.planning import Draft, Project
from backend.sessions import Session
from backend.wire import decode, encode, from_json, refuse_unknown, to_json

FORMAT = "octopoid"
VERSION = 2
OLDER = "octopoid-export"

SECTIONS: dict[str, type] = {
    "orchestrators": Orchestrator,
    "pauses": Pause,
    "agents": Agent,
    "projects": Project,
    "drafts": Draft,
    "tasks": Task,
    "runs": Run,
    "evidence": Evidence,
    "messages": Message,
    "rules": Rule,
    "sessions": Session,
    "alerts": Alert,
    "events": Event,
}
"""In the order in which they are stored: what is referred to comes first."""
SINCE = {"pauses": 2, "agents": 2, "sessions": 2, "alerts": 2}
"""The version that brought a section; an older file does not have it."""
CREATED = ("projects", "drafts", "tasks")
"""Sections whose records carry `created_as`."""
HEAD = ("format", "version", "program", "exported_at", "pause")


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, where it stands, and the digest of what it was created from."""

    section: str
    place: int
    record: Any
    created_as: str = ""


class Misfit(BadInput):
    """The export holds what cannot be stored."""

    slug = "bad-export"


@dataclass(frozen=True, slots=True)
class Document:
    """An export that has been read: each record by itself is well formed."""

    raw: bytes
    pause: Pause
    entries: dict[str, list[Entry]]

    def misfit(self, entry: Entry, problem: str) -> Misfit:
        """The error that a record is, with its line."""
        where = f"{entry.section}[{entry.place}], line {_line(self.raw, entry.section, entry.place)}"
        return Misfit(f"{where}: {problem}", "nothing was imported; correct the file")


# Writing


def head_lines(at: datetime, pause: Pause) -> bytes:
    """Everything before the first section."""
    said = {
        "format": FORMAT,
        "version": VERSION,
        "program": metadata.version("octopoid"),
        "exported_at": to_iso(at),
        "pause": to_json(pause),
    }
    return b"{" + b",\n".join(_member(name, value) for name, value in said.items())


def section_start(name: str) -> bytes:
    return b",\n" + encode(name) + b": ["


def row_line(record: Any, created_as: str | None, first: bool) -> bytes:
    """One record on a line of its own."""
    data = to_json(record)
    if isinstance(record, Message):
        del data["task_id"]  # it says the same as `conversation_id`
    if created_as is not None:
        data["created_as"] = created_as
    return (b"\n" if first else b",\n") + encode(data)


SECTION_END = b"\n]"
END = b"}\n"


def _member(name: str, value: object) -> bytes:
    return encode(name) + b": " + encode(value)


# Reading


def read_document(raw: bytes) -> Document:
    """
    Raises:
        BadInput: it is no export, or a record in it is not well formed; section, line and field are named.
    """
    head, sections = _split(raw)
    if head.get("format") == OLDER or "schema_version" in head:
        raise Misfit("this is an export of version 1", "import it with: octopoid migrate")
    if head.get("format") != FORMAT:
        raise Misfit("this is no export of Octopoid", "make one with: octopoid export FILE")
    pause = from_json(Pause, head.get("pause", {"paused": False}), strict=True)
    document = Document(raw, pause, {name: [] for name in SECTIONS})
    for name, rows in sections.items():
        for place, row in enumerate(rows):
            document.entries[name].append(_entry(document, name, place, bytes(row)))
    return document


def _split(raw: bytes) -> tuple[Json, dict[str, list[msgspec.Raw]]]:
    """The head, and the records of each section, not yet read."""
    try:
        whole = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        head = {name: decode(bytes(value)) for name, value in whole.items() if name not in SECTIONS}
        sections = {
            name: msgspec.json.decode(whole[name], type=list[msgspec.Raw])
            for name in SECTIONS
            if name in whole
        }
    except (ValueError, RecursionError) as error:
        raise Misfit(f"the file is no export: {error}", "make one with: octopoid export FILE") from error
    if head.get("format") == FORMAT:
        version = head.get("version")
        if type(version) is not int or not 1 <= version <= VERSION:
            problem = f"the export is of version {version!r}, and this Octopoid reads 1 to {VERSION}"
            raise Misfit(problem, "import it with the Octopoid that wrote it")
        refuse_unknown(head, (*HEAD, *SECTIONS), "member of the export")
        missing = [name for name in SECTIONS if name not in sections and SINCE.get(name, 1) <= version]
        if missing:
            raise Misfit(f"the export has no {', '.join(missing)}", "it was cut: export again")
    return head, sections


def _entry(document: Document, name: str, place: int, raw: bytes) -> Entry:
    bare = Entry(name, place, None)
    try:
        data = decode(raw)
        if not isinstance(data, dict):
            raise BadInput("it is no object", "each record is an object on a line of its own")
        created_as = data.pop("created_as", None) if name in CREATED else ""
        if not isinstance(created_as, str):
            raise BadInput("the data does not fit", "created_as is missing")
        if name == "evidence":
            data.pop("passed", None)
        return Entry(name, place, from_json(SECTIONS[name], data, strict=True), created_as)
    except OctopoidError as error:
        said = "; ".join((error.problem, *error.details)) if error.details else str(error)
        raise document.misfit(bare, said) from error
    except ValueError as error:
        raise document.misfit(bare, str(error)) from error


def _line(raw: bytes, section: str, place: int) -> int:
    """The line on which a record begins; looked for only when something is wrong with it."""
    whole = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    rows: Iterator[msgspec.Raw] = iter(msgspec.json.decode(whole[section], type=list[msgspec.Raw]))
    at = raw.find(bytes(whole[section]))
    for number, row in enumerate(rows):
        text = bytes(row)
        at = raw.find(text, at)
        if number == place:
            break
        at += len(text)
    return raw.count(b"\n", 0, max(at, 0)) + 1
