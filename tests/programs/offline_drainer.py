"""Owns a project's cache, sends what waits in it, and stays until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from backend.open import open_remote


async def main(url: str, key: str, folder: Path) -> None:
    async with await open_remote(
        url, key, folder / "cache.db", folder / "owner.lock", folder / "o.sock", what="run"
    ):
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
