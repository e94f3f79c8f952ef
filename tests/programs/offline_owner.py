"""Owns a project's cache while its server is away, makes two tasks, says so, and stays until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from backend.model import Actor, NewTask, SenderType
from backend.open import open_remote

ANA = Actor(SenderType.HUMAN, "ana")


async def main(url: str, key: str, folder: Path) -> None:
    async with await open_remote(
        url,
        key,
        folder / "cache.db",
        folder / "owner.lock",
        folder / "o.sock",
        what="run",
        serve=True,
    ) as opened:
        for name in ("first", "second"):
            await opened.backend.create_task(
                NewTask(name, name, "implement", "main", "base", "ana"), actor=ANA
            )
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
