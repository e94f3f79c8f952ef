"""Read a task file, whichever form it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, cast

import frontmatter
from frontmatter.default_handlers import BaseHandler

from backend.config.textfile import UnreadableFile, decode, read_text
from backend.config.yamltree import Mapping, Node, YamlProblem, parse
from backend.errors import BadInput
from backend.taskfile.fields import GOOD_HEADER, Header, build
from backend.taskfile.model import TaskFile
from backend.taskfile.older import first_heading, read_older

BOUNDARY: Final = re.compile(r"^---[ \t]*$", re.MULTILINE)


class _StrictYaml(BaseHandler):
    """Front matter read by our own strict reader, which knows the lines."""

    FM_BOUNDARY = BOUNDARY

    def __init__(self, first_line: int) -> None:
        super().__init__()
        self._first_line = first_line

    def load(self, fm: str) -> dict[str, Any]:
        tree = parse(fm, self._first_line)
        if tree is None:
            return {}
        if not isinstance(tree, Mapping):
            raise YamlProblem(tree.line, "the header is not made of keys and values")
        return dict(tree.entries)


def read_task_file(source: Path | str, name: str = "task file") -> TaskFile:
    """Read a task from a file, or from the text of one.

    Args:
        source: a `Path` is opened, a `str` is the text itself.
        name: what a text is called in messages; a path is called by its own name.

    Raises:
        BadInput: it cannot be read or is not valid; with file, line, reason and what would be right.
    """
    name = source.name if isinstance(source, Path) else name
    text = _text(source, name)
    if BOUNDARY.match(text.lstrip()):
        return _read_yaml(text, name)
    return read_older(text, name)


def _text(source: Path | str, name: str) -> str:
    try:
        if isinstance(source, Path):
            text = read_text(source).text
        else:
            text = decode(source.encode("utf-8", "surrogatepass"))
    except UnreadableFile as error:
        place = name if error.line is None else f"{name}:{error.line}"
        raise BadInput(f"{place} {error.reason}", "a task file is UTF-8 text of at most 1 MiB") from None
    forbidden = text.find("\0")
    if forbidden >= 0:
        line = text.count("\n", 0, forbidden) + 1
        raise BadInput(f"{name}:{line}: holds a NUL character", "a task file is text")
    return text


def _read_yaml(text: str, name: str) -> TaskFile:
    first_line = text.count("\n", 0, len(text) - len(text.lstrip())) + 1
    if len(BOUNDARY.findall(text)) < 2:
        raise BadInput(f"{name}:{first_line}: the header has no end", GOOD_HEADER)
    try:
        metadata, body = frontmatter.parse(text, handler=_StrictYaml(first_line))
    except YamlProblem as error:
        raise BadInput(f"{name}:{error.line}: {error.reason}", GOOD_HEADER) from None
    entries = cast("dict[str, Node]", metadata)
    heading, rest = (None, body) if "title" in entries else first_heading(body)
    return build(Header(name, entries), heading, rest)
