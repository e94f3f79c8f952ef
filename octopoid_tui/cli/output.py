"""What the commands print: text made harmless, JSON alone on stdout, columns that line up."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from backend.clean import clean, clean_line
from backend.errors import BadInput, OctopoidError

CELL_LIMIT = 200
DEBUG_VARIABLE = "OCTOPOID_DEBUG"
"""Set to 1, it shows tracebacks and the log."""


def say(text: str = "") -> None:
    """Write cleaned lines to stdout."""
    sys.stdout.write(clean(text) + "\n")


def warn(text: str) -> None:
    """Write cleaned lines to stderr."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def say_json(value: Any) -> None:
    """Write one JSON document to stdout, in ASCII: whatever it quotes cannot reach the terminal raw."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def error_lines(error: OctopoidError) -> str:
    """An error as a person reads it: the sentence with its next step, then the further reasons."""
    said = str(error)
    return "\n".join([f"octopoid: {said}", *(f"  - {d}" for d in error.details if d not in said)])


def width(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def columns(rows: Sequence[Sequence[str]], *, indent: str = "") -> str:
    """Rows as aligned lines, two spaces between columns; the last column is not padded."""
    cells = [[clean_line(cell, CELL_LIMIT) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        (
            indent
            + "  ".join(
                cell + " " * (pad - width(cell)) for cell, pad in zip(row, widths, strict=True)
            ).rstrip()
        )
        for row in cells
    )


def read_stdin() -> str:
    """All of stdin as text.

    Raises:
        BadInput: it is not UTF-8.
    """
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"what stdin has is not UTF-8 ({error})", "convert it first") from None


class Style:
    """Colour where it is wanted: on a terminal, unless NO_COLOR is set or TERM is dumb."""

    def __init__(self, *, coloured: bool | None = None) -> None:
        wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.coloured = wanted if coloured is None else coloured

    def __call__(self, text: str, code: str = "") -> str:
        """`text`, cleaned, in the given SGR code."""
        return f"\x1b[{code}m{clean(text)}\x1b[0m" if self.coloured and code else clean(text)


GREEN, RED, YELLOW, BOLD, DIM = "32", "31", "33", "1", "2"


def say_styled(text: str) -> None:
    """Write lines whose parts have been cleaned one by one, so that our own colours survive."""
    sys.stdout.write(text + "\n")


def span(seconds: float) -> str:
    """A length of time in its two largest units: `4m10s`, `2h05m`, `3d04h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def age(then: datetime, now: datetime) -> str:
    """How long ago, as `span`."""
    return span((now - then).total_seconds())
