"""Desktop notifications, by the program that the platform has for them."""

from __future__ import annotations

import asyncio
import html
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.clean import clean_line
from backend.errors import OctopoidError

TITLE = "Octopoid"
TEXT_LIMIT = 200
SHOWN_MS = 10_000
"""How long a notification stays, where the program takes a time."""

WITHIN_S = 10.0
"""How long the program may take."""


class CannotNotify(OctopoidError):
    """The desktop takes no notification."""

    slug = "cannot-notify"


def _notify_send(program: str, text: str) -> tuple[str, ...]:
    # The text of a notification may hold markup, and ours shall not.
    options = (f"--app-name={TITLE}", f"--expire-time={SHOWN_MS}")
    return (program, *options, "--", TITLE, html.escape(text, quote=False))


def _osascript(program: str, text: str) -> tuple[str, ...]:
    script = (
        "on run argv",
        f'display notification (item 1 of argv) with title "{TITLE}"',
        "end run",
    )
    return (program, *(word for line in script for word in ("-e", line)), "--", text)


@dataclass(frozen=True, slots=True)
class Desktop:
    """Shows texts on the desktop."""

    program: str
    _command: Callable[[str, str], Sequence[str]]

    @classmethod
    def find(cls, platform: str = sys.platform) -> Desktop:
        """
        Raises:
            CannotNotify: the program for it is not installed.
        """
        name, command = ("osascript", _osascript) if platform == "darwin" else ("notify-send", _notify_send)
        program = shutil.which(name)
        if program is None:
            raise CannotNotify(
                f"notify.desktop needs {name}, which is not installed", "install it, or set it to false"
            )
        return cls(program, command)

    def command(self, text: str) -> tuple[str, ...]:
        """What is started to show a text: one line, without anything but text."""
        return tuple(self._command(self.program, clean_line(text, TEXT_LIMIT)))

    async def show(self, text: str) -> None:
        """
        Raises:
            CannotNotify: the program failed, or took too long.
        """
        await asyncio.to_thread(self._show, text)

    def _show(self, text: str) -> None:
        try:
            done = subprocess.run(
                self.command(text), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, timeout=WITHIN_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotNotify(f"{self.program} cannot show notifications ({error})") from error
        if done.returncode:
            said = clean_line(done.stderr.decode("utf-8", "replace"), TEXT_LIMIT) or "it says nothing"
            raise CannotNotify(f"{self.program} ended with {done.returncode} ({said})")
