"""Fit a tree of YAML into the schema, and say of everything that does not fit where and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from backend.config import hints
from backend.config.problems import Problem, nearest
from backend.config.yamltree import Items, Mapping, Node, Scalar, resolve

S = TypeVar("S", bound=Struct)

_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?")
_UNIT_SECONDS = (86400, 3600, 60, 1)
_WORDS = {
    "`int`": "a whole number", "`float`": "a number", "`int | float`": "a number", "`str`": "text",
    "`bool`": "true or false", "`null`": "nothing", "`array`": "a list", "`object`": "a mapping",
}  # fmt: skip


class _Unfit(Exception):
    """The value does not fit; the problem is noted already."""


@dataclass(slots=True)
class Binder:
    """Fits one file's tree; collects `problems`, and the `lines` of all keys that were given."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    def bind(self, kind: type[S], node: Mapping) -> S | None:
        """The structure, or None if there are problems."""
        try:
            return self._struct(kind, node, "")
        except _Unfit:
            return None

    def note(self, key: str, reason: str, hint: str = "", line: int | None = None) -> None:
        self.problems.append(Problem(self.file, line or self._line(key), key, reason, hint))

    def _line(self, key: str) -> int | None:
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return self.lines.get(key)

    def _unfit(self, key: str, reason: str, hint: str = "") -> _Unfit:
        self.note(key, reason, hint)
        return _Unfit()

    def _struct(self, kind: type[S], node: Mapping, path: str) -> S:
        known = {info.name: info for info in fields(kind)}
        values: dict[str, Any] = {}
        fits = True
        for name, item in node.entries.items():
            key = f"{path}.{name}" if path else name
            self.lines[key] = node.key_lines[name]
            if name not in known:
                self.note(_shown(key), "is not a known key", nearest(name, known))
                fits = False
                continue
            try:
                values[name] = self._value(known[name].type, item, key)
            except _Unfit:
                fits = False
        missing = [info.name for info in known.values() if info.required and info.name not in node.entries]
        if missing:
            self.note(path, f"needs {' and '.join(missing)}", line=node.line)
        if missing or not fits:
            raise _Unfit
        return kind(**values)

    def _value(self, hint: Any, node: Node, key: str) -> Any:
        struct, item, value = hints.struct_of(hint), hints.list_of(hint), hints.mapping_of(hint)
        from_text = getattr(struct, "from_text", None)
        if isinstance(node, Scalar) and not node.quoted and resolve(node.text) is None:
            return self._nothing(hint, key)
        if isinstance(node, Mapping) and struct is not None:
            return self._struct(struct, node, key)
        if isinstance(node, Mapping) and value is not None:
            return self._mapping(value, node, key)
        if isinstance(node, Items) and item is not None:
            return self._items(item, node, key)
        if isinstance(node, Scalar) and from_text is not None:
            return self._checked(struct, msgspec.structs.asdict(from_text(node.text)), key)
        if isinstance(node, Scalar) and _takes_scalar(hint):
            return self._scalar(hint, node, key)
        raise self._unfit(key, f"is {_kind(node)}", f"it takes {hints.in_words(hint)}")

    def _nothing(self, hint: Any, key: str) -> Any:
        struct = hints.struct_of(hint)
        if struct is not None and not any(info.required for info in fields(struct)):
            return struct()
        if hints.list_of(hint) is not None and not hints.words_of(hint):
            return ()
        if hints.mapping_of(hint) is not None:
            return {}
        if hints.may_be_absent(hint):
            return None
        raise self._unfit(key, "has no value", f"it takes {hints.in_words(hint)}")

    def _items(self, hint: Any, node: Items, key: str) -> tuple[Any, ...]:
        values = []
        fits = True
        for number, item in enumerate(node.items):
            place = f"{key}[{number}]"
            self.lines[place] = item.line
            try:
                values.append(self._value(hint, item, place))
            except _Unfit:
                fits = False
        if not fits:
            raise _Unfit
        return tuple(values)

    def _mapping(self, hint: Any, node: Mapping, key: str) -> dict[str, Any]:
        values = {}
        for name, item in node.entries.items():
            place = f"{key}.{name}"
            self.lines[place] = node.key_lines[name]
            values[name] = self._value(hint, item, place)
        return values

    def _scalar(self, hint: Any, node: Scalar, key: str) -> Any:
        words = hints.words_of(hint)
        if words:
            if node.text in words:
                return node.text
            also = ", or a list" if hints.list_of(hint) is not None else ""
            raise self._unfit(
                key, f"is {node.text[:40]!r}, not one of {', '.join(words)}{also}", _near(node.text, words)
            )
        if hints.marked(hint, "duration"):
            return self._checked(hint, self._seconds(node, key), key)
        is_text = str in hints.members(hint)
        return self._checked(hint, node.text if is_text or node.quoted else resolve(node.text), key)

    def _seconds(self, node: Scalar, key: str) -> Any:
        match = _DURATION.fullmatch(node.text)
        if match and node.text:
            return sum(int(part) * unit for part, unit in zip(match.groups("0"), _UNIT_SECONDS, strict=True))
        value = resolve(node.text)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self._unfit(key, f"is {node.text[:40]!r}, no time", "write seconds, or like 90s, 30m, 1h30m")

    def _checked(self, hint: Any, value: Any, key: str) -> Any:
        try:
            return msgspec.convert(value, hint)
        except msgspec.ValidationError as error:
            reason = str(error).partition(" - at ")[0]
            for code, word in _WORDS.items():
                reason = reason.replace(code, word)
            hint_ = "write true or false" if hints.members(hint)[0] is bool else ""
            raise self._unfit(key, "is not valid: " + reason[:1].lower() + reason[1:], hint_) from None


def _kind(node: Node) -> str:
    return {Scalar: "a single value", Items: "a list", Mapping: "a mapping"}[type(node)]


def _takes_scalar(hint: Any) -> bool:
    return bool(hints.words_of(hint)) or not {int, float, bool, str}.isdisjoint(hints.members(hint))


def _near(word: str, words: tuple[str, ...]) -> str:
    hint = nearest(word, words)
    return hint if hint.startswith("did you mean") else ""


def _shown(key: str) -> str:
    return key if len(key) <= 120 else key[:119] + "…"
