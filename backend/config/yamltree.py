"""YAML as a tree of strings with line numbers: no aliases, no tags, no duplicate keys, no surprises.

Plain scalars keep the text they were written with, so that `branch: 1.10` and `id: 007` survive where
text is wanted. Where a value is wanted (`plain_value`), only the unambiguous forms of YAML 1.2 count:
`no`, `12:30:45` and dates stay text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 1 << 20
"""Largest file that is parsed at all, in bytes."""

MAX_DEPTH = 32
"""Deepest nesting of lists and mappings."""

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}\.[0-9]{0,30})(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class YamlProblem(Exception):
    """The text is not YAML, or uses a part of YAML that is refused. `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as written; `quoted` text is never anything but text."""

    text: str
    quoted: bool
    line: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys in the order of the file; `key_lines` says where each stands."""

    entries: dict[str, Node]
    key_lines: dict[str, int]
    line: int


Node = Scalar | Items | Mapping


def parse(text: str, first_line: int = 1) -> Node | None:
    """The tree of the one document in `text`, or None if there is nothing but comments.

    Args:
        first_line: the number of the text's first line in its file, for messages.

    Raises:
        YamlProblem: if it is no YAML, or holds anchors, aliases, tags, merge keys, duplicate keys, keys
            that are no text, a second document, or nesting beyond `MAX_DEPTH`.
    """
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        line = first_line + text.count("\n", 0, unreadable.start())
        raise YamlProblem(line, f"the control character U+{ord(unreadable.group()):04X} is not allowed")
    return _Builder(text, first_line).document()


def plain_value(node: Node) -> Json:
    """The tree as plain values, by the rules of this module."""
    if isinstance(node, Scalar):
        return node.text if node.quoted else resolve(node.text)
    if isinstance(node, Items):
        return [plain_value(item) for item in node.items]
    return {key: plain_value(item) for key, item in node.entries.items()}


def resolve(text: str) -> bool | int | float | str | None:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


class _Builder:
    def __init__(self, text: str, first_line: int) -> None:
        self._text = text
        self._first_line = first_line
        self._events: Iterator[Any] = iter(())

    def document(self) -> Node | None:
        try:
            self._events = yaml.parse(self._text, Loader=_LOADER)
            return self._document()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = self._first_line + (0 if mark is None else mark.line)
            raise YamlProblem(line, self._reason(error, line)) from None
        except yaml.YAMLError as error:
            raise YamlProblem(self._first_line, f"not YAML: {error}") from None

    def _reason(self, error: yaml.MarkedYAMLError, line: int) -> str:
        lines = self._text.split("\n")
        index = line - self._first_line
        here = lines[index] if index < len(lines) else ""
        if "\t" in here[: len(here) - len(here.lstrip())]:
            return "indented with a tab; YAML wants spaces"
        return "not YAML: " + ", ".join(part for part in (error.context, error.problem) if part)

    def _document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise YamlProblem(self._line(event), "a second document begins here; only one is read")
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event, 1)
        if isinstance(root, Scalar) and not root.quoted and root.text == "":
            return None
        return root

    def _line(self, event: Any) -> int:
        return int(event.start_mark.line) + self._first_line

    def _node(self, event: Any, depth: int) -> Node:
        line = self._line(event)
        if isinstance(event, yaml.AliasEvent):
            raise YamlProblem(line, f"the alias *{event.anchor} is refused: write the value out")
        if event.anchor is not None:
            raise YamlProblem(line, f"the anchor &{event.anchor} is refused: write the value out")
        if event.tag is not None:
            raise YamlProblem(line, f"the tag {event.tag!r} is refused: write a plain value")
        if isinstance(event, yaml.ScalarEvent):
            if _FORBIDDEN.search(event.value):
                raise YamlProblem(line, "a NUL or half a surrogate pair is not allowed")
            return Scalar(event.value, event.style is not None and event.style != "", line)
        if depth > MAX_DEPTH:
            raise YamlProblem(line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(line, depth)
        return self._mapping(line, depth)

    def _items(self, line: int, depth: int) -> Items:
        items = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, depth + 1))
        return Items(tuple(items), line)

    def _mapping(self, line: int, depth: int) -> Mapping:
        entries: dict[str, Node] = {}
        key_lines: dict[str, int] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar) or not key.text:
                raise YamlProblem(key.line, "a key must be a word")
            if key.text == "<<":
                raise YamlProblem(key.line, "merge keys are refused: write the keys out")
            if key.text in entries:
                first = key_lines[key.text]
                raise YamlProblem(key.line, f"{key.text[:80]!r} is here twice, first on line {first}")
            entries[key.text] = self._node(next(self._events), depth + 1)
            key_lines[key.text] = key.line
        return Mapping(entries, key_lines, line)
