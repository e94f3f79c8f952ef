"""What a backend can do that gives away and takes in its whole state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Protocol, runtime_checkable

from backend.model import Actor


@runtime_checkable
class Archive(Protocol):
    """A backend that can be exported and imported into."""

    async def export_state(self, out: IO[bytes]) -> None:
        """Write everything but keys and secrets, as it is at one moment; the file is closed by the caller."""
        ...

    async def import_state(self, raw: bytes, *, actor: Actor) -> Mapping[str, int]:
        """Take in an export, all of it or nothing; returns how many records of each kind it had.

        Raises:
            BadInput: the file is no export, or holds what cannot be; section, line and field are named.
            Refused: the store is not empty.
        """
        ...
