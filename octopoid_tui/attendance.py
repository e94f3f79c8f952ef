"""When a person last did something on this project's screen, kept from one start to the next."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from backend.clock import from_iso, to_iso
from backend.config.textfile import UnreadableFile, read_text

LOG = logging.getLogger("octopoid.screen")

AWAY_AFTER = timedelta(minutes=10)
"""Somebody who does nothing for so long has left."""
KEEP_EVERY = timedelta(minutes=1)


@dataclass(slots=True)
class Attendance:
    """The last key, and the last one before the person was away."""

    file: Path | None = None
    """Where it is kept; None keeps nothing."""
    last_at: datetime | None = None
    left_at: datetime | None = None
    kept_at: datetime | None = None
    """The `last_at` that the file has."""
    tried_at: datetime | None = field(default=None, compare=False)
    """The `last_at` that was last to be written, whether or not it could be."""

    @classmethod
    def open(cls, file: Path) -> Attendance:
        """What the file says; without one, or with one that cannot be read, nothing is known."""
        if not file.exists():
            return cls(file)
        try:
            kept = json.loads(read_text(file).text)
            last_at, left_at = from_iso(kept["last_at"]), kept["left_at"]
            return cls(file, last_at, None if left_at is None else from_iso(left_at), last_at, last_at)
        except (UnreadableFile, ValueError, KeyError, TypeError) as error:
            LOG.warning("%s is not used: %s", file, error)
            return cls(file)

    def here(self, now: datetime) -> None:
        """Somebody did something."""
        if self.last_at is not None and now - self.last_at >= AWAY_AFTER:
            self.left_at = self.last_at
        self.last_at = now

    def due(self, now: datetime) -> bool:
        """Whether the file is too far behind."""
        if self.file is None or self.last_at in (None, self.kept_at):
            return False
        return self.tried_at is None or not timedelta() <= now - self.tried_at < KEEP_EVERY

    def keep(self) -> None:
        """Write the file. Blocking.

        Raises:
            OSError.
        """
        last_at = self.last_at
        if self.file is None or last_at is None or last_at == self.kept_at:
            return
        self.tried_at = last_at
        left_at = None if self.left_at is None else to_iso(self.left_at)
        from scheduler.runs.durable import open_directory, write_file  # not before there is something to keep

        text = json.dumps({"last_at": to_iso(last_at), "left_at": left_at}) + "\n"
        folder = open_directory(self.file.parent)
        try:
            write_file(folder, self.file.name, text.encode())
        finally:
            os.close(folder)
        self.kept_at = last_at
