"""Type hints of the schema taken apart, and said in words."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta, Struct

_NAMES: dict[Any, str] = {int: "whole number", float: "number", bool: "true or false", str: "text"}


def meta(hint: Any) -> Meta:
    """The `Meta` of an annotated hint; an empty one if there is none."""
    if get_origin(hint) is Annotated:
        for extra in get_args(hint)[1:]:
            if isinstance(extra, Meta):
                return extra
    return Meta()


def marked(hint: Any, mark: str) -> bool:
    """Whether the field carries a mark such as `duration` or `secret`."""
    return mark in (meta(hint).extra or {})


def members(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the hint alone, without annotations."""
    bare = _bare(hint)
    return tuple(map(_bare, get_args(bare))) if get_origin(bare) in (Union, UnionType) else (bare,)


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def struct_of(hint: Any) -> type[Struct] | None:
    """The structure among the members, if there is one."""
    return next((m for m in members(hint) if isinstance(m, type) and issubclass(m, Struct)), None)


def list_of(hint: Any) -> Any | None:
    """The hint of the items, if a list is among the members."""
    return next((get_args(m)[0] for m in members(hint) if get_origin(m) is tuple), None)


def mapping_of(hint: Any) -> Any | None:
    """The hint of the values, if a mapping with free keys is among the members."""
    return next((get_args(m)[1] for m in members(hint) if get_origin(m) is dict), None)


def words_of(hint: Any) -> tuple[str, ...]:
    """The words a field may hold, if it is a choice."""
    return next((get_args(m) for m in members(hint) if get_origin(m) is Literal), ())


def may_be_absent(hint: Any) -> bool:
    return NoneType in members(hint)


def in_words(hint: Any) -> str:
    """The type as a person would say it: `whole number`, `list of text`."""
    if marked(hint, "duration"):
        return "seconds, or a time like 30m"
    return ", or ".join(_one(member) for member in members(hint) if member is not NoneType)


def _one(hint: Any) -> str:
    item, value, struct = list_of(hint), mapping_of(hint), struct_of(hint)
    if words_of(hint):
        return ", ".join(words_of(hint))
    if item is not None:
        return f"list of {in_words(item)}"
    if value is not None:
        return f"mapping of names to {in_words(value)}"
    return struct.__name__.removesuffix("Spec").lower() if struct else _NAMES[hint]
