"""What is wrong with a configuration, collected so that all of it is told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from backend.clean import clean
from backend.errors import ConfigError

MAX_TOLD = 50
"""Problems told at a time; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where, which key, why, and what to do about it."""

    file: str
    line: int | None
    key: str
    reason: str
    hint: str = ""

    @property
    def statement(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        words = (self.key, self.reason) if self.key else (self.reason,)
        return clean(f"{place}: {' '.join(words)}", newlines=False)

    def __str__(self) -> str:
        return f"{self.statement}: {self.hint}" if self.hint else self.statement


def nearest(word: str, valid: Iterable[str]) -> str:
    """A hint that names the closest valid word, or all of them if none is close."""
    names = list(valid)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"use one of {', '.join(names)}"


def as_error(problems: list[Problem]) -> ConfigError:
    """One error for all problems: the first speaks, the others are its details."""
    first, *others = problems
    details = [str(problem) for problem in others[: MAX_TOLD - 1]]
    if len(others) > len(details):
        details.append(f"and {len(others) - len(details)} more")
    return ConfigError(first.statement, first.hint, tuple(details))
