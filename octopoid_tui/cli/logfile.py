"""The scheduler's log: one rotated file, proved to be written when it is opened."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from backend.errors import OctopoidError

NAME = "scheduler.log"
FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"
MAX_BYTES = 4 << 20
KEPT = 3
OURS = "octopoid"
CHATTY = ("httpx", "httpcore", "uvicorn")
"""Libraries that tell every request at the level at which we tell what matters."""


class LogBroken(OctopoidError):
    """The log cannot be written."""

    slug = "log-broken"


def open_log(folder: Path, *, file: str = NAME, debug: bool = False) -> Path:
    """Send all logging of this process to a file in `folder`, with `debug` also to stderr; returns the file.

    Raises:
        LogBroken: a line written through the logging system does not arrive in the file.
    """
    path = folder / file
    root = logging.getLogger()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8", errors="replace"
        )
    except OSError as error:
        raise LogBroken(
            f"the log {path} cannot be written ({error})", "free some space or repair its rights"
        ) from None
    handlers: list[logging.Handler] = [handler]
    if debug:
        handlers.append(logging.StreamHandler(sys.stderr))
    close_log()
    for each in handlers:
        each.set_name(OURS)
        each.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(each)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.WARNING)
    _prove(path, handler)
    return path


def close_log() -> None:
    """Detach and close what `open_log` attached."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.get_name() == OURS]:
        root.removeHandler(handler)
        handler.close()


def _prove(path: Path, handler: logging.Handler) -> None:
    # A log that silently stays empty is noticed weeks later, when it is needed.
    mark = secrets.token_hex(8)
    logging.getLogger("octopoid").info("log opened by process %d (%s)", os.getpid(), mark)
    handler.flush()
    try:
        written = mark.encode() in path.read_bytes()
    except OSError as error:
        raise LogBroken(f"the log {path} cannot be read back ({error})", "repair its rights") from None
    if not written:
        raise LogBroken(f"the log {path} stays empty", "see whether the disk is full, and start again")
