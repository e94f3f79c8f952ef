"""The lines behind a log view: a ring with what has not been painted yet. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from backend.clean import clean_line
from octopoid_tui.formats import cells

LogTone = Literal["", "dim", "info", "tool", "you", "ok", "warning", "error"]
"""What kind of line it is, as a colour of the theme."""

LOG_TONES: Final[tuple[LogTone, ...]] = ("dim", "info", "tool", "you", "ok", "warning", "error")
_TAB: Final = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """What `LogBuffer.commit` did."""

    added: int
    removed: int
    """Lines that left at the top."""
    widest: int
    """Cells of the widest line so far."""


class LogBuffer:
    """Lines and their tones, in two lists because a pair for each line would double the memory.

    A line has at most 4096 characters; what is longer is cut and shows it.
    """

    def __init__(self, max_lines: int) -> None:
        self.max_lines = max_lines
        self.texts: list[str] = []
        self.tones: list[LogTone] = []
        self.first = 0
        """Number, from the first line ever, of the first line that is held."""
        self._new: list[tuple[str, LogTone]] = []
        self._skipped = 0

    def append(self, lines: Iterable[str], tone: LogTone) -> None:
        """Clean lines and hold them until the next commit."""
        self._new.extend(
            (clean_line(line.expandtabs(_TAB) if "\t" in line else line), tone) for line in lines
        )
        # A producer that outruns the clock of the screen must not outrun the memory.
        if len(self._new) > 2 * self.max_lines:
            excess = len(self._new) - self.max_lines
            del self._new[:excess]
            self._skipped += excess

    def commit(self, widest: int) -> Batch:
        """Move what was appended into the ring. `widest` is the width so far, in cells."""
        batch, self._new = self._new, []
        self.texts.extend(text for text, _ in batch)
        self.tones.extend(tone for _, tone in batch)
        removed = max(0, len(self.texts) - self.max_lines)
        if removed:
            del self.texts[:removed]
            del self.tones[:removed]
            self.first += removed
        self.first += self._skipped
        removed, self._skipped = removed + self._skipped, 0
        for text, _ in batch:
            # No character takes more than two cells, so most lines need not be measured.
            if len(text) > widest or (2 * len(text) > widest and not text.isascii()):
                widest = max(widest, cells(text))
        return Batch(len(batch), removed, widest)

    def clear(self) -> None:
        """Forget every line; the numbering goes on."""
        self.first += len(self.texts)
        self.texts, self.tones, self._new = [], [], []

    def find(self, pattern: re.Pattern[str]) -> list[int]:
        """Numbers of the lines that match, in order."""
        search = pattern.search
        return [number for number, text in enumerate(self.texts, self.first) if search(text)]
